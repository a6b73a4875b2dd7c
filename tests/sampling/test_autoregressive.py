import math

import pytest
import torch

from attar.codes import Gaussian, Gumbel, ResidualQuantized, VectorQuantized
from attar.errors import SettingError
from attar.sampling import Autoregressive

CHAIN = torch.tensor([[0.8, 0.2, 0.0, 0.0], [0.1, 0.1, 0.8, 0.0], [0.0, 0.3, 0.0, 0.7], [0.25] * 4])
SMALL = Autoregressive(hidden=32, steps=120)
FIRST = torch.tensor([0.4, 0.3, 0.2, 0.1])


def generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def chained():
    """Return a code of five symbols, and codes whose symbols are a Markov chain."""
    random = generator(0)
    symbols = [torch.multinomial(FIRST, 4000, replacement=True, generator=random)]
    for _ in range(4):
        symbols.append(torch.multinomial(CHAIN[symbols[-1]], 1, generator=random)[:, 0])
    code = Gumbel().build(20).eval()
    return code, code.vectors(torch.stack(symbols, -1))


@pytest.fixture(scope="module")
def drawn(chained):
    code, codes = chained
    return code.symbols(SMALL.fit(code, codes)(10_000, generator(1)))


def test_the_first_symbols_have_their_frequencies(drawn):
    shares = torch.bincount(drawn[:, 0], minlength=4) / 10_000
    torch.testing.assert_close(shares, FIRST, rtol=0, atol=0.03)


def test_it_learns_the_transitions_of_a_markov_chain(drawn):
    for position in range(4):
        before, after = drawn[:, position], drawn[:, position + 1]
        for symbol in range(4):
            follows = after[before == symbol]
            shares = torch.bincount(follows, minlength=4) / len(follows)
            torch.testing.assert_close(shares, CHAIN[symbol], rtol=0, atol=0.08)


def test_it_learns_a_dependence_that_the_uniform_prior_has_not():
    code = Gumbel().build(8).eval()
    same = torch.arange(1000).remainder(4)[:, None].expand(-1, 2)
    draw = SMALL.fit(code, code.vectors(same))
    agree = [
        (s[:, 0] == s[:, 1]).float().mean()
        for s in (
            code.symbols(draw(2000, generator(0))),
            code.symbols(code.prior.sample(2000, generator(0))),
        )
    ]
    assert agree[0] > 0.98
    assert agree[1] < 0.3


def test_symbols_of_a_large_codebook_are_represented_by_their_vectors():
    """Two equal halves are learned though most symbols occur only once."""
    code = VectorQuantized(codebook=256, dim=2).build(4).eval()
    start = torch.randn(600, 2)
    codes = code.constrain(torch.cat([start, start + 0.1 * torch.randn(600, 2)], -1))
    drawn = SMALL.fit(code, codes[:300])(2000, generator(0))
    distance = (drawn[:, :2] - drawn[:, 2:]).square().sum(-1).mean().sqrt()
    even = code.prior.sample(2000, generator(0))
    assert distance < 0.5 * (even[:, :2] - even[:, 2:]).square().sum(-1).mean().sqrt()


def test_draws_are_valid_codes_and_equal_for_equal_seeds():
    code = ResidualQuantized(codebook=8).build(16).eval()
    codes = code.prior.sample(50)
    before = torch.get_rng_state()
    first, second = (Autoregressive(steps=20).fit(code, codes) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    z = first(30, generator(2))
    assert torch.equal(second(30, generator(2)), z)
    assert not torch.equal(second(30, generator(3)), z)
    assert torch.equal(code.constrain(z), z)
    assert not z.requires_grad


def test_a_single_position_has_its_frequencies():
    code = Gumbel().build(4).eval()
    codes = code.vectors(torch.tensor([[0]] * 60 + [[3]] * 20))
    symbols = code.symbols(SMALL.fit(code, codes)(4000, generator(0)))
    shares = torch.bincount(symbols[:, 0], minlength=4) / 4000
    error = 4 * math.sqrt(0.75 * 0.25 / 4000)
    assert shares.tolist() == pytest.approx([0.75, 0, 0, 0.25], abs=error + 0.01)


def test_frequent_symbols_may_have_rare_neighbours():
    code = VectorQuantized(codebook=32, dim=1).build(1).eval()
    code.quantizer.entries.copy_(torch.linspace(-1, 1, 32)[:, None])
    even = code.vectors(torch.arange(0, 32, 2)[:, None])
    draw = Autoregressive(hidden=4, steps=200).fit(code, even)
    symbols = code.symbols(draw(1000, generator(0)))
    assert (symbols % 2 == 0).float().mean() > 0.75


def test_a_continuous_code_is_refused():
    with pytest.raises(
        SettingError, match=r"'autoregressive' needs a discrete code, and GaussianModule is none"
    ):
        Autoregressive().fit(Gaussian().build(2), torch.zeros(3, 2))
