"""Text beside its peers: topics from codes, words reconstructed, new headlines, bytes.

A fifth of the rows of ``text/ag_news.csv`` is held out. attar is trained without labels on the
titles of all others and on their titles with their texts, and a second model on the titles alone,
for ``--minutes`` each; or both are read from the folder ``--models``, where they are written too.

- Topics: a logistic regression on 256 numbers of each held-out title and of its title and text;
  whether they are standardized, and its regularization, are chosen on a fifth of the training rows;
  beside TF-IDF reduced to 256 numbers by truncated SVD, and means of word2vec vectors, both trained
  on the same lines, and SVD of the one kind of lines alone.
- Words: those of held-out titles of at most 16 words that come back in their place.
- Samples, of the model of titles: perplexity of an interpolated 5-gram model of words with
  Kneser-Ney smoothing, trained on the training titles; copies of these; and distinct-2, the
  fraction of pairs of words that differ.
- Gaps, by the model of titles: one word of each held-out title, the first excepted; beside the most
  frequent word of titles.
- Bytes: held-out titles and texts, and the last tenth of ``tinyshakespeare.txt`` by a model of the
  nine before.
"""

from __future__ import annotations

import bz2
import lzma
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import attar
from benchmarks._common import arguments, report
from benchmarks.defaults import folder

Matrix = NDArray[np.floating[Any]]
Lines = list[str]

SIZE, WORDS, SAMPLES = 256, 16, 500
REGULARIZATIONS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


def rows() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the training rows and the held-out ones."""
    table = pd.read_csv(folder() / "text" / "ag_news.csv").fillna("")
    order = np.random.default_rng(0).permutation(len(table))
    held = len(table) // 5
    return table.iloc[order[held:]], table.iloc[order[:held]]


def texts_of(table: pd.DataFrame) -> dict[str, Lines]:
    """Return titles, and titles with texts."""
    titles = table["title"]
    return {"title": list(titles), "both": list(titles + ". " + table["text"])}


def accuracy(codes: Matrix, topics: pd.Series, held: Matrix, truth: pd.Series) -> float:
    """Return how many topics a linear classifier of codes tells."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifiers = [
        make_pipeline(scaler, LogisticRegression(C=c, max_iter=1000))
        for scaler in (StandardScaler(), None)
        for c in REGULARIZATIONS
    ]
    n = 4 * len(codes) // 5
    scores = [c.fit(codes[:n], topics[:n]).score(codes[n:], topics[n:]) for c in classifiers]
    best = classifiers[int(np.argmax(scores))]
    return float(best.fit(codes, topics).score(held, truth))


def reduced(lines: Lines, train: Lines, held: Lines) -> tuple[Matrix, Matrix]:
    """Return TF-IDF, reduced by truncated SVD of some lines."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    tfidf = TfidfVectorizer(sublinear_tf=True, stop_words="english")
    found = make_pipeline(tfidf, TruncatedSVD(SIZE, random_state=0)).fit(lines)
    return found.transform(train), found.transform(held)


def averaged(lines: Lines, train: Lines, held: Lines) -> tuple[Matrix, Matrix]:
    """Return means of word vectors trained on some lines."""
    from gensim.models import Word2Vec
    from gensim.utils import simple_preprocess

    vectors = Word2Vec(
        list(map(simple_preprocess, lines)), vector_size=SIZE, epochs=20, min_count=1, sg=1, seed=0
    ).wv

    def mean(text: str) -> Matrix:
        known = [vectors[word] for word in simple_preprocess(text) if word in vectors]
        return np.mean(known or [np.zeros(SIZE, np.float32)], 0)

    return np.stack(list(map(mean, train))), np.stack(list(map(mean, held)))


class KneserNey:
    """An interpolated n-gram model of words with Kneser-Ney smoothing of one discount."""

    def __init__(self, lines: Lines, order: int = 5, discount: float = 0.75) -> None:
        self.order, self.discount = order, discount
        self.vocabulary = {word for line in lines for word in line.split()}
        # Of the highest order counts, of lower ones in how many contexts a word continues another.
        self.counts: list[Counter[tuple[str, ...]]] = [Counter() for _ in range(order)]
        for line in lines:
            words = self._padded(line)
            for i in range(order - 1, len(words)):
                self.counts[-1][tuple(words[i - order + 1 : i + 1])] += 1
        for n in range(order - 1, 0, -1):
            self.counts[n - 1] = Counter(gram[1:] for gram in self.counts[n])
        self.totals, self.kinds = [], []
        for counts in self.counts:
            totals: Counter[tuple[str, ...]] = Counter()
            kinds: Counter[tuple[str, ...]] = Counter()
            for gram, count in counts.items():
                totals[gram[:-1]] += count
                kinds[gram[:-1]] += 1
            self.totals.append(totals)
            self.kinds.append(kinds)

    def perplexity(self, lines: Lines) -> float:
        """Return the perplexity of lines, their ends included."""
        nats = count = 0.0
        for line in lines:
            words = self._padded(line)
            for i in range(self.order - 1, len(words)):
                nats -= np.log(self._probability(tuple(words[i - self.order + 1 : i + 1])))
                count += 1
        return float(np.exp(nats / count))

    def _padded(self, line: str) -> Lines:
        words = [word if word in self.vocabulary else "<unk>" for word in line.split()]
        return ["<s>"] * (self.order - 1) + words + ["</s>"]

    def _probability(self, gram: tuple[str, ...]) -> float:
        if not gram:
            return 1 / (len(self.vocabulary) + 2)
        n, context = len(gram) - 1, gram[:-1]
        lower = self._probability(gram[1:])
        total = self.totals[n][context]
        if not total:
            return lower
        kept = max(0.0, self.counts[n][gram] - self.discount)
        return (kept + self.discount * self.kinds[n][context] * lower) / total


def distinct(lines: Lines) -> float:
    """Return the fraction of pairs of words that are different."""
    words = [line.split() for line in lines]
    pairs = [pair for line in words for pair in pairwise(line)]
    return len(set(pairs)) / len(pairs)


def sampled(samples: Lines, train: Lines, held: Lines) -> dict[str, float]:
    """Return what new lines are like beside real ones, and the same words shuffled."""
    model, rng = KneserNey(train), np.random.default_rng(0)
    shuffled = [" ".join(rng.permutation(line.split())) for line in held]
    groups = {"samples": samples, "held_out": held, "shuffled": shuffled}
    known = set(train)
    return {
        **{f"perplexity_{name}": model.perplexity(lines) for name, lines in groups.items()},
        "copies": float(np.mean([line in known for line in samples])),
        "distinct2_samples": distinct(samples),
        "distinct2_held_out": distinct(list(rng.permutation(held)[: len(samples)])),
    }


def compressors(train: bytes) -> dict[str, Callable[[bytes], int]]:
    """Return the sizes of general compressors, some of which have seen the training lines."""
    import brotli
    import pyppmd
    import zstandard

    dictionary = zstandard.ZstdCompressionDict(train)
    trained = zstandard.train_dictionary(1 << 16, train.splitlines(keepends=True))

    def zstd(known: Any) -> Callable[[bytes], int]:
        return lambda data: len(zstandard.ZstdCompressor(level=19, dict_data=known).compress(data))

    def ppmd(data: bytes) -> int:
        encoder = pyppmd.Ppmd7Encoder(6, 64 << 20)
        return len(encoder.encode(data) + encoder.flush())

    return {
        "zstd, trained dictionary": zstd(trained),
        "zstd, all lines as dictionary": zstd(dictionary),
        "brotli": lambda data: len(brotli.compress(data)),
        "xz": lambda data: len(lzma.compress(data)),
        "bz2": lambda data: len(bz2.compress(data)),
        "PPMd": ppmd,
        "PPMd, after all lines": lambda data: ppmd(train + data) - ppmd(train),
    }


def bits(train: Sequence[str], held: Sequence[str]) -> dict[str, float]:
    """Return the bits a byte of held-out lines."""
    ae = attar.Autoencoder("text", epochs=1, max_minutes=0.1, random_state=0, verbose=False)
    lines, known = ("\n".join(texts).encode() for texts in (held, train))
    sizes = {"attar": len(attar.Codec(ae.fit(list(train))).compress(list(held)))}
    sizes |= {name: size(lines) for name, size in compressors(known).items()}
    return {name: 8 * size / len(lines) for name, size in sizes.items()}


def filled(ae: attar.Autoencoder, train: Lines, held: Lines) -> dict[str, float]:
    """Return the fractions of hidden words that are found."""
    rng, frequent = np.random.default_rng(0), Counter(" ".join(train).split()).most_common(1)[0][0]
    hidden = [line.split() for line in held if len(line.split()) > 1 and "[...]" not in line]
    places = [int(rng.integers(1, len(words))) for words in hidden]
    truth = [words[place] for words, place in zip(hidden, places, strict=True)]
    gapped = [
        " ".join([*words[:place], "[...]", *words[place + 1 :]])
        for words, place in zip(hidden, places, strict=True)
    ]
    whole = [" ".join(words) for words in hidden]
    found = ae.infill(gapped)
    return {
        "gaps filled, attar": float(np.mean([a == b for a, b in zip(found, whole, strict=True)])),
        "gaps filled, most frequent word": float(np.mean([word == frequent for word in truth])),
    }


def model(name: str, lines: Lines, minutes: float, models: str) -> attar.Autoencoder:
    """Train a model, or read it."""
    path = Path(models) / f"{name}.attar"
    if models and path.exists():
        return attar.load(path)
    ae = attar.Autoencoder("text", max_minutes=minutes, random_state=0).fit(lines)
    if models:
        path.parent.mkdir(parents=True, exist_ok=True)
        ae.save(path)
    return ae


def main() -> None:
    """Train, or load models, and compare."""
    options = arguments(__doc__, minutes=25, models="")
    train, held = rows()
    texts, others = texts_of(train), texts_of(held)
    lines = list(np.random.default_rng(1).permutation(texts["title"] + texts["both"]))
    ae = model("both", lines, options.minutes, options.models)
    of_titles = model("titles", texts["title"], options.minutes, options.models)
    found: dict[str, Any] = {}
    for name, pair in {name: (texts[name], others[name]) for name in texts}.items():
        for contender, codes in {
            "attar": tuple(map(ae.transform, pair)),
            "TF-IDF and SVD": reduced(lines, *pair),
            f"TF-IDF and SVD of {name} alone": reduced(pair[0], *pair),
            "word2vec": averaged(lines, *pair),
        }.items():
            topics = train["topic"], held["topic"]
            found[f"topic of {name}, {contender}"] = accuracy(
                codes[0], topics[0], codes[1], topics[1]
            )
    titles = [title for title in held["title"] if len(title.split()) <= WORDS]
    equal = [
        [a == b for a, b in zip(one.split(), other.split(), strict=False)]
        for one, other in zip(titles, ae.reconstruct(titles), strict=True)
    ]
    words = sum(len(title.split()) for title in titles)
    found["words in place"] = sum(map(sum, equal)) / words
    samples = of_titles.sample(SAMPLES, random_state=0)
    print(*samples[:10], sep="\n", file=sys.stderr)
    found |= sampled(samples, texts["title"], others["title"])
    found |= filled(of_titles, texts["title"], others["title"])
    plays = (folder() / "text" / "tinyshakespeare.txt").read_text().splitlines()
    cut = 9 * len(plays) // 10
    for name, pair in {
        "titles": (list(train["title"]), list(held["title"])),
        "texts": (list(train["text"]), list(held["text"])),
        "plays": (plays[:cut], plays[cut:]),
    }.items():
        for contender, value in bits(*pair).items():
            found[f"bits a byte of {name}, {contender}"] = value
    table = [{"measure": name, "value": value} for name, value in found.items()]
    report(found, table, options.json)


if __name__ == "__main__":
    main()
