"""Codebooks: the nearest entries, k-means, running means, and how many entries models use."""

import numpy as np
import pytest
import torch
from scipy.cluster.vq import kmeans2

import attar
from attar.codes import FiniteScalar, VectorQuantized
from attar.codes.quantized.codebook import LearnedCodebook, MappedCodebook
from attar.data import datasets
from attar.evaluation import relative_perplexity

DOUBLE = torch.float64


def book(books=1, size=8, dim=3, decay=0.99):
    return LearnedCodebook(books, size, dim, decay).double()


def error(codebook, x):
    return (x - codebook.vectors(codebook.nearest(x))).square().sum(-1).mean().item()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("books", [1, 4])
def test_the_nearest_entry_is_that_of_brute_force(books, training):
    codebook, x = book(books).train(training), torch.randn(50, 12, dtype=DOUBLE)
    for row, found in zip(x.reshape(50, 4, 3), codebook.nearest(x), strict=True):
        for position in range(4):
            entries = codebook.entries[position % books]
            distances = [(row[position] - entry).square().sum().item() for entry in entries]
            assert found[position] == np.argmin(distances)


@pytest.mark.parametrize("books", [1, 2])
def test_vectors_are_the_entries_of_each_positions_book(books):
    codebook, symbols = book(books), torch.randint(8, (20, 2))
    x = codebook.vectors(symbols).reshape(20, 2, 3)
    for i in range(20):
        for position in range(2):
            truth = codebook.entries[position % books, symbols[i, position]]
            assert torch.equal(x[i, position], truth)


def test_without_decay_entries_become_the_means_of_their_vectors():
    codebook, x = book(decay=0.0), torch.randn(100, 6, dtype=DOUBLE)
    before, symbols = codebook.entries.clone(), codebook.nearest(x)
    codebook.update(x, symbols)
    rows, assigned = x.reshape(200, 3), symbols.flatten()
    for entry in range(8):
        members = rows[assigned == entry]
        truth = members.mean(0) if len(members) else before[0, entry]
        torch.testing.assert_close(codebook.entries[0, entry], truth)


def test_with_decay_entries_are_running_means_of_their_vectors():
    decay, codebook = 0.9, book(size=2, dim=1, decay=0.9)
    share = torch.full((2,), 0.5, dtype=DOUBLE)
    mass = share * codebook.entries[0, :, 0]
    for _ in range(5):
        x, symbols = torch.randn(30, 1, dtype=DOUBLE), torch.randint(2, (30, 1))
        codebook.update(x, symbols)
        members = torch.stack([(symbols == k).double().mean() for k in range(2)])
        total = torch.stack([(x * (symbols == k)).mean() for k in range(2)])
        share = decay * share + (1 - decay) * members
        mass = decay * mass + (1 - decay) * total
        torch.testing.assert_close(codebook.entries[0, :, 0], mass / share)


def test_entries_are_initialized_by_k_means():
    x = torch.randn(500, 3, dtype=DOUBLE)
    codebook = book()
    before = error(codebook, x)
    codebook.initialize(x)
    _, labels = kmeans2(x.numpy(), codebook.entries[0].numpy(), 1, minit="matrix")
    assert np.array_equal(labels, codebook.nearest(x)[:, 0].numpy())
    best, _ = kmeans2(x.numpy(), 8, 30, minit="++", rng=np.random.default_rng(0))
    codebook_error, scipys = error(codebook, x), np.square(x.numpy()[:, None] - best).sum(-1)
    assert codebook_error < 1.1 * scipys.min(1).mean()
    assert codebook_error < 0.8 * before


def test_k_means_finds_clusters_of_each_book():
    centres = torch.tensor([[-9.0, 0.0, 9.0], [1.0, 2.0, 3.0]], dtype=DOUBLE)
    x = centres[:, torch.randint(3, (200,))].T.contiguous()
    codebook = book(2, 16, 1)
    codebook.initialize(x)
    assert error(codebook, x) < 1e-25
    found = codebook.vectors(codebook.nearest(x)).unique(dim=0)
    torch.testing.assert_close(found, centres.T)


def test_fewer_rows_than_entries_initialize_too():
    codebook, x = book(), torch.randn(3, 3, dtype=DOUBLE)
    codebook.initialize(x)
    assert error(codebook, x) < 1e-25


def test_dead_entries_are_replaced_by_recent_vectors():
    codebook, x = book(size=16), torch.randn(200, 3, dtype=DOUBLE)
    codebook.entries[0, 4:] += 100
    codebook.update(x, codebook.nearest(x))
    kept = codebook.entries[0, :4].clone()
    before = error(codebook, x)
    codebook.revive()
    assert torch.equal(codebook.entries[0, :4], kept)
    for entry in codebook.entries[0, 4:]:
        assert (x[:16] == entry).all(-1).any()
    assert error(codebook, x) < 0.7 * before
    assert (torch.bincount(codebook.nearest(x).flatten(), minlength=16) > 0).all()


def test_a_revived_entry_moves_at_once_to_the_mean_of_its_vectors():
    codebook, x = book(), torch.randn(200, 3, dtype=DOUBLE)
    codebook.entries[0, 7] += 100
    codebook.update(x, codebook.nearest(x))
    codebook.revive()
    symbols = codebook.nearest(x)
    codebook.update(x, symbols)
    torch.testing.assert_close(codebook.entries[0, 7], x[symbols[:, 0] == 7].mean(0))


def test_without_a_step_nothing_is_dead():
    codebook = book()
    before = codebook.entries.clone()
    codebook.revive()
    assert torch.equal(codebook.entries, before)


def test_entries_without_decay_are_parameters_and_change_only_by_gradient():
    codebook, x = book(decay=None), torch.randn(200, 3, dtype=DOUBLE)
    before = codebook.entries.detach().clone()
    codebook.update(x, codebook.nearest(x))
    assert torch.equal(codebook.entries, before)
    assert len(list(codebook.parameters())) == 1
    assert not list(book().parameters())


def test_a_mapped_codebook_has_the_same_entries_in_training_and_out_of_it():
    codebook = MappedCodebook(64, 5).double()
    torch.testing.assert_close(codebook.train().table, codebook.eval().table)


def test_a_mapped_codebook_is_initialized_with_the_mean_and_covariance_of_vectors():
    codebook = MappedCodebook(4096, 2).double()
    x = torch.randn(400, 4, dtype=DOUBLE).reshape(800, 2) @ torch.tensor(
        [[2, 1], [0, 0.5]], dtype=DOUBLE
    )
    x = (x + 3).reshape(400, 4)
    codebook.initialize(x)
    rows, entries = x.reshape(800, 2), codebook.table[0].detach()
    torch.testing.assert_close(entries.mean(0), rows.mean(0), rtol=0, atol=0.1)
    torch.testing.assert_close(entries.T.cov(), rows.T.cov(), rtol=0.1, atol=0.1)


def perplexity(ae, rows):
    """Return the perplexity of the symbols of rows, all positions together, relative to 1."""
    code = ae.model_.code
    symbols = code.symbols(torch.from_numpy(ae.transform(rows)).float())
    return relative_perplexity(symbols.reshape(-1, 1).numpy(), code.sizes[:1])[0]


@pytest.mark.parametrize("code", [VectorQuantized(codebook=64), FiniteScalar((5, 5, 4))])
def test_models_of_digits_use_more_than_half_of_the_codebook(code, digits):
    rows = digits.numpy()
    ae = attar.Autoencoder(
        attar.Recipe(code), 12, epochs=10, batch_size=40, random_state=0, verbose=False
    ).fit(rows)
    assert perplexity(ae, rows) > 0.5


@pytest.mark.parametrize("name", ["vq-vae", "fsq"])
def test_models_of_mnist_use_more_than_half_of_the_codebook(name, data_folder, monkeypatch):
    monkeypatch.setenv("ATTAR_DATA", str(data_folder))
    images = datasets.load("mnist", "train")[0][:1500]
    ae = attar.Autoencoder(name, 32, epochs=5, random_state=0, verbose=False).fit(images[:500])
    assert perplexity(ae, images[500:]) > 0.5
