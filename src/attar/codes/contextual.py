"""Coefficients of blocks, quantized as a quality asks, each given those that were coded before."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from attar.codes.base import Code, CodeModule, LogLikelihood
from attar.errors import SettingError
from attar.networks.lapped import around, spectrum
from attar.priors import PriorModule
from attar.records import Coded

# The quality of codes where nothing else is asked for, and the number of qualities at which ratios
# of steps are learned; between these their logarithms are linear.
QUALITY, KNOTS = 0.5, 5

# The log-scale of a coefficient, in steps, is in this range.
LOG_SCALES = -5.0, 7.0

# In which pass a place of the grid is coded: means of blocks from far to near, low frequencies
# after those of half of the neighbours, high frequencies at once.
INTERLACED = ((0, 4, 2, 4), (4, 3, 4, 3), (2, 4, 1, 4), (4, 3, 4, 3))
CHECKERED = ((0, 1), (1, 0))
WHOLE = ((0,),)
# The spacing of the neighbours that the first passes know.
SPACINGS = (4, 4, 2, 2, 1)


@dataclass(frozen=True)
class Pass:
    """Coefficients that are coded at once, given all those of earlier passes.

    Attributes
    ----------
    first, last : int
        The channels of the grid: the first, and one beyond the last.
    pattern : tuple
        The number of the pass for each place of a tile of the grid.
    number : int
    spacing, radius : int
        Which neighbours of a place get these coefficients: their distance, and how many to a side.
    """

    first: int
    last: int
    pattern: tuple[tuple[int, ...], ...] = WHOLE
    number: int = 0
    spacing: int = 1
    radius: int = 1

    def places(self, height: int, width: int) -> Tensor:
        """Return the mask of the places of a grid: (height, width)."""
        tile = torch.tensor(self.pattern) == self.number
        times = -(-height // len(tile)), -(-width // tile.shape[1])
        return tile.tile(times)[:height, :width]


def passes(channels: int, coefficients: int) -> list[Pass]:
    """Return the passes over a grid, in their order.

    Parameters
    ----------
    channels : int
        Of the pixels: the first coefficients are their means.
    coefficients : int

    Examples
    --------
    >>> [(one.first, one.last) for one in passes(1, 64)[4:]][:5]
    [(0, 1), (1, 2), (1, 2), (2, 4), (2, 4)]
    """
    found = [Pass(0, channels, INTERLACED, i, s, 1 + (s == 1)) for i, s in enumerate(SPACINGS)]
    first, size = channels, channels
    while first < coefficients:
        last = min(coefficients, first + size)
        if size <= 8 * channels:
            found += [Pass(first, last, CHECKERED, i, radius=2) for i in (0, 1)]
        else:
            found.append(Pass(first, last))
        first, size = last, min(last, 32 * channels)
    return found


@dataclass(frozen=True)
class Contextual(Code, name="contextual"):
    """Quantized coefficients of blocks of an image, with a step for each quality.

    Coefficients are coded in passes, from the means of blocks to high frequencies. A network gets
    all that was coded before, and gives median m and scale s of a Laplace distribution of each
    coefficient y of the next pass. With the step Δ of its channel, a coefficient becomes
    m + Δ round((y - m) / Δ), at a rate of -log P(round((y - m) / Δ)). In training the rate is that
    of (y - m) / Δ + u, u uniform in [-1/2, 1/2]. Qualities from 0 to 1 are drawn in training; the
    last dimension of a code is its quality.

    Parameters
    ----------
    block : int
        Rows and columns of a block of pixels.
    hidden : int
        The units of the network.
    finest, coarsest : float
        The steps that the highest and the lowest quality stand for, where pixels are from 0 to 1;
        those of single coefficients are in learned ratios to them.

    Examples
    --------
    >>> import torch
    >>> from attar.codes.contextual import Contextual
    >>> code = Contextual(block=2).build(2 * 2 * 4 + 1, (1, 4, 4)).eval()
    >>> z = code.point(torch.ones(1, 16))
    >>> z.shape[1], z[0, -1].item()
    (17, 0.5)

    References
    ----------
    Ballé, Minnen, Singh, Hwang and Johnston, "Variational image compression with a scale
    hyperprior", ICLR 2018. He et al., "ELIC: efficient learned image compression with unevenly
    grouped space-channel contextual adaptive coding", CVPR 2022. Cui et al., "Asymmetric gained
    deep image compression with continuous rate adaptation", CVPR 2021.
    """

    block: int = 8
    hidden: int = 128
    finest: float = 0.025
    coarsest: float = 0.8

    beta = 1.0
    provides = frozenset({"density"})

    @property
    def least_size(self) -> int:
        """A coefficient and the quality."""
        return 2

    def size(self, features: int) -> int:
        """Return the code size of so many coefficients: one more."""
        return features + 1

    def width(self, code_size: int) -> int:
        """Return the number of coefficients."""
        return code_size - 1

    def noise(self, code_size: int) -> int:
        """Return 0: codes are random in training only."""
        return 0

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module, for images of a shape (channels, height, width)."""
        block = self.positive_integer("block")
        if len(shape) != 3:
            raise SettingError(
                "The code 'contextual' is of images (channels, height, width), but a row of this "
                f"data has shape {shape}: use another recipe."
            )
        grid = -(-shape[1] // block), -(-shape[2] // block)
        coefficients = shape[0] * block**2
        if code_size - 1 != grid[0] * grid[1] * coefficients:
            raise SettingError(
                f"The code 'contextual' has {grid[0] * grid[1] * coefficients + 1:,} dimensions "
                f"for images of shape {shape}, not {code_size:,}: leave code_size='auto'."
            )
        if not 0 < self.positive("finest") < self.positive("coarsest"):
            raise SettingError("The finest step must be smaller than the coarsest one.")
        steps = self.coarsest, self.finest
        return ContextualModule(
            ContextPrior(shape[0], block, grid, self.positive_integer("hidden"), steps)
        )


class ContextPrior(PriorModule):
    """The distribution of quantized coefficients, pass by pass.

    Parameters
    ----------
    channels, block : int
    grid : (int, int)
        Height and width of the grid of a row.
    hidden : int
    steps : (float, float)
        The first steps of the qualities 0 and 1.
    """

    scales: Tensor
    log_scales: Tensor

    def __init__(
        self,
        channels: int,
        block: int,
        grid: tuple[int, int],
        hidden: int,
        steps: tuple[float, float],
    ) -> None:
        super().__init__()
        self.grid, self.coefficients = grid, channels * block**2
        self.passes = passes(channels, self.coefficients)
        # The same on every machine, whatever the last digits of its logarithms.
        self.ends = [round(math.log(step) * (1 << 20)) / (1 << 20) for step in steps]
        self.log_ratios = nn.Parameter(torch.zeros(KNOTS * self.coefficients))
        self.register_buffer("scales", torch.tensor(spectrum(channels, block)))
        self.register_buffer("log_scales", self.scales.log())
        self.start = nn.Linear(KNOTS, hidden)
        sizes = [one.last - one.first for one in self.passes]
        neighbours = [(2 * one.radius + 1) ** 2 for one in self.passes]
        self.hidden = nn.ModuleList(nn.Linear(hidden, hidden) for _ in sizes)
        outputs = [nn.Linear(hidden, 2 * size) for size in sizes]
        updates = [nn.Linear(hidden, hidden) for _ in sizes]
        with torch.no_grad():
            for output, update in zip(outputs, updates, strict=True):
                output.weight.mul_(0.1)
                output.bias.zero_()
                update.weight.mul_(0.5)
        self.outputs, self.update = nn.ModuleList(outputs), nn.ModuleList(updates)
        self.context = nn.ModuleList(
            nn.Linear(n * size, hidden) for n, size in zip(neighbours, sizes, strict=True)
        )
        self.state = nn.ModuleList(nn.Linear(hidden, hidden, bias=False) for _ in sizes)

    def on_data(self, values: Tensor) -> None:
        """Do nothing: see :meth:`on_coefficients`."""

    @torch.no_grad()
    def on_coefficients(self, y: Tensor) -> None:
        """Start at the scales of coefficients (..., n)."""
        self.scales.copy_(y.flatten(0, -2).std(0).clamp_min(1e-4))
        self.log_scales.copy_(self.scales.log())

    def knots(self, quality: Tensor) -> Tensor:
        """Return the weights of the learned qualities for qualities (B,): (B, KNOTS)."""
        places = torch.arange(KNOTS).to(quality)
        return functional.relu(1 - (quality[:, None] * (KNOTS - 1) - places).abs())

    def log_step(self, quality: Tensor) -> Tensor:
        """Return the logarithm of the step that qualities (B,) stand for: (B,)."""
        first, last = self.ends
        return first + (last - first) * quality

    def log_steps(self, quality: Tensor) -> Tensor:
        """Return the logarithms of the steps of coefficients at qualities (B,): (B, n)."""
        ratios = self.knots(quality) @ self.log_ratios.reshape(KNOTS, -1)
        return self.log_step(quality)[:, None] + ratios

    def first_state(self, quality: Tensor, height: int, width: int) -> Tensor:
        """Return the state before the first pass: (B, height, width, hidden)."""
        found: Tensor = self.start(self.knots(quality))
        return found[:, None, None].expand(-1, height, width, -1)

    def medians(self, i: int, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return median and log-scale of the coefficients of pass i from states (..., hidden)."""
        one = self.passes[i]
        scales = self.scales[one.first : one.last]
        found = self.outputs[i](functional.relu(self.hidden[i](state)))
        median, log_ratio = found.chunk(2, -1)
        return median * scales, log_ratio

    def log_scale(self, one: Pass, log_ratio: Tensor, log_steps: Tensor) -> Tensor:
        """Return the log-scales in steps, of which the network gives the ratio to all rows'."""
        usual = self.log_scales[one.first : one.last] - 0.5
        return (log_ratio + usual - log_steps[..., one.first : one.last]).clamp(*LOG_SCALES)

    def next_state(self, i: int, state: Tensor, known: Tensor) -> Tensor:
        """Return the state after pass i, of which coefficients (B, h, w, size) are known or 0."""
        one = self.passes[i]
        margin = one.radius * one.spacing
        padded = functional.pad(known / self.scales[one.first : one.last], (0, 0, *[margin] * 4))
        context = self.context[i](around(padded, one.radius, one.spacing))
        update: Tensor = self.update[i](functional.relu(context + self.state[i](state)))
        return state + update

    def quantized(self, y: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """Return quantized coefficients (B, h, w, n), and their rate in nats (B,).

        In training gradients pass through the rounding, and the rate is that of noisy ones.
        """
        log_steps = self.log_steps(quality)[:, None, None]
        steps, state = log_steps.exp(), self.first_state(quality, *y.shape[1:3])
        rate, known = y.new_zeros(len(y)), torch.zeros_like(y)
        for i, one in enumerate(self.passes):
            channels = slice(one.first, one.last)
            places = one.places(*y.shape[1:3]).to(y)[..., None]
            median, log_ratio = self.medians(i, state)
            scale = self.log_scale(one, log_ratio, log_steps).exp()
            exact = (y[..., channels] - median) / steps[..., channels]
            rounded = exact + (exact.round() - exact).detach()
            coded = exact + torch.rand_like(exact) - 0.5 if self.training else rounded
            rate = rate + (nats(coded, scale) * places).sum((1, 2, 3))
            found = (median + rounded * steps[..., channels]) * places
            known = known + functional.pad(found, (one.first, y.shape[-1] - one.last))
            state = self.next_state(i, state, found)
        return known, rate

    def log_prob(self, z: Tensor) -> Tensor:
        """Return minus the rate of codes (..., d)."""
        flat = z.reshape(-1, z.shape[-1])
        y = flat[:, :-1].reshape(len(flat), *self.grid, self.coefficients)
        return -self.quantized(y, flat[:, -1])[1].reshape(z.shape[:-1])

    @torch.no_grad()
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Return draws, pass by pass."""
        quality = self.scales.new_full((n,), QUALITY)
        log_steps = self.log_steps(quality)[:, None, None]
        state = self.first_state(quality, *self.grid)
        known = self.scales.new_zeros(n, *self.grid, self.coefficients)
        for i, one in enumerate(self.passes):
            channels = slice(one.first, one.last)
            places = one.places(*self.grid).to(known)[..., None]
            median, log_ratio = self.medians(i, state)
            scale = self.log_scale(one, log_ratio, log_steps).exp()
            uniform = torch.rand(median.shape, generator=generator).to(known) - 0.5
            laplace = -uniform.sign() * (1 - 2 * uniform.abs()).clamp_min(1e-7).log()
            found = median + (scale * laplace).round() * log_steps[..., channels].exp()
            known[..., channels] += found * places
            state = self.next_state(i, state, found * places)
        return torch.cat([known.flatten(1), quality[:, None]], 1).cpu()


class ContextualModule(CodeModule):
    """Quantizes coefficients at a quality."""

    prior: ContextPrior

    def forward(
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return the codes of features (B, w): in training, each at a random quality."""
        quality = features.new_full((len(features),), QUALITY)
        if self.training:
            quality = torch.rand_like(quality)
        z, rate = self._coded(features, quality)
        samples = 1 if noise is None else len(noise)
        rate = rate.expand(samples, -1)
        return Coded(z.expand(samples, -1, -1), rate, torch.zeros_like(rate), -rate)

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return the code of each row at the middle quality: (B, d)."""
        return self._coded(features, features.new_full((len(features),), QUALITY))[0]

    def decoder_input(self, z: Tensor) -> Tensor:
        """Return coefficients, and the log-step that the quality stands for: (n, d)."""
        return torch.cat([z[:, :-1], self.prior.log_step(z[:, -1:])], 1)

    def on_data(self, values: Tensor, features: Tensor) -> None:
        """Start at the scales of coefficients."""
        self.prior.on_coefficients(self._grid(features))

    def _grid(self, features: Tensor) -> Tensor:
        return features.reshape(len(features), *self.prior.grid, self.prior.coefficients)

    def _coded(self, features: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        known, rate = self.prior.quantized(self._grid(features), quality)
        return torch.cat([known.flatten(1), quality[:, None]], 1), rate


def nats(x: Tensor, scale: Tensor) -> Tensor:
    """Return -log P of steps x under a Laplace distribution around 0, in steps of 1.

    P is the probability of [x - 1/2, x + 1/2].

    Examples
    --------
    >>> from scipy.stats import laplace
    >>> p = laplace(scale=2.0).cdf(1.5) - laplace(scale=2.0).cdf(0.5)
    >>> bool(abs(nats(torch.tensor(1.0), torch.tensor(2.0)) + math.log(p)) < 1e-6)
    True
    """
    distance = x.abs()
    near = 0.5 * torch.exp(-(distance - 0.5).abs() / scale)
    beyond = near * -torch.expm1(-1 / scale)
    within = 1 - near - 0.5 * torch.exp(-(distance + 0.5) / scale)
    return -torch.where(distance < 0.5, within, beyond).clamp_min(1e-6).log()
