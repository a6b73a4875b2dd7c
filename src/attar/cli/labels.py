"""Labels: fit --for labels, and predict."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attar.cli import arguments
from attar.errors import SettingError

if TYPE_CHECKING:
    import pandas as pd

    from attar.cli.tasks import TaskFit
    from attar.data.source import Data
    from attar.data.source import Source as Opened
    from attar.tasks.labels.estimators import Classifier, Regressor

# The name of the predicted column, where the labels of the fit had none.
PREDICTED = "label"


def fit_labels(data: Data, job: TaskFit) -> None:
    """Fit a classifier, or a regressor where labels are numbers, and print how good it is."""
    with arguments.importing():
        from attar.cli.tasks import Outcome
        from attar.data.source import read
        from attar.tasks.labels.estimators import Classifier, Regressor
        from attar.tasks.labels.targets import are_numbers, missing

    opened = read(data)
    labels = _labels(opened, job.label)
    if labels is None:
        raise SettingError("Labels are needed: name their column with --label COLUMN.")
    estimator = Regressor() if job.purpose == "numbers" or are_numbers(labels) else Classifier()

    def outcome() -> Outcome:
        metrics, known = estimator.held_out_, int((~missing(labels)).sum())
        if isinstance(estimator, Classifier):
            what = f"a classifier of {len(estimator.classes_):,} classes"
            quality = f"accuracy {metrics['accuracy']:.1%}, log-loss {metrics['log_loss']:.3g} nats"
        else:
            what = "a regressor, as the labels are numbers"
            quality = f"RMSE {metrics['rmse']:.4g}, R² {metrics['r2']:.3f}"
        lines = [
            f"{known:,} of {len(labels):,} rows are labelled: {what}.",
            f"Labelled rows, each predicted without its own label: {quality}.",
        ]
        counts = {"estimator": type(estimator).__name__, "rows": len(labels), "labelled": known}
        return Outcome(counts | metrics, lines, metrics)

    job.run(estimator, outcome, read(opened, label=job.label).data, labels)


def predict_labels(model: Path, rows: Data, output: Path, label: str | None, as_json: bool) -> None:
    """Write predictions of rows, and print how good they are where labels are known."""
    from attar import storage

    _, description = storage.describe_model(model)
    with arguments.importing():
        import numpy as np

        from attar.data.source import has_column, read, with_label
        from attar.tasks.labels.estimators import Classifier, Regressor

    regressor = description.get("task") == Regressor.task
    estimator = Regressor.load(model) if regressor else Classifier.load(model)
    opened = read(rows, "test", kind=estimator.model_.autoencoder.fitted_.kind)
    if label is None and estimator.label_ is not None and has_column(opened.data, estimator.label_):
        label = estimator.label_
    truth, names, predicted = _labels(opened, label), _names(estimator), []
    with arguments.writer(output, names) as writer:
        for table in _predictions(estimator, with_label(opened, label)):
            writer.write(table)
            predicted.append(table[names[0]].to_numpy())
    if truth is not None:
        _print_quality(estimator, truth, np.concatenate(predicted), as_json)


def _labels(opened: Opened, label: str | None) -> Any:
    """Return the labels of a source, or those of its column of a name."""
    import numpy as np

    from attar.data.source import with_label
    from attar.data.stream import Stream

    labels = with_label(opened, label).labels
    if labels is None and label is not None and isinstance(opened.data, Stream):
        labels = np.concatenate([piece[label].to_numpy() for piece in opened.data])
    return labels


def _names(estimator: Classifier | Regressor) -> list[str]:
    """Return the columns of predictions: the label's, and those of the classes' probabilities."""
    classes = getattr(estimator, "classes_", None)
    named = [] if classes is None else [f"probability_{one}" for one in classes.tolist()]
    return [estimator.label_ or PREDICTED, *named]


def _predictions(estimator: Classifier | Regressor, opened: Opened) -> Iterator[pd.DataFrame]:
    """Yield the predictions of rows, and of classes their probabilities."""
    import pandas as pd

    from attar.tasks.labels.estimators import Classifier

    for piece in estimator.pieces(opened):
        if isinstance(estimator, Classifier):
            p = estimator.predict_proba(piece)
            values = [estimator.classes_[p.argmax(1)], *p.T]
        else:
            values = [estimator.predict(piece)]
        yield pd.DataFrame(dict(zip(_names(estimator), values, strict=True)))


def _print_quality(
    estimator: Classifier | Regressor, truth: Any, predicted: Any, as_json: bool
) -> None:
    """Print how good predictions are of rows whose labels are known."""
    import numpy as np

    from attar.tasks.labels.estimators import Classifier
    from attar.tasks.labels.targets import missing

    known = ~missing(truth)
    if not known.any():
        return
    predicted, truth = predicted[known], truth[known]
    metrics: dict[str, object] = {"rows": int(known.sum())}
    if isinstance(estimator, Classifier):
        # A column of integers with gaps is one of floating point numbers.
        same = estimator.classes_.dtype.kind in "iufb"
        a, b = (x.astype(np.float64 if same else str) for x in (predicted, truth))
        metrics["accuracy"] = float((a == b).mean())
        words = f"accuracy {metrics['accuracy']:.1%}"
    else:
        metrics["rmse"] = float(np.sqrt(((predicted - truth.astype(np.float64)) ** 2).mean()))
        words = f"RMSE {metrics['rmse']:.4g}"
    print(arguments.to_json(metrics) if as_json else f"{known.sum():,} labelled rows: {words}.")
