"""A linear start: networks that are linear, or in part, begin where principal components end."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attar.isolation import one_thread
from attar.networks.mlp import Near, Shortcut, Straight

# Of a feature's variance, what least squares adds to it: small samples would else be overfitted.
RIDGE = 1e-3

# So many rows or columns have exact principal components.
FEW = 1024


def shortcut_of(network: nn.Module) -> nn.Linear | None:
    """Return the linear shortcut of a network that has one."""
    for module in network.modules():
        if isinstance(module, Shortcut):
            return next((m for m in module.straight.modules() if isinstance(m, nn.Linear)), None)
    return None


def near_weights(network: nn.Module) -> list[Tensor]:
    """Return the weights of a network that start near where they end."""
    shortcut = shortcut_of(network)
    return [m.weight for m in network.modules() if m is shortcut or isinstance(m, Near)]


def straight_of(network: nn.Module) -> nn.Linear | None:
    """Return the layer of a network that is one linear layer."""
    return next((module for module in network.modules() if isinstance(module, Straight)), None)


@torch.no_grad()
def start_at_components(encoder: nn.Linear, rows: Tensor) -> None:
    """Let the first outputs be the principal components of rows (m, cells), of variance 1.

    Inputs beyond the rows' cells, such as a mask, and outputs beyond their rank keep no or the
    weights that they have.

    Examples
    --------
    >>> encoder, rows = nn.Linear(2, 1), torch.tensor([[1.0, 3.0], [2.0, 6.0], [3.0, 9.0]])
    >>> start_at_components(encoder, rows)
    >>> encoder(rows).abs().flatten().round(decimals=3)
    tensor([1.2250, 0.0000, 1.2250], grad_fn=<RoundBackward1>)
    """
    rows = rows.double()
    centred, width = rows - rows.mean(0), encoder.out_features
    if min(centred.shape) > FEW:
        most = min(width + 8, *centred.shape)
        with one_thread():
            _, lengths, vectors = torch.svd_lowrank(centred, most, niter=4)
        values = lengths.square() / len(rows)
    else:
        wide = len(rows) < rows.shape[1]
        gram = centred @ centred.mT if wide else centred.mT @ centred
        with one_thread():
            values, vectors = (found.flip(-1) for found in torch.linalg.eigh(gram / len(rows)))
        vectors = centred.mT @ vectors[:, :width] if wide else vectors
    rank = min(width, int((values > 1e-6 * values[0]).sum()))
    basis = vectors[:, :rank].mT
    basis = basis / basis.norm(dim=1, keepdim=True) / values[:rank, None].sqrt()
    encoder.weight[:rank] = 0
    encoder.weight[:rank, : rows.shape[1]] = basis.to(encoder.weight)
    encoder.bias[:rank] = -(basis @ rows.mean(0)).to(encoder.bias)


@torch.no_grad()
def fit_least_squares(decoder: nn.Linear, inputs: Tensor, outputs: Tensor) -> None:
    """Fit a layer to map inputs (m, d) to outputs (m, cells), by ridge regression.

    Examples
    --------
    >>> decoder, z = nn.Linear(1, 2), torch.tensor([[-1.0], [1.0]])
    >>> fit_least_squares(decoder, z, torch.tensor([[1.0, 5.0], [3.0, 1.0]]))
    >>> decoder(torch.zeros(1, 1)).tolist()
    [[2.0, 3.0]]
    """
    z, x = inputs.double(), outputs.double()
    z_mean, x_mean = z.mean(0), x.mean(0)
    centred = z - z_mean
    covariance = centred.mT @ centred
    ridge = RIDGE * covariance.diagonal().clamp_min(1e-12 * len(z))
    weight = torch.linalg.solve(covariance + ridge.diag(), centred.mT @ (x - x_mean)).mT
    decoder.weight.copy_(weight)
    decoder.bias.copy_(x_mean - weight @ z_mean)
