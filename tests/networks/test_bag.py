import pytest
import torch
from torch.nn import functional

from attar.networks.bag import Bag, Bags


def sparse(dense):
    return dense.to_sparse_coo().coalesce()


@pytest.fixture
def rows():
    dense = torch.rand(6, 9, dtype=torch.float64) * (torch.rand(6, 9) < 0.4)
    dense[2] = 0  # an empty row
    dense[5] = 0  # and one at the end
    dense[4] = 0
    dense[4, 8] = 3.0
    return dense


def test_the_first_layer_is_linear_in_rows_of_unit_length(rows):
    layer = Bags(9, 4).double()
    expected = functional.normalize(rows) @ layer.weight + layer.bias
    torch.testing.assert_close(layer(sparse(rows)), expected)
    torch.testing.assert_close(layer(rows), expected)


def test_gradients_of_sparse_rows_are_those_of_dense_ones(rows):
    layer = Bags(9, 4).double()
    weights = torch.randn(6, 4, dtype=torch.float64)
    gradients = []
    for given in (rows, sparse(rows)):
        layer.zero_grad()
        (layer(given).tanh() * weights).sum().backward()
        gradients.append([p.grad.clone() for p in layer.parameters()])
    for dense, found in zip(*gradients, strict=True):
        torch.testing.assert_close(found, dense)


@pytest.mark.parametrize("widths", [(8,), (8, 5)])
def test_the_network_takes_sparse_and_dense_rows_alike(rows, widths):
    part = Bag(widths)
    encoder, decoder = part.encoder((9,), 3).double(), part.decoder(3, (9,)).double()
    codes = encoder(sparse(rows))
    torch.testing.assert_close(codes, encoder(rows))
    assert codes.shape == (6, 3)
    assert decoder(codes).shape == (6, 9)
    # Twice the counts are the same direction.
    torch.testing.assert_close(encoder(2 * rows), codes)
