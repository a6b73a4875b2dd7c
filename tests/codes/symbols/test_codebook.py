import numpy as np
import pytest
import torch
from scipy.cluster.vq import kmeans2

from attar.codes.quantized.codebook import LearnedCodebook
from attar.codes.quantized.vq import MappedCodebook

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


def test_without_a_memory_entries_become_the_means_of_what_they_won():
    codebook, x = book(decay=0.0), torch.randn(100, 6, dtype=DOUBLE)
    before, symbols = codebook.entries.clone(), codebook.nearest(x)
    codebook.learn(x, symbols)
    rows, winners = x.reshape(200, 3), symbols.flatten()
    for entry in range(8):
        won = rows[winners == entry]
        truth = won.mean(0) if len(won) else before[0, entry]
        torch.testing.assert_close(codebook.entries[0, entry], truth)


def test_with_a_memory_entries_are_the_weighted_means_of_all_they_won():
    decay, codebook = 0.9, book(size=2, dim=1, decay=0.9)
    share = torch.full((2,), 0.5, dtype=DOUBLE)
    mass = share * codebook.entries[0, :, 0]
    for _ in range(5):
        x, symbols = torch.randn(30, 1, dtype=DOUBLE), torch.randint(2, (30, 1))
        codebook.learn(x, symbols)
        won = torch.stack([(symbols == k).double().mean() for k in range(2)])
        total = torch.stack([(x * (symbols == k)).mean() for k in range(2)])
        share = decay * share + (1 - decay) * won
        mass = decay * mass + (1 - decay) * total
        torch.testing.assert_close(codebook.entries[0, :, 0], mass / share)


def test_the_start_is_where_k_means_ends():
    x = torch.randn(500, 3, dtype=DOUBLE)
    codebook = book()
    before = error(codebook, x)
    codebook.start(x)
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
    codebook.start(x)
    assert error(codebook, x) < 1e-25
    found = codebook.vectors(codebook.nearest(x)).unique(dim=0)
    torch.testing.assert_close(found, centres.T)


def test_fewer_rows_than_entries_are_a_start_too():
    codebook, x = book(), torch.randn(3, 3, dtype=DOUBLE)
    codebook.start(x)
    assert error(codebook, x) < 1e-25


def test_dead_entries_are_put_where_vectors_were_lately():
    codebook, x = book(size=16), torch.randn(200, 3, dtype=DOUBLE)
    codebook.entries[0, 4:] += 100
    codebook.learn(x, codebook.nearest(x))
    living = codebook.entries[0, :4].clone()
    before = error(codebook, x)
    codebook.revive()
    assert torch.equal(codebook.entries[0, :4], living)
    for entry in codebook.entries[0, 4:]:
        assert (x[:16] == entry).all(-1).any()
    assert error(codebook, x) < 0.7 * before
    assert (torch.bincount(codebook.nearest(x).flatten(), minlength=16) > 0).all()


def test_a_revived_entry_goes_at_once_to_the_mean_of_what_it_wins():
    codebook, x = book(), torch.randn(200, 3, dtype=DOUBLE)
    codebook.entries[0, 7] += 100
    codebook.learn(x, codebook.nearest(x))
    codebook.revive()
    symbols = codebook.nearest(x)
    codebook.learn(x, symbols)
    torch.testing.assert_close(codebook.entries[0, 7], x[symbols[:, 0] == 7].mean(0))


def test_without_a_step_nothing_is_dead():
    codebook = book()
    before = codebook.entries.clone()
    codebook.revive()
    assert torch.equal(codebook.entries, before)


def test_entries_without_decay_are_parameters_and_learn_only_by_gradient():
    codebook, x = book(decay=None), torch.randn(200, 3, dtype=DOUBLE)
    before = codebook.entries.detach().clone()
    codebook.learn(x, codebook.nearest(x))
    assert torch.equal(codebook.entries, before)
    assert len(list(codebook.parameters())) == 1
    assert not list(book().parameters())


def test_a_mapped_codebook_has_the_same_entries_in_training_and_out_of_it():
    codebook = MappedCodebook(64, 5).double()
    torch.testing.assert_close(codebook.train().table, codebook.eval().table)


def test_a_mapped_codebook_starts_with_the_mean_and_covariance_of_vectors():
    codebook = MappedCodebook(4096, 2).double()
    x = torch.randn(400, 4, dtype=DOUBLE).reshape(800, 2) @ torch.tensor(
        [[2, 1], [0, 0.5]], dtype=DOUBLE
    )
    x = (x + 3).reshape(400, 4)
    codebook.start(x)
    rows, entries = x.reshape(800, 2), codebook.table[0].detach()
    torch.testing.assert_close(entries.mean(0), rows.mean(0), rtol=0, atol=0.1)
    torch.testing.assert_close(entries.T.cov(), rows.T.cov(), rtol=0.1, atol=0.1)
