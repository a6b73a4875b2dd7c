"""What suits some data: likelihood, network, code size, batch size, epochs."""

from __future__ import annotations

import math

import numpy as np

from attar.codes import Code, Point
from attar.corruptions import Corruption, Distortion, Masking, SpectrogramAugmentation, SwapNoise
from attar.data.cells import Boolean, Category, Component, Number, Phase
from attar.data.images import Images
from attar.data.kind import Kind, Rows
from attar.data.preparation import Preparation
from attar.data.recordings import SoundWindows
from attar.data.scaling import Between, Scaler, Scaling, Standard
from attar.data.series import Windows
from attar.data.sparse import SparseMatrix
from attar.data.summary import Summary, with_means
from attar.data.table import Table
from attar.data.text import Text
from attar.data.views import LogMel
from attar.error_bounds import error_bounds
from attar.errors import DataError, SettingError, warn
from attar.likelihoods import (
    Alphabet,
    Bernoulli,
    Categorical,
    Causal,
    Circular,
    Derived,
    Discretized,
    FixedGaussian,
    HeteroscedasticGaussian,
    Huber,
    Language,
    Laplace,
    LearnedGaussian,
    Levels,
    Likelihood,
    Mixed,
    Multinomial,
    MultiScaleMel,
    OneHot,
    Poisson,
    StudentT,
)
from attar.likelihoods.intensities import Intensities, are_smooth
from attar.likelihoods.lattices import alphabet_of
from attar.networks import (
    Asymmetric,
    Bag,
    Conv,
    Lapped,
    Mlp,
    Network,
    Spectral,
    Spectrogram,
    Tcn,
    TextTransformer,
)
from attar.penalties import Views
from attar.recipe import Recipe
from attar.training.optim import Optimizer

# How many steps a training has, about: of Adam's, and of Muon's up to so many rows.
STEPS, MUON_STEPS, MUON_ROWS = 8000, 1200, 8000

# The gradient of a row far out is longer than this by orders of magnitude, and others are shorter.
CLIP = 3.0

# Images of more cells have no linear shortcut, which would have most of the weights.
LINEAR_CELLS = 1 << 16

# A batch of images has at most so many pixels.
PIXELS = 1 << 19

# The places of a batch that a causal likelihood is trained on.
EXAMPLES = 1 << 15

# A batch of a codec of pictures has about so many pixels.
CODED, CODED_STEPS = 1 << 17, 6000

# The latent dimensions of text, the texts of a batch, and how many steps a training has.
TEXT, TEXTS, TEXT_STEPS = 256, 64, 2500

# So many windows of sound are a batch.
SOUNDS = 16

# So many rows are a batch where their codes' covariance is penalized.
VIEWS = 256

# Of a series so many steps are seen at once: a day of hours, and the present one.
SEEN = 25

# Columns of more excess kurtosis have heavy tails; a normal's is 0, a Laplace distribution's 3.
HEAVY = 6.0


def choose_likelihood(
    preparation: Preparation, summary: Summary, prepared: Rows, recipe: Recipe
) -> tuple[Likelihood, str]:
    """Return the likelihood for the columns of a table, sparse counts, or plain numbers.

    Plain numbers get a Bernoulli where nearly all are close to 0 or 1, else a Gaussian.

    Parameters
    ----------
    preparation : Preparation
    summary : Summary
    prepared : array (n, ...)
        A sample of the rows, prepared.
    recipe : Recipe
    """
    kind = preparation.kind
    if (
        isinstance(kind, SparseMatrix)
        and not kind.partial
        and are_counts(kind.columns(summary.sample))
    ):
        if recipe.corruption is not None and "missing" in recipe.corruption.provides:
            return Poisson(), "counts, of which only masked ones are in the loss"
        total = summary.moments.mean[0] * summary.moments.count[0] / summary.rows
        return Multinomial(float(total)), "rows of counts"
    if isinstance(kind, Table) and kind.names is not None:
        columns = column_likelihoods(kind, preparation.scaler, prepared, recipe)
        if any(column != LearnedGaussian() for column in columns):
            return Mixed(columns), "a likelihood for each column"
    known = prepared[~np.isnan(prepared)]
    if len(known) and 0 <= known.min() < known.max() <= 1:
        extreme = float(np.mean((known <= 0.1) | (known >= 0.9)))
        # Squashed by one value far out, all others are near 0; then the variance is far smaller.
        binary = known.var() >= 0.5 * known.mean() * (1 - known.mean())
        if extreme >= 0.8 and binary:
            return Bernoulli(), f"{extreme:.0%} of the cells are near 0 or 1"
    if recipe.code.beta:
        return LearnedGaussian(), "the KL term needs an error in nats"
    return FixedGaussian(), "real values"


def are_counts(values: Rows) -> bool:
    """Return whether all values are non-negative integers."""
    return bool((values >= 0).all() and (values == np.rint(values)).all())


def column_likelihoods(
    kind: Table, scaler: Scaler, prepared: Rows, recipe: Recipe
) -> tuple[Likelihood, ...]:
    """Return a likelihood for each cell of a table.

    Parameters
    ----------
    kind : Table
    scaler : Scaler
    prepared : array (n, features)
        A sample of the rows, prepared.
    recipe : Recipe
    """
    scales = np.broadcast_to(scaler.scale.numpy(), len(kind.cells))
    powers = np.ones(len(scales)) if scaler.power is None else scaler.power[0].numpy()
    chosen: list[Likelihood] = []
    for cell, scale, power, segment in zip(
        kind.cells, scales, powers, kind.expansion.segments, strict=True
    ):
        match cell:
            case Category():
                chosen.append(Categorical(len(cell.features)))
            case Phase():
                chosen.append(Circular())
            case Boolean():
                chosen.append(Bernoulli())
            case Component():
                # Rates are in nats; else a text counts as much as a number.
                weight = 1.0 if recipe.code.beta else 1 / cell.size
                chosen.append(LearnedGaussian(1 / cell.size, weight))
            case Number(integer=True) if power == 1:
                chosen.append(Discretized(1 / float(scale)))
            case _:
                heavy = has_heavy_tails(prepared[:, segment.start])
                chosen.append(StudentT() if heavy else LearnedGaussian())
    return tuple(chosen)


def has_heavy_tails(column: Rows) -> bool:
    """Return whether the distribution of numbers (NaN left out) has heavy tails.

    A column of mostly one value has none: its other values are not outliers.
    """
    known = column[~np.isnan(column)].astype(np.float64)
    if not len(known):
        return False
    low, high = np.percentile(known, [25, 75])
    if low == high:
        return False
    return float(np.mean(((known - known.mean()) / known.std()) ** 4)) - 3 > HEAVY


def choose_recipe(kind: Kind) -> tuple[str, str]:
    """Return the name of the recipe that suits a kind of data."""
    return ("text", "for text") if isinstance(kind, Text) else ("ae", "the plain autoencoder")


def of_text(recipe: Recipe) -> Recipe:
    """Return a recipe for text, with the network and the likelihood of tokens.

    Raises
    ------
    SettingError
        If a part of it is for numbers.
    """
    if recipe.corruption is not None and not isinstance(recipe.corruption, Masking):
        raise SettingError(
            f"The corruption {recipe.corruption.name!r} is for numbers, but the data are text: use "
            "'masking', which deletes tokens."
        )
    return recipe.replace(
        network=recipe.network or TextTransformer(), likelihood=recipe.likelihood or Language()
    )


def superposed(code: Code, size: int) -> int:
    """Return how many latent dimensions of text are superposed tokens: half of a plain code's.

    A random or a quantized code has errors, in which superposed tokens are lost.
    """
    return size // 2 if isinstance(code, Point) and code.activation == "identity" else 0


def choose_augmentation(kind: Kind) -> tuple[Corruption, str]:
    """Return the augmentation that suits a kind of data."""
    if isinstance(kind, Images):
        return Distortion(), "for images"
    if isinstance(kind, SoundWindows) and isinstance(kind.view, LogMel):
        return SpectrogramAugmentation(), "for log-mel frames"
    if isinstance(kind, Table):
        widths = tuple(len(cell.features) for cell in kind.cells)
        return SwapNoise(widths=widths if max(widths) > 1 else ()), "for tables"
    return Masking(), f"for {kind.name}"


def choose_network(kind: Kind, recipe: Recipe) -> tuple[Network, str]:
    """Return embedding bags for sparse rows, convolutions for series, samples and large images.

    Anything else gets a multilayer perceptron with a linear shortcut, log-mel frames too: on spoken
    digits it reached a smaller error than convolutions did in twice the time.
    """
    shape = kind.shape
    cells = math.prod(shape)
    if isinstance(kind, SparseMatrix):
        return Bag(), f"sparse rows of {cells:,} cells"
    if len(shape) == 2:
        return Tcn(), f"{kind.name} of {shape[0]:,} channels and {shape[1]:,} steps"
    if isinstance(kind, Images) and isinstance(recipe.corruption, Distortion):
        stages = max(1, math.ceil(math.log2(min(shape[1:]) / 4)))
        channels = tuple(min(128, 32 << stage) for stage in range(stages))
        return Asymmetric(channels), f"two views of images of {cells:,} cells"
    if isinstance(recipe.corruption, SpectrogramAugmentation):
        return Spectrogram(), f"two views of {kind.name} of {cells:,} cells"
    if isinstance(kind, Images) and cells > 1024:
        conv = choose_conv(min(shape[1:])).replace(shortcut=cells <= LINEAR_CELLS)
        return conv, f"images of {cells:,} cells"
    widest = 512 if cells > 256 else 256
    return Mlp((widest, widest // 2), "silu", shortcut=True), f"rows of {cells:,} cells"


def choose_conv(side: int) -> Conv:
    """Return convolutions that halve the shorter side of images until it is at most 8 pixels.

    The linear layer would else have most weights. Images of up to 64 pixels have three stages.
    """
    stages = max(3, math.ceil(math.log2(side / 8)))
    return Conv() if stages == 3 else Conv((16, 32, 64, *[128] * (stages - 3)))


def choose_code_size(kind: Kind, prepared: Rows, share: float = 0.85) -> tuple[int, str]:
    """Return about as many latent dimensions as PCA needs for 85% of the variance.

    They are fewer than the columns that vary: as many could hold a copy of them. Much of the
    variance of counts is noise, which no code can hold: sparse rows get at most 64.

    Parameters
    ----------
    kind : Kind
    prepared : array (n, ...)
        A sample of the rows, prepared.
    share : float
        The fraction of the variance.
    """
    if isinstance(kind, Text):
        return TEXT, "for text"
    matrix = with_means(prepared.reshape(len(prepared), -1))
    if matrix.shape[1] <= len(matrix):
        small = np.cov(matrix.astype(np.float64), rowvar=False, ddof=0).reshape(-1, matrix.shape[1])
    else:  # the Gram matrix of wide rows has the same eigenvalues, and needs no centred copy
        small = (matrix @ matrix.T).astype(np.float64)
        rounding = 1e-6 * small.max(initial=0)
        small = small - small.mean(0) - small.mean(1)[:, None] + small.mean()
        small[np.abs(small) <= rounding] = 0
    variances = np.linalg.eigvalsh(small)[::-1].clip(0)
    if not variances.sum():
        return 1, "all rows are equal"
    needed = int(np.searchsorted(np.cumsum(variances) / variances.sum(), share)) + 1
    reason = f"{needed} principal components hold {share:.0%} of the variance"
    size = _round(needed, most=64 if isinstance(kind, SparseMatrix) else 256)
    # Where missing cells are the mean, a constant column varies by rounding.
    columns = kind.columns_with(np.ptp(matrix, axis=0) > 1e-6 * np.abs(matrix).max(axis=0))
    if size < columns:
        return size, reason
    return max(1, columns - 1), f"{columns:,} columns vary" if columns > 1 else "1 column varies"


def warn_of_activation(likelihood: Likelihood, limits: tuple[float, float], prepared: Rows) -> None:
    """Warn where the decoder's last activation keeps it from the data.

    Parameters
    ----------
    likelihood : Likelihood
    limits : pair of float
        Between which the decoder's outputs are.
    prepared : array (n, ...)
    """
    (least, most), low, high = limits, np.nanmin(prepared), np.nanmax(prepared)
    outputs = f"The decoder's outputs are all from {least:g} to {most:g}, but the"
    if isinstance(likelihood, Bernoulli) and limits != (-math.inf, math.inf):
        sigmoid = "use likelihood='bernoulli-probability', or " * (limits == (0, 1))
        warn(
            f"{outputs} likelihood 'bernoulli' takes logits: {sigmoid}leave out the decoder's last "
            "activation."
        )
    location = FixedGaussian | LearnedGaussian | StudentT | Laplace | Huber
    if isinstance(likelihood, location) and (low < least - 0.01 or high > most + 0.01):
        warn(
            f"{outputs} prepared values are from {low:.2g} to {high:.2g}: leave out the decoder's "
            "last activation, or use scaling='min-max'."
        )


def exact_scaling(kind: Kind) -> Scaling:
    """Return the scaling of values that are symbols: pixels from 0 to 1, anything else standard."""
    if isinstance(kind, Images):
        return Between((0.0,), (levels_of(kind) - 1.0,), tail=0.0)
    return Standard()


def levels_of(kind: Images) -> int:
    """Return how many levels a pixel can have.

    Raises
    ------
    DataError
        If pixels are neither unsigned integers of 8 or 16 bits nor booleans.
    """
    levels = {"uint8": 256, "uint16": 1 << 16, "bool": 2}.get(np.dtype(kind.dtype).name)
    if levels is None:
        raise DataError(
            "The likelihood 'causal' needs images of unsigned integers of 8 or 16 bits, or of "
            f"booleans, not of the type {kind.dtype}: convert them."
        )
    return levels


def choose_alphabets(likelihood: Causal, preparation: Preparation, summary: Summary) -> Causal:
    """Return the likelihood with an alphabet for each channel or column.

    Raises
    ------
    DataError
        If the data are of a kind that has none, or pixels are of another type.
    SettingError
        If there is an error bound for what are no numbers.
    """
    kind, sample = preparation.kind, summary.sample
    if isinstance(kind, Images):
        if likelihood.error_bound or likelihood.error_bounds:
            raise SettingError("Error bounds are for numbers of tables and series, not for images.")
        levels, pixels = levels_of(kind), sample.astype(np.int64)
        if levels > 256 or (levels == 256 and are_smooth(pixels)):
            return likelihood.replace(alphabets=(Intensities(levels),) * kind.shape[0])
        modes = [
            int(np.bincount(channel.ravel()).argmax()) for channel in np.moveaxis(pixels, 1, 0)
        ]
        return likelihood.replace(alphabets=tuple(Levels(levels, m) for m in modes))
    if not isinstance(kind, Table | Windows):
        raise DataError(
            "The likelihood 'causal' is for tables, series and images, not for "
            f"{kind.name}: give a table."
        )
    scaler = preparation.scaler
    shifts, scales = (
        np.broadcast_to(x.numpy().ravel(), sample.shape[1]) for x in (scaler.shift, scaler.scale)
    )
    bounds = error_bounds(likelihood, kind, kind.columns(sample))
    if isinstance(kind, Windows):
        columns = enumerate(kind.columns(sample).T)
        channels = [
            alphabet_of(x, float(shifts[i]), float(scales[i]), bound=bounds[i]) for i, x in columns
        ]
        steps = max(2, min(SEEN, kind.window))
        return likelihood.replace(alphabets=tuple(channels), window=(steps,))
    alphabets: list[Alphabet] = []
    for i, cell in enumerate(kind.cells):
        counts = np.unique_counts(sample[:, i][~np.isnan(sample[:, i])])
        mode = int(counts.values[counts.counts.argmax()]) if len(counts.values) else 0
        match cell:
            case Category():
                alphabets.append(OneHot(len(cell.features), max(0, mode)))
            case Boolean():
                alphabets.append(Levels(2, mode))
            case Phase():
                alphabets.append(Derived(len(cell.features)))
            case _:
                known = sample[:, i], float(shifts[i]), float(scales[i])
                alphabets.append(alphabet_of(*known, bound=bounds[i]))
    return likelihood.replace(alphabets=tuple(alphabets), window=())


def choose_optimizer(network: Network, likelihood: Likelihood) -> tuple[Optimizer, str]:
    """Return Muon for causal likelihoods and for networks that start from a linear model.

    Convolutions that start so need small steps. Images have many examples in each row: gradients
    have little noise, are whitened in each step, and weights need no decay.
    """
    if isinstance(likelihood, Causal):
        images = len(likelihood.window) == 2
        settings = {"every": 1, "weight_decay": 0.0} if images else {}
        return Optimizer("muon", settings), "takes the fewest steps"
    if isinstance(network, Asymmetric) or (isinstance(network, Mlp) and network.shortcut):
        return Optimizer("muon", clip=CLIP), "takes the fewest steps"
    if isinstance(network, TextTransformer):
        return Optimizer("adamw", {"lr": 0.001, "betas": (0.9, 0.98)}, clip=1.0), "of transformers"
    if isinstance(network, Spectral):
        return Optimizer("adam", {"lr": 0.002, "betas": (0.8, 0.99)}), "learns phases"
    if isinstance(network, Spectrogram):
        return Optimizer("adam", {"lr": 0.002}), "of two views of sound"
    if isinstance(network, Lapped):
        settings = {"lr": 0.015, "weight_decay": 0.0, "every": 5, "relative_rate": 0.2}
        return Optimizer("muon", settings), "takes the fewest steps"
    if isinstance(network, Conv) and network.shortcut:
        return Optimizer("muon", {"lr": 0.0015}, clip=CLIP), "starts at principal components"
    return Optimizer(), "works for any network"


def choose_batch_size(
    n: int, shape: tuple[int, ...], optimizer: Optimizer, likelihood: Likelihood, recipe: Recipe
) -> tuple[int, str]:
    """Return the power of two nearest to the square root of the number of rows, 32 to 1,024.

    Muon's get twice as many, as its steps cost more. Of large images fewer: convolutions need the
    memory of many feature maps for each pixel. To a causal likelihood each place is an example. The
    covariance of two views' codes is that of a batch, which must be large.
    """
    if isinstance(likelihood, Causal) and likelihood.window:
        places = math.prod(shape[1:])
        return max(1, min(32, EXAMPLES // places)), f"rows of {places:,} places"
    if isinstance(likelihood, MultiScaleMel):
        return SOUNDS, "rows of samples"
    if isinstance(likelihood, Language):
        return TEXTS, "texts"
    if isinstance(likelihood, HeteroscedasticGaussian):
        places = math.prod(shape[1:])
        return max(1, min(64, CODED // places)), f"images of {places:,} pixels"
    doubled = optimizer.name == "muon"
    size, reason = 2 ** min(10, max(5, round(math.log2(math.sqrt(n))) + doubled)), f"{n:,} rows"
    if any(isinstance(penalty, Views) for penalty in recipe.penalties):
        size, reason = VIEWS, "covariances of codes"
    most = max(1, PIXELS // math.prod(shape[1:])) if len(shape) == 3 else size
    if size <= most:
        return size, reason
    return 2 ** int(math.log2(most)), f"rows of {shape[1]} x {shape[2]} cells need much memory"


def choose_epochs(
    n: int, size: int, optimizer: Optimizer, code: Code, likelihood: Likelihood
) -> tuple[int, str]:
    """Return the number of epochs that makes about 8,000 steps, 10 to 400.

    Of Muon's, 1,200 do for up to 8,000 rows, and twice as many where the code is random or
    quantized. A causal likelihood has 4 to 100 epochs.
    """
    per_epoch, total = -(-n // size), float(STEPS)
    if isinstance(likelihood, Causal):
        return min(100, max(4, round(total / per_epoch))), f"{per_epoch:,} steps per epoch"
    if isinstance(likelihood, HeteroscedasticGaussian):
        return min(400, max(4, round(CODED_STEPS / per_epoch))), f"{per_epoch:,} steps per epoch"
    if isinstance(likelihood, Language):
        return min(100, max(1, round(TEXT_STEPS / per_epoch))), f"{per_epoch:,} steps per epoch"
    if optimizer.name == "muon":
        total = MUON_STEPS * max(1, n / MUON_ROWS) ** 0.75 * (1 + ("density" in code.provides))
    reason = f"{per_epoch:,} step{'s' * (per_epoch > 1)} per epoch"
    return min(400, max(10, round(total / per_epoch))), reason


def _round(number: int, most: int) -> int:
    """Return the nearest of 1, 2, 3, 4, 6, 8, 12, 16, 24, ..., 256, and ``most`` at most."""
    nice = sorted({1, *(2**i for i in range(1, 9)), *(3 * 2**i for i in range(7))})
    nearest: int = min(nice, key=lambda size: abs(math.log(size / number)))
    return min(most, nearest)
