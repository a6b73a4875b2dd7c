"""What critics share: how they judge, learn, and are asked without being moved."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from attar.networks import Mlp
from attar.penalties.jacobian import squared_norm


def judge(shape: tuple[int, ...], widths: tuple[int, ...]) -> nn.Module:
    """Return a perceptron from rows (n, *shape) to how surely each is real, log-odds: (n, 1)."""
    return Mlp(widths, "leaky-relu").encoder(shape, 1)


def telling_apart(real: Tensor, made: Tensor) -> Tensor:
    """Return the cross-entropy of a critic's log-odds for what is real and what is made: scalar."""
    return functional.softplus(-real).mean() + functional.softplus(made).mean()


def steepness(said: Tensor, rows: Tensor) -> Tensor:
    """Return the squared slope of log-odds (n, 1) at rows (n, ...), in the mean: a scalar.

    Critics that are flat where things are real come to rest instead of circling around the model.

    References
    ----------
    Mescheder, Geiger and Nowozin, "Which training methods for GANs do actually converge?", ICML
    2018.
    """
    # The estimate is exact: a row has no more than one number, and a sign has the square 1.
    return squared_norm(said, rows) / len(rows)


def fooling(made: Tensor) -> Tensor:
    """Return what is punished where a critic sees through what is made: -log D, a scalar.

    References
    ----------
    Goodfellow et al., "Generative adversarial nets", NeurIPS 2014.
    """
    return functional.softplus(-made).mean()


def unmoved(critic: nn.Module, rows: Tensor) -> Any:
    """Return what a critic says of rows, with a gradient for the rows and none for the critic."""
    weights = {name: weight.detach() for name, weight in critic.named_parameters()}
    return functional_call(critic, weights, (rows,))
