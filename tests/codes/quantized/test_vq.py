"""Codes of entries of codebooks."""

from itertools import pairwise

import pytest
import torch

from attar.codes import (
    Hierarchical,
    ProductQuantized,
    ResidualQuantized,
    SimVQ,
    TwoLevels,
    VectorQuantized,
)
from attar.errors import SettingError

DOUBLE = torch.float64
BOOKS = [VectorQuantized, ProductQuantized, ResidualQuantized, TwoLevels]


def gradient(code, features, weights):
    """Return the gradient of a linear function of the decoder's input."""
    features = features.clone().requires_grad_()
    (code.decoder_input(code(features).z[0]) * weights).sum().backward()
    return features.grad


@pytest.mark.parametrize(
    "code", [VectorQuantized(), ProductQuantized(), SimVQ(), ResidualQuantized(stages=4)]
)
def test_the_gradient_goes_straight_through_in_training(code):
    module, features = code.build(16).double(), torch.randn(9, code.width(16), dtype=DOUBLE)
    weights = torch.randn(9, code.decoder_width(16), dtype=DOUBLE)
    torch.testing.assert_close(gradient(module.train(), features, weights), weights)


def test_out_of_training_the_gradient_is_the_true_one_of_a_step():
    code, features = VectorQuantized().build(16).eval(), torch.randn(9, 16)
    assert not code(features.requires_grad_()).z.requires_grad


@pytest.mark.parametrize("part", BOOKS)
@pytest.mark.parametrize("decay", [0.9, None])
def test_the_auxiliary_loss_is_the_distance_of_features(part, decay):
    code = part(decay=decay, commitment=0.3).build(16).double().train()
    features = torch.randn(9, part().width(16), dtype=DOUBLE, requires_grad=True)
    inputs, symbols = code.quantizer.quantize(features)
    z = code.vectors(symbols)
    distance = (inputs - z).square().sum(-1)
    auxiliary_loss = code(features).auxiliary_loss
    factor = 0.3 if decay else 1.3
    torch.testing.assert_close(auxiliary_loss[0], factor * distance)
    found = torch.autograd.grad(auxiliary_loss.sum(), features, retain_graph=True)[0]
    truth = torch.autograd.grad(0.3 * (inputs - z.detach()).square().sum(), features)[0]
    torch.testing.assert_close(found, truth)


def test_the_codebook_loss_pulls_entries_to_their_features():
    code, features = VectorQuantized(decay=None).build(16).double(), torch.randn(9, 16).double()
    code(features).auxiliary_loss.sum().backward()
    entries = code.quantizer.entries
    rows, symbols = features.reshape(36, 4), code.symbols(features).flatten()
    truth = torch.zeros_like(entries[0])
    for row, symbol in zip(rows, symbols, strict=True):
        truth[symbol] += 2 * (entries[0, symbol].detach() - row)
    torch.testing.assert_close(entries.grad[0], truth)


@pytest.mark.parametrize("part", [*BOOKS, SimVQ])
def test_initializing_from_data_lowers_the_error(part):
    features = 4 * torch.randn(500, part().width(16)) + 2

    def error(code):
        inputs, symbols = code.quantizer.quantize(features)
        return (inputs - code.vectors(symbols)).square().mean().item()

    code = part(codebook=32).build(16).eval()
    before = error(code)
    code.on_data(features, features)
    assert error(code) < 0.5 * before


@pytest.mark.parametrize("part", BOOKS)
def test_dead_entries_are_replaced_after_an_epoch(part):
    code, features = part(codebook=16).build(16).train(), torch.randn(300, part().width(16))
    books = [module for module in code.modules() if hasattr(module, "entries")]
    for book in books:
        book.entries[:, 8:] += 100
    code(features)
    code.on_epoch()
    for book in books:
        assert book.entries.abs().max() < 50


def test_evaluation_does_not_change_the_codebook():
    code, features = VectorQuantized().build(16).eval(), torch.randn(300, 16)
    before = {name: tensor.clone() for name, tensor in code.state_dict().items()}
    assert code(features).auxiliary_loss is None
    for name, tensor in code.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_vector_quantization_shares_a_codebook_and_product_quantization_does_not():
    features = torch.randn(600, 2) * torch.tensor([1.0, 100.0])
    errors = {}
    for part in (VectorQuantized, ProductQuantized):
        code = part(codebook=16, dim=1).build(2).eval()
        code.on_data(features, features)
        errors[part.name] = (features - code.point(features))[:, 0].square().mean().item()
    assert errors["pq"] < 0.05
    assert errors["vq"] > 5 * errors["pq"]


class TestResidual:
    def test_the_error_falls_with_each_stage(self):
        features, errors = torch.randn(500, 4), []
        for stages in (1, 2, 3, 4):
            torch.manual_seed(0)
            part = ResidualQuantized(codebook=16, stages=stages)
            code = part.build(4 * stages).eval()
            code.on_data(features, features)
            x = code.decoder_input(code.point(features))
            errors.append((features - x).square().mean().item())
        assert all(after < 0.5 * before for before, after in pairwise(errors))

    def test_the_decoders_input_is_the_sum_of_the_nearest_entries_of_residuals(self):
        code, features = ResidualQuantized().build(16).eval(), torch.randn(20, 8)
        residual, total = features.reshape(40, 4), torch.zeros(40, 4)
        for book in code.quantizer.books:
            entry = book.entries[0][torch.cdist(residual, book.entries[0]).argmin(-1)]
            residual, total = residual - entry, total + entry
        x = code.decoder_input(code.point(features))
        torch.testing.assert_close(x, total.reshape(20, 8))

    def test_its_size_is_a_multiple_of_an_entry_of_each_stage(self):
        with pytest.raises(SettingError, match=r"multiple of 8.*of 8 or 16"):
            ResidualQuantized().build(12)


class TestHierarchical:
    def test_later_stages_start_with_smaller_entries(self):
        code = Hierarchical(codebook=4096, decay=0.5).build(16)
        sizes = [book.entries.std().item() for book in code.quantizer.books]
        assert sizes == pytest.approx([1.0, 0.5, 0.25, 0.125], rel=0.03)

    def test_rows_are_cut_after_a_uniformly_random_stage(self):
        code = Hierarchical(dropout=1.0).build(16).train()
        kept = code(torch.randn(4000, 4)).z[0].reshape(4000, 4, 4).any(-1).sum(-1)
        counts = torch.bincount(kept, minlength=5)
        assert counts[0] == 0
        assert ((counts[1:] - 1000).abs() < 4 * 750**0.5).all()
        whole = Hierarchical(dropout=0.0).build(16).train()
        assert whole(torch.randn(100, 4)).z[0].reshape(100, 4, 4).any(-1).all()

    def test_a_cold_mixture_is_an_entry_sampled_by_its_distance(self):
        part = Hierarchical(codebook=3, stages=1, dropout=0.0, temperature=1e-4)
        code = part.build(4).double().train()
        features = torch.randn(1, 4, dtype=DOUBLE)
        entries = code.quantizer.books[0].entries[0].detach()
        truth = (-(features - entries).square().sum(-1)).softmax(-1)
        coded = code(features.expand(20_000, -1))
        found = torch.bincount(coded.symbols.flatten(), minlength=3) / 20_000
        assert ((found - truth).abs() < 4 * (truth * (1 - truth) / 20_000).sqrt()).all()
        near = (coded.z[0] - entries[coded.symbols[0, :, 0]]).abs().amax(-1)
        assert (near < 1e-6).double().mean() > 0.99


class TestTwoLevels:
    def test_the_bottom_is_conditioned_on_the_top(self):
        code, features = TwoLevels().build(16).eval(), torch.randn(20, 16)
        other = features.clone()
        other[:, :4] += 3
        top, bottom = code.point(features)[:, :4], code.point(features)[:, 4:]
        inputs = features[:, 4:] + code.quantizer.conditioner(top)
        truth = code.quantizer.bottom_book.vectors(code.quantizer.bottom_book.nearest(inputs))
        assert torch.equal(bottom, truth)
        assert not torch.equal(code.point(other)[:, 4:], bottom)

    def test_the_bottoms_gradient_reaches_the_features_of_the_top(self):
        code, features = TwoLevels().build(16).double().train(), torch.randn(9, 16, dtype=DOUBLE)
        weights, book = torch.randn(9, 16, dtype=DOUBLE), code.quantizer.top_book
        top = book.vectors(book.nearest(features[:, :4])).requires_grad_()
        (code.quantizer.conditioner(top) * weights[:, 4:]).sum().backward()
        expected = weights + torch.cat([top.grad, torch.zeros(9, 12)], 1)
        torch.testing.assert_close(gradient(code, features, weights), expected)

    def test_a_quarter_of_the_symbols_are_the_top(self):
        assert [TwoLevels().build(size).quantizer.top for size in (8, 16, 32, 40)] == [4, 4, 8, 8]
        with pytest.raises(SettingError, match=r"at least 8, not 4: .*size of 8\."):
            TwoLevels().build(4)


@pytest.mark.parametrize(
    ("wrong", "wanted"),
    [
        (VectorQuantized(codebook=1), "at least 2 entries"),
        (VectorQuantized(codebook=8.5), "codebook .* integer above 0"),
        (VectorQuantized(dim=0), "1 dimension or more"),
        (VectorQuantized(dim=2.5), "1 dimension or more"),
        (VectorQuantized(decay=1.0), "a decay from 0 to below 1"),
        (ProductQuantized(commitment=0.0), "commitment .* number above 0"),
        (ResidualQuantized(stages=0), "stages .* integer above 0"),
        (TwoLevels(hidden=0), "hidden .* integer above 0"),
        (SimVQ(codebook=1), "at least 2 entries"),
        (SimVQ(commitment=0.0), "commitment .* number above 0"),
        (Hierarchical(codebook=1), "at least 2 entries"),
        (Hierarchical(decay=0.0), "a decay above 0"),
        (Hierarchical(dropout=1.5), "dropout .* between 0 and 1"),
        (Hierarchical(temperature=0.0), "temperature .* number above 0"),
        (Hierarchical(commitment=0.0), "commitment .* number above 0"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, wanted):
    with pytest.raises(SettingError, match=wanted):
        wrong.build(16)
