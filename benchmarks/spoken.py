"""Spoken digits from codes that were learned without labels, by a logistic regression.

Of ``fsdd`` recordings 5 to 9 of each digit and speaker are held out, or a whole speaker is, who is
then heard neither by the codes nor by the classifier. Beside them MFCC: mean, standard deviation
and slope over time of each coefficient. The code of a recording is the mean of its windows' codes.
"""

from __future__ import annotations

import argparse
import io
import json
import time
import zipfile
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.fft import dct
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import attar
from benchmarks._common import data_folder

RATE, WINDOW, CEPSTRA = 8000, 1.0, 13
# Held out are the recordings below this number.
FIRST = 10

Matrix = NDArray[np.float64]
Digits = NDArray[np.str_]
Mask = NDArray[np.bool_]


class Recordings:
    """The recordings, with digit, speaker and number of each."""

    def __init__(self, folder: Path) -> None:
        names, self.samples = list[list[str]](), list[NDArray[np.float32]]()
        with zipfile.ZipFile(folder / "speech" / "fsdd.zip") as archive:
            for name in sorted(n for n in archive.namelist() if n.endswith(".wav")):
                names.append(Path(name).stem.split("_"))
                self.samples.append(
                    soundfile.read(io.BytesIO(archive.read(name)), dtype="float32")[0]
                )
        self.digits, self.speakers, numbers = map(np.array, zip(*names, strict=True))
        self.numbers = numbers.astype(int)

    def sounds(self, which: Mask) -> attar.Sounds:
        """Return some recordings, in windows of a second."""
        samples = [clip for clip, wanted in zip(self.samples, which, strict=True) if wanted]
        return attar.Sounds(samples, rate=RATE, window=WINDOW)

    def mfcc(self) -> Matrix:
        """Return mean, standard deviation and slope of the MFCC of each recording."""
        features = []
        for clip in self.samples:
            view = attar.Sounds([clip], rate=RATE, window=len(clip) / RATE).view
            padded = np.pad(clip, (0, view.window - len(clip)))[None, None]
            cepstra = dct(view.rows(padded)[0, 0], axis=0, norm="ortho")[:CEPSTRA]
            time = np.linspace(-1, 1, cepstra.shape[1])
            mean = cepstra.mean(1)
            slope = (cepstra - mean[:, None]) @ time / (time @ time)
            features.append(np.concatenate([mean, cepstra.std(1), slope]))
        return np.array(features)


def accuracy(train: Matrix, digits: Digits, test: Matrix, truth: Digits) -> float:
    """Return the accuracy of a logistic regression on standardized features."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return float(classifier.fit(train, digits).score(test, truth))


def codes(ae: attar.Autoencoder, sounds: attar.Sounds) -> Matrix:
    """Return the code of each recording."""
    means: Matrix = ae.encode(sounds).groupby("file", sort=False).mean().to_numpy()
    return means


def main() -> None:
    """Print the accuracy of codes and of MFCC."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    folder = data_folder()
    if folder is None:
        parser.error("set ATTAR_DATA to the folder of data")
    data = Recordings(folder)
    held = {"known speakers": data.numbers < FIRST}
    held |= {f"without {name}": data.speakers == name for name in np.unique(data.speakers)}
    mfcc, results = data.mfcc(), []
    for name, test in held.items():
        digits = data.digits[~test], data.digits[test]
        bar = accuracy(mfcc[~test], digits[0], mfcc[test], digits[1])
        for seed in range(arguments.seeds):
            started = time.process_time()
            ae = attar.Autoencoder(
                "features",
                64,
                epochs=arguments.epochs,
                random_state=seed,
                batch_size=128,
                verbose=False,
            ).fit(data.sounds(~test))
            seconds = time.process_time() - started
            train, new = (codes(ae, data.sounds(which)) for which in (~test, test))
            found = accuracy(train, digits[0], new, digits[1])
            results.append(
                {"held out": name, "seed": seed, "attar": found, "mfcc": bar, "seconds": seconds}
            )
            if not arguments.json:
                print(
                    f"{name:16} seed {seed}: codes {found:.1%}, MFCC {bar:.1%}, {seconds:.0f} s",
                    flush=True,
                )
    if arguments.json:
        print(json.dumps(results))
        return
    new = [one for one in results if one["held out"] != "known speakers"]
    means = (float(np.mean([one[of] for one in new])) for of in ("attar", "mfcc"))
    print("speakers who were not heard: codes {:.1%}, MFCC {:.1%}".format(*means))


if __name__ == "__main__":
    main()
