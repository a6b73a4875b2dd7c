from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import attar
from attar.errors import SettingError
from attar.networks import Gru, Tcn, Transformer

NETWORKS = [Tcn((4, 6)), Gru(units=5), Transformer(width=8, heads=2, layers=1, patch=3)]


@pytest.mark.parametrize("part", NETWORKS, ids=lambda part: part.name)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 40))
def test_series_of_any_length_come_back_in_their_own(part, seen, channels, time):
    codes = part.encoder((seen, time), 4)(torch.randn(2, seen, time))
    assert codes.shape == (2, 4)
    assert part.decoder(4, (channels, time))(codes).shape == (2, channels, time)


@pytest.mark.parametrize("part", NETWORKS, ids=lambda part: part.name)
def test_a_row_does_not_depend_on_its_neighbours_nor_on_the_mode(part):
    encoder = part.encoder((2, 17), 3).double()
    rows = torch.randn(5, 2, 17, dtype=torch.float64)
    whole = encoder.train()(rows)
    with torch.no_grad():
        alone = torch.cat([encoder.eval()(row[None]) for row in rows])
    torch.testing.assert_close(whole, alone, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("part", NETWORKS, ids=lambda part: part.name)
def test_single_precision_is_double_precision_rounded(part):
    decoder = part.decoder(3, (2, 17))
    codes = torch.randn(4, 3)
    expected = deepcopy(decoder).double()(codes.double()).float()
    torch.testing.assert_close(decoder(codes), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("part", NETWORKS, ids=lambda part: part.name)
def test_equal_seeds_give_equal_weights(part):
    weights = []
    for _ in range(2):
        torch.manual_seed(3)
        weights.append(part.encoder((2, 9), 3).state_dict())
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name])


def test_every_step_of_a_window_can_reach_the_code():
    for part in NETWORKS:
        encoder = part.encoder((1, 33), 2)
        for weight in encoder.parameters():  # what starts at zero lets nothing through
            torch.nn.init.normal_(weight, std=0.3)
        row = torch.randn(1, 1, 33, requires_grad=True)
        encoder(row).sum().backward()
        assert (row.grad != 0).all()


@pytest.mark.parametrize("name", ["tcn", "gru", "transformer"])
def test_phases_of_waves_need_fewer_numbers_than_pca(name):
    # Sinusoids of any pitch and phase: two numbers by nature, many principal components.
    chance = np.random.default_rng(0)
    pitch, phase = chance.uniform(0.5, 1.5, (400, 1)), chance.uniform(0, 2 * np.pi, (400, 1))
    waves = np.sin(pitch * np.linspace(0, 6, 32) + phase).astype(np.float32)
    ae = attar.Autoencoder(code_size=3, network=name, epochs=40, random_state=0, verbose=False)
    facts = ae.fit(attar.Series(waves)).fitted.study.facts
    assert facts.error < 0.8 * facts.pca_error


@pytest.mark.parametrize("part", NETWORKS, ids=lambda part: part.name)
def test_what_is_no_series_is_refused(part):
    with pytest.raises(SettingError, match=r"needs series \(channels, time\).*shape \(5,\)"):
        part.encoder((5,), 2)
