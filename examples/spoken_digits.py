"""Recognize spoken digits from codes that were learned without labels.

Of a voice that was heard neither by the codes nor by the classifier. The recordings are those of
fsdd (https://github.com/Jakobovski/free-spoken-digit-dataset), or made here where there are none.
"""

import argparse
import os
from pathlib import Path
from zipfile import ZipFile

import matplotlib
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import attar

matplotlib.use("Agg")

RATE = 8000


def recordings(folder):
    """Return clips, digits and speakers of fsdd."""
    import io

    import soundfile

    clips, names = [], []
    with ZipFile(Path(folder) / "speech" / "fsdd.zip") as archive:
        for name in sorted(n for n in archive.namelist() if n.endswith(".wav")):
            clips.append(soundfile.read(io.BytesIO(archive.read(name)), dtype="float32")[0])
            names.append(Path(name).stem.split("_")[:2])
    digits, speakers = np.array(names).T
    return clips, digits, speakers


def made(each=8):
    """Return clips of four words, of two vowels each, by voices of different pitch and size."""
    rng, t = np.random.default_rng(0), np.arange(1600) / RATE
    vowels = {"a": (700, 1200), "i": (300, 2300), "u": (350, 800)}

    def said(vowel, pitch, size):
        sound = np.zeros(len(t))
        for k in range(1, int(RATE / 2 / pitch)):
            level = sum(np.exp(-(((k * pitch / size - f) / 150) ** 2)) for f in vowels[vowel])
            sound += (level + 0.01) * np.sin(2 * np.pi * k * pitch * t)
        return sound * np.hanning(len(t))

    clips, words, voices = [], [], []
    for voice, (pitch, size) in enumerate([(100, 1.0), (130, 1.1), (160, 0.95), (200, 1.15)]):
        for word in ("ai", "ia", "uu", "iu"):
            for _ in range(each):
                factor = rng.uniform(0.95, 1.05)
                sound = np.concatenate([said(v, pitch * factor, size * factor) for v in word])
                clips.append(0.02 * sound + 0.001 * rng.normal(size=len(sound)))
                words.append(word)
                voices.append(str(voice))
    return clips, np.array(words), np.array(voices)


def draw(table, names, path):
    """Draw how often each digit is recognized as which."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(4.5, 4.5))
    axes.imshow(table, cmap="Blues")
    axes.set(xticks=range(len(names)), yticks=range(len(names)), xlabel="recognized", ylabel="said")
    axes.set(xticklabels=names, yticklabels=names)
    for (row, column), count in np.ndenumerate(table):
        if count:
            axes.text(column, row, count, ha="center", va="center", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main(picture="spoken_digits.png", quick=False):
    """Return the accuracy of a logistic regression on codes of the last speaker."""
    folder = os.environ.get("ATTAR_DATA")
    clips, digits, speakers = made() if quick or folder is None else recordings(folder)
    new = speakers == np.unique(speakers)[-1]

    def sounds(which):
        return attar.Sounds(
            [c for c, wanted in zip(clips, which, strict=True) if wanted],
            RATE,
            window=0.5 if quick else 1.0,
        )

    ae = attar.Autoencoder(
        "features",
        code_size=16 if quick else 64,
        batch_size=32 if quick else 128,
        epochs=7 if quick else 8,
        random_state=0,
    ).fit(sounds(~new))

    # The code of a recording is the mean of the codes of its windows.
    codes, others = (
        ae.encode(sounds(which)).groupby("file", sort=False).mean().to_numpy()
        for which in (~new, new)
    )
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    recognized = classifier.fit(codes, digits[~new]).predict(others)
    accuracy = float((recognized == digits[new]).mean())
    print(f"{accuracy:.1%} of {new.sum()} recordings of a voice that was not heard")
    names = np.unique(digits)
    table = [[int(((digits[new] == a) & (recognized == b)).sum()) for b in names] for a in names]
    draw(np.array(table), names, picture)
    return {"accuracy": accuracy}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="made sounds, in seconds")
    main(quick=parser.parse_args().quick)
