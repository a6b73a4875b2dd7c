"""What news are about, from few labels: codes of all texts, learned without any, and a classifier.

Without arguments the news are made up. ``python examples/news.py FILE TEXT TOPIC`` takes two
columns of a table; ``--quick`` trains for less.
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

import attar

matplotlib.use("Agg")

WORDS = {
    "sport": "team match coach goal season league striker final referee cup stadium fans injury",
    "business": "shares profit bank market investors merger oil prices sales chief deal",
    "science": "probe orbit species genes telescope launch study climate fossil virus moon",
    "world": "minister border talks vote treaty troops envoy summit protest court exile ceasefire",
}
COMMON = "the new after says over in its first plan to of for report week early again late more"


def made(n: int, seed: int = 0) -> pd.DataFrame:
    """Return short news of four topics, of which each has words of its own."""
    rng = np.random.default_rng(seed)
    topics = rng.choice(list(WORDS), n)
    common = COMMON.split()
    texts = [
        " ".join(rng.permutation([*rng.choice(WORDS[t].split(), 3), *rng.choice(common, 5)]))
        for t in topics
    ]
    return pd.DataFrame({"text": texts, "topic": topics})


def main(
    source: str | None = None,
    text: str = "text",
    topic: str = "topic",
    epochs: int | str = "auto",
    known: int = 40,
    picture: str | Path = "news.png",
) -> dict[str, float]:
    """Return the accuracy on test texts with few labels, and that of TF-IDF with regression."""
    from matplotlib import pyplot as plt

    news = made(1200) if source is None else pd.read_csv(source)
    train, test = train_test_split(news, random_state=0, stratify=news[topic])
    few = train[topic].where(train.index.isin(train.sample(known, random_state=0).index))
    lines = list(train[text])
    classifier = attar.Classifier("text", epochs=epochs, random_state=0).fit(lines, few)
    accuracy = classifier.score(list(test[text]), test[topic])

    peer = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10))
    peer.fit(train[text][few.notna()], few.dropna())
    found = {"accuracy": float(accuracy), "peer": float(peer.score(test[text], test[topic]))}
    print(f"{found['accuracy']:.1%} of topics with {known} labels, by TF-IDF {found['peer']:.1%}")

    codes = PCA(2).fit_transform(classifier.autoencoder_.transform(list(test[text])))
    figure, axes = plt.subplots(figsize=(6, 5))
    for name in sorted(set(test[topic])):
        axes.scatter(*codes[test[topic] == name].T, s=8, label=str(name))
    axes.set(title="Codes of texts", xticks=[], yticks=[])
    axes.legend()
    figure.savefig(picture, dpi=80, bbox_inches="tight")
    plt.close(figure)
    return found


if __name__ == "__main__":
    names = [argument for argument in sys.argv[1:] if argument != "--quick"]
    main(*names, epochs=2 if "--quick" in sys.argv else "auto")
