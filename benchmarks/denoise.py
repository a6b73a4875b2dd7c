"""Denoising: attar beside filters and transforms, on digits, photographs and series.

Gaussian noise is added to held-out data: 0.5 of the range of MNIST's digits, 25 of 255 in
photographs, half of the standard deviation of each channel of ETTh1; attar has other levels too.
It is trained on clean training data, either with noise of that level on its input, or once with
noise of many levels (recipe "denoising"): then the level is estimated from the noisy data. Filters
know the level; their settings are chosen on noisy training data. Peak signal to noise ratio in dB,
the range of series being four standard deviations.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from benchmarks._common import Rows, arguments, in_fresh_process, machine, mnist, show
from benchmarks.defaults import folder

# The side of photographs' tiles, and how many are cut at random from 240 photographs.
TILE, TILES = 8, 100_000

# Settings of each kind of data are chosen on so many of its training data.
CHOSEN_ON = 40

Method = Callable[[list[Rows], Any], list[Rows]]


def decibels(clean: Iterable[Rows], found: Iterable[Rows]) -> float:
    """Return the mean peak signal to noise ratio of values from 0 to 1."""
    pairs = zip(clean, found, strict=True)
    errors = [np.mean((np.clip(b, 0, 1) - a) ** 2) for a, b in pairs]
    return float(np.mean(10 * np.log10(1 / np.array(errors))))


def with_noise(data: list[Rows], level: float, seed: int) -> list[Rows]:
    """Return data with noise."""
    rng = np.random.default_rng(seed)
    return [rows + level * rng.normal(size=rows.shape) for rows in data]


def digits(seed: int) -> tuple[list[Rows], list[Rows], list[float]]:
    """Return training and test digits, from 0 to 1, and levels of noise."""
    chosen = np.random.default_rng(seed).permutation(10_000)[:500]
    return list(mnist("train") / 255), list(mnist("test")[chosen] / 255), [0.5, 0.25]


def photos(seed: int) -> tuple[list[Rows], list[Rows], list[float]]:
    """Return 240 training and 60 test photographs, from 0 to 1, and levels of noise."""
    from PIL import Image

    paths = sorted((folder() / "photos").glob("*.jpg"))
    found = [np.asarray(Image.open(path).convert("RGB")) / 255 for path in paths]
    return found[:240], found[240:], [25 / 255, 15 / 255, 50 / 255]


def series(seed: int) -> tuple[list[Rows], list[Rows], list[float]]:
    """Return the channels of ETTh1, twelve months and the last four; four deviations are 1."""
    frame = pd.read_csv(folder() / "series" / "ETTh1.csv").drop(columns="date")
    train, test = frame[:8640].to_numpy(), frame[11_520:14_400].to_numpy()
    mean, deviation = train.mean(0), train.std(0)
    scaled = [0.5 + (rows - mean) / deviation / 4 for rows in (train, test)]
    return list(scaled[0].T), list(scaled[1].T), [0.5 / 4, 0.25 / 4]


def attar(
    name: str, train: list[Rows], level: float | None, minutes: float
) -> Callable[[list[Rows]], list[Rows]]:
    """Return how ``attar.Autoencoder`` denoises, trained with noise of a level or of many."""
    from attar import Autoencoder, Series
    from attar.corruptions import GaussianNoise

    settings: dict[str, Any] = {"max_minutes": minutes, "random_state": 0, "verbose": False}
    settings["recipe"] = "denoising"
    if level is not None:
        settings["corruption"] = GaussianNoise(4 * level if name == "series" else level)
    if name == "series":
        model = Autoencoder(**settings).fit(Series(pd.DataFrame(np.stack(train, 1)), window=24))
        return lambda noisy: list(model.denoise(pd.DataFrame(np.stack(noisy, 1))).to_numpy().T)
    if name == "digits":
        model = Autoencoder(**settings).fit(np.stack(train))
        return lambda noisy: list(model.denoise(np.stack(noisy)))
    rng, tiles = np.random.default_rng(0), []
    for _ in range(TILES):
        photo = train[rng.integers(len(train))]
        y, x = (rng.integers(side - TILE + 1) for side in photo.shape[:2])
        tiles.append(photo[y : y + TILE, x : x + TILE])
    model = Autoencoder(code_size=TILE * TILE * 3, **settings).fit(np.float32(tiles))
    return lambda noisy: list(model.denoise([np.float32(photo) for photo in noisy]))


def total_variation(noisy: list[Rows], setting: float) -> list[Rows]:
    """Return data with less total variation."""
    from skimage.restoration import denoise_tv_chambolle

    return [denoise_tv_chambolle(x, weight=setting, channel_axis=_channels(x)) for x in noisy]


def non_local_means(noisy: list[Rows], setting: tuple[float, float]) -> list[Rows]:
    """Return means of patches that are alike."""
    from skimage.restoration import denoise_nl_means

    sigma, part = setting
    sizes = {"patch_size": 5, "patch_distance": 6}
    return [
        denoise_nl_means(x, h=part * sigma, sigma=sigma, channel_axis=_channels(x), **sizes)
        for x in noisy
    ]


def wavelets(noisy: list[Rows], setting: bool) -> list[Rows]:
    """Return data whose wavelet coefficients are shrunk (BayesShrink)."""
    from skimage.restoration import denoise_wavelet

    return [
        denoise_wavelet(
            np.clip(x, 0, 1) if setting else x,
            channel_axis=_channels(x),
            convert2ycbcr=setting,
            rescale_sigma=True,
        )
        for x in noisy
    ]


def bm3d(noisy: list[Rows], setting: float) -> list[Rows]:
    """Return what BM3D makes of photographs."""
    from bm3d import bm3d_rgb

    return [bm3d_rgb(x, setting) for x in noisy]


def components(train: list[Rows], noisy: list[Rows], setting: int) -> list[Rows]:
    """Return data by principal components of the training data."""
    from sklearn.decomposition import PCA

    flat = [np.stack(rows).reshape(len(rows), -1) for rows in (train, noisy)]
    model = PCA(setting, random_state=0).fit(flat[0])
    return list(model.inverse_transform(model.transform(flat[1])).reshape(-1, *noisy[0].shape))


def savitzky_golay(noisy: list[Rows], setting: tuple[int, int]) -> list[Rows]:
    """Return local polynomials."""
    from scipy.signal import savgol_filter

    return [savgol_filter(x, *setting) for x in noisy]


def kalman(noisy: list[Rows], setting: str) -> list[Rows]:
    """Return what Kalman's smoother makes of a structural model, fitted to each series."""
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    found = []
    for x in noisy:
        fit = UnobservedComponents(x, setting).fit(disp=False)
        found.append(fit.smoothed_state[0])
    return found


def _channels(x: Rows) -> int | None:
    return -1 if x.ndim == 3 else None


DATA = {"digits": digits, "photos": photos, "series": series}


def peers(name: str, train: list[Rows], level: float) -> dict[str, tuple[Method, list[Any]]]:
    """Return the peers on some data, and the settings of each that are tried on training data."""
    if name == "series":
        windows = [(w, o) for w in (5, 7, 9, 13, 19, 25) for o in (1, 2, 3) if o < w]
        return {
            "Savitzky-Golay": (savitzky_golay, windows),
            "Kalman smoother": (kalman, ["llevel", "lltrend"]),
        }
    strengths = [0.5 * level, 0.7 * level, level, 1.5 * level, 3 * level]
    found: dict[str, tuple[Method, list[Any]]] = {
        "total variation": (total_variation, strengths),
        "non-local means": (non_local_means, [(level, part) for part in (0.4, 0.6, 0.8)]),
        "wavelets": (wavelets, [False, True] if train[0].ndim == 3 else [False]),
    }
    if name == "digits":
        found["PCA"] = (partial(components, train[:20_000]), [15, 30, 60, 100])
    else:
        found["BM3D"] = (bm3d, [level])
    return found


def runs(name: str, contender: str, minutes: float, seed: int, tested: int) -> list[dict[str, Any]]:
    """Return the runs of a contender: of attar's models at each level, of others at the first."""
    train, clean, levels = DATA[name](seed)
    clean = clean[:: max(1, len(clean) // tested)]
    start, setting = time.process_time(), ""
    if contender == "noisy":
        methods = dict.fromkeys(levels, lambda noisy: noisy)
    elif contender == "attar (any level)":
        methods = dict.fromkeys(levels, attar(name, train, None, minutes))
    elif contender == "attar":
        methods = {level: attar(name, train, level, minutes) for level in levels}
    else:
        method, settings = peers(name, train, levels[0])[contender]
        # Of photographs few are enough to choose a setting on.
        some = train[:4] if name == "photos" else train[:CHOSEN_ON]
        known = with_noise(some, levels[0], seed + 1)
        if len(settings) > 1:
            settings = sorted(settings, key=lambda s: -decibels(some, method(known, s)))
        setting, methods = str(settings[0]), {levels[0]: partial(method, setting=settings[0])}
    results = []
    for level, method_of_level in methods.items():
        found = method_of_level(with_noise(clean, level, seed))
        results.append(
            {"data": name, "contender": contender, "level": level, "dB": decibels(clean, found)}
        )
    seconds = time.process_time() - start
    return [run | {"setting": setting, "seconds": seconds} for run in results]


def main() -> None:
    options = arguments(__doc__, seed=0, minutes=10, tested=500, data=",".join(DATA), without="")
    results = []
    for name in options.data.split(","):
        contenders = [
            "noisy",
            "attar",
            "attar (any level)",
            *peers(name, [np.zeros((1, 1, 3))], 1.0),
        ]
        for contender in contenders:
            if contender not in options.without.split(","):
                settings = float(options.minutes), options.seed, options.tested
                found = in_fresh_process(runs, name, contender, *settings)
                results += found
                print(json.dumps(found), flush=True)
    if not options.json:
        show(pd.DataFrame(results))
    print(json.dumps({"runs": results, "machine": machine("scikit-image", "statsmodels")}))


if __name__ == "__main__":
    main()
