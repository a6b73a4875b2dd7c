"""Odd lines of text: attar's AnomalyDetector beside TF-IDF with nearest neighbours.

- ``titles``: titles of ``text/ag_news.csv`` of one topic, and 5% of another, for all 12 pairs of
  topics. ``contaminated``: fitted on all of them, which are then scored. ``clean``: fitted on half
  of the one topic; the other half, and 5% of the other topic, are scored. AUROC, the mean over
  pairs of each seed. TF-IDF of words with the mean cosine to k neighbours, k of 1, 5 and 10, with
  and without English stop words, is scikit-learn's.
- ``log``: a made service log of 40 templates, and 3 new ones, four lines each, in its last third.
  ``late``: fitted on the first two thirds; ``all``: fitted on everything. ``rank`` is that of the
  last line of the new templates, ``percent`` its percentile: at most 1.
"""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import roc_auc_score

from attar import AnomalyDetector
from benchmarks._common import Rows, arguments, report
from benchmarks.defaults import folder

Lines = list[str]
Contender = Callable[[Lines, Lines], Rows]

TEMPLATES = """\
Accepted connection from {ip} port {number}
Closed connection from {ip} after {number} ms
GET {path} 200 {number} ms {number} bytes
GET {path} 304 {number} ms
GET {path} 404 {number} ms
POST {path} 201 {number} ms {number} bytes
POST {path} 400 {number} ms invalid field {field}
User {user} logged in from {ip}
User {user} logged out after {number} ms
User {user} changed {field} of order {number}
Login of user {user} failed: wrong password, attempt {small}
Session {hex} created for user {user}
Session {hex} expired
Token {hex} refreshed for user {user}
Query took {number} ms: SELECT {field} FROM orders WHERE id = {number}
Query took {number} ms: UPDATE orders SET {field} = ? WHERE id = {number}
Database pool has {small} free connections of 20
Transaction {hex} committed in {number} ms
Transaction {hex} rolled back after {number} ms
Cache hit for key order:{number}
Cache miss for key order:{number}, loaded in {number} ms
Cache evicted {number} entries, {number} bytes freed
Queue mail has {number} messages waiting
Worker {small} took job {hex} from queue mail
Worker {small} finished job {hex} in {number} ms
Job {hex} retried, attempt {small}
Mail to {user}@example.org sent in {number} ms
Mail to {user}@example.org deferred: greylisted
Order {number} placed by user {user}, total {number}.99 EUR
Order {number} paid by card ending {number}
Order {number} shipped with parcel {hex}
Invoice {number} written to {file}
Uploaded {file}, {number} bytes, by user {user}
Deleted {file}
Health check passed in {number} ms
Heap {number} MB used of 2048 MB
Garbage collection paused {number} ms, freed {number} MB
Configuration reloaded from {file}
Certificate of {host} valid for {number} days
Replica {host} is {number} ms behind""".splitlines()
NEW = [
    "Disk write of {file} failed: no space left on device",
    "Replica {host} promoted to primary, {number} writes lost",
    "User {user} granted role admin by {ip}",
]
SYLLABLES = ("ka", "lo", "mi", "ra", "su", "te", "vo", "bin", "da", "kel", "mor", "ni", "run")
SHARE, EARLY, LATE, EACH = 0.05, 3000, 1500, 4


def filled(template: str, rng: np.random.Generator) -> str:
    """Return a line of a template."""

    def value(field: re.Match[str]) -> str:
        word, one, digits = "".join(rng.choice(SYLLABLES, 3)), rng.choice, rng.integers
        hexadecimal = "".join(one(list("0123456789abcdef"), 12))
        values = {
            "ip": f"10.{digits(8)}.{digits(256)}.{digits(256)}",
            "number": str(int(rng.lognormal(5, 2)) + 1),
            "small": str(digits(1, 20)),
            "path": f"/api/{one(['orders', 'users', 'items', 'carts'])}/{digits(10**5)}",
            "user": word,
            "field": str(one(["name", "address", "status", "price", "comment"])),
            "hex": hexadecimal,
            "file": f"/var/data/{one(['mail', 'orders', 'reports'])}/{hexadecimal}.pdf",
            "host": f"db-{digits(1, 9)}.example.org",
        }
        return values[field[1]]

    return re.sub(r"\{(\w+)\}", value, template)


def service_log(seed: int) -> tuple[Lines, Rows]:
    """Return the lines of a log, and which are of the new templates."""
    rng = np.random.default_rng(seed)
    shares = rng.permutation(1 / np.arange(1, len(TEMPLATES) + 1))
    chosen = list(rng.choice(TEMPLATES, EARLY + LATE, p=shares / shares.sum()))
    new = np.zeros(EARLY + LATE, bool)
    for i, place in enumerate(rng.choice(LATE, EACH * len(NEW), replace=False)):
        chosen[EARLY + place], new[EARLY + place] = NEW[i % len(NEW)], True
    seconds = np.sort(rng.uniform(0, 86_400, len(chosen))).astype(int)
    times = (f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in seconds)
    return [f"2026-03-02 {at} {filled(t, rng)}" for at, t in zip(times, chosen, strict=True)], new


def detector(train: Lines, lines: Lines) -> Rows:
    """Return attar's scores."""
    scores: Rows = -AnomalyDetector(random_state=0).fit(train).score_samples(lines)
    return scores


def neighbours(k: int, stop_words: str | None) -> Contender:
    """Return one minus the mean cosine of TF-IDF to k neighbours, none of which is the line."""

    def scores(train: Lines, lines: Lines) -> Rows:
        vectors = TfidfVectorizer(sublinear_tf=True, stop_words=stop_words)
        own = vectors.fit_transform(train)
        similar = (vectors.transform(lines) @ own.T).toarray()
        if lines is train:
            np.fill_diagonal(similar, -1)
        found: Rows = 1 - np.sort(similar, 1)[:, -k:].mean(1)
        return found

    return scores


CONTENDERS: dict[str, Contender] = {"attar": detector} | {
    f"TF-IDF kNN{k}{', stop words' * (words is not None)}": neighbours(k, words)
    for k in (1, 5, 10)
    for words in (None, "english")
}


def mixtures(seed: int, clean: bool) -> Iterator[tuple[Lines, Lines, Rows]]:
    """Yield lines to fit, lines to score, and which of these are odd."""
    table = pd.read_csv(folder() / "text" / "ag_news.csv").fillna("")
    topics = {name: list(rows) for name, rows in table.groupby("topic")["title"]}
    rng = np.random.default_rng(seed)
    for usual in topics:
        for other in [topic for topic in topics if topic != usual]:
            own = list(rng.permutation(topics[usual]))
            early, late = (own[: len(own) // 2], own[len(own) // 2 :]) if clean else ([], own)
            odd = round(len(late) * SHARE / (1 - SHARE))
            lines = late + list(rng.permutation(topics[other])[:odd])
            yield early or lines, lines, np.arange(len(lines)) >= len(late)


def of_titles(seeds: int) -> Iterator[dict[str, Any]]:
    """Yield the AUROC of each contender, protocol and seed."""
    for clean in (False, True):
        for seed in range(seeds):
            found: dict[str, list[float]] = {name: [] for name in CONTENDERS}
            for train, lines, odd in mixtures(seed, clean):
                for name, scores in CONTENDERS.items():
                    found[name].append(float(roc_auc_score(odd, scores(train, lines))))
            for name, values in found.items():
                protocol = "clean" if clean else "contaminated"
                yield {
                    **{"protocol": protocol, "seed": seed, "contender": name},
                    **{"auroc": float(np.mean(values)), "lowest": min(values)},
                }


def of_log(seeds: int) -> Iterator[dict[str, Any]]:
    """Yield the rank of the last line of the new templates."""
    for seed in range(seeds):
        lines, new = service_log(seed)
        for part, train, scored in (
            ("late", EARLY, slice(EARLY, None)),
            ("all", None, slice(None)),
        ):
            started = time.perf_counter()
            ranks = np.argsort(np.argsort(-detector(lines[:train], lines[scored])))
            last = 1 + int(ranks[new[scored]].max())
            seconds = time.perf_counter() - started
            percent = 100 * last / len(ranks)
            yield {
                **{"fit": part, "seed": seed, "rank": last, "percent": percent},
                "seconds": seconds,
            }


def main() -> None:
    """Print both tables."""
    options = arguments(__doc__, seeds=3)
    warnings.simplefilter("ignore")
    log, titles = list(of_log(options.seeds)), list(of_titles(options.seeds))
    means = pd.DataFrame(titles).groupby(["protocol", "contender"])["auroc"].mean().reset_index()
    result = {"titles": titles, "log": log}
    if not options.json:
        print(pd.DataFrame(log).to_string(index=False))
    report(result, means.to_dict("records"), options.json, "scikit-learn")


if __name__ == "__main__":
    main()
