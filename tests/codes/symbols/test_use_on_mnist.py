"""Codebooks are used on real images: their perplexity on MNIST is over half of the codebook."""

import pytest
import torch

import attar
from attar.data import datasets
from attar.evaluation import relative_perplexity


@pytest.fixture
def images(data_folder, monkeypatch):
    monkeypatch.setenv("ATTAR_DATA", str(data_folder))
    return datasets.load("mnist", "train")[0][:9000]


@pytest.mark.parametrize("name", ["vq-vae", "fsq"])
def test_most_entries_of_a_codebook_are_used(name, images):
    learnt, unseen = images[:6000], images[6000:]
    ae = attar.Autoencoder(name, 32, epochs=8, random_state=0, verbose=False).fit(learnt)
    code = ae.model_.code
    symbols = code.symbols(torch.from_numpy(ae.transform(unseen)).float())
    # All positions draw on one codebook.
    (share,) = relative_perplexity(symbols.reshape(-1, 1).numpy(), code.sizes[:1])
    assert share > 0.5
