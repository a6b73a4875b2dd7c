"""A program as users write it: `make lint` checks it with mypy in strict mode."""

from pathlib import Path

import numpy as np
import pandas as pd

import attar
from attar.bounds import ImportanceWeighted
from attar.codes import Gaussian
from attar.corruptions import Masking
from attar.networks import Mlp
from attar.priors import Vamp
from attar.training import Callback, Optimizer


def scores(frame: pd.DataFrame, folder: Path) -> np.ndarray:
    for recipe in ("ae", "vae"):
        attar.Autoencoder(recipe, 4).fit(frame.to_numpy())
    recipe_ = attar.Recipe(Gaussian(beta=2.0, prior=Vamp(30)), Masking(0.3))
    recipe_ = recipe_.replace(bound=ImportanceWeighted(5))
    ae = attar.Autoencoder(recipe_, network=Mlp((400, 200), "relu", dropout=0.1))
    ae = ae.set_params(optimizer=Optimizer("adamw"), callbacks=(Callback(),)).fit(frame)
    codes = ae.transform(frame)
    back = ae.inverse_transform(codes)
    metrics: dict[str, float] = ae.evaluate(frame, draws=8)
    print(back, metrics["error"], ae.score(frame), ae.code_size_, ae.history_.loss.iloc[-1])
    for finding in ae.diagnose():
        print(finding.problem, finding.advice)
    ae.save(folder / "m.attar")
    loaded = attar.Autoencoder.load(folder / "m.attar")
    sample = loaded.sample(3, sampler="mixture", random_state=0)
    print(sample, loaded.neighbours(frame, 2)[0].mean(), loaded.truncate(2).choices_[0].reason)
    series = attar.Series(frame, time="date", window=24)
    attar.Autoencoder().fit(series).reconstruct(series)
    attar.Autoencoder().fit(attar.Pictures(folder, "8x8")).interpolate("a.png", "b.png")
    clips = attar.Autoencoder().fit(attar.Sounds(folder, rate=8000, view="mel")).sample(2)
    print(clips.rate, clips[0].mean(), clips.names)
    tuning = attar.tune(frame, ae, {"learning_rate": (1e-3, 1e-1), "network": None}, trials=3)
    print(tuning.loss, tuning.trials.loss.min(), tuning.importance, tuning.estimator.code_size_)
    return ae.score_samples(frame)
