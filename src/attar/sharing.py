"""Sharing: a model card of what a model file says, and both on the Hugging Face Hub."""

from __future__ import annotations

import io
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attar import names, storage
from attar.errors import FileError, SettingError, first_line
from attar.evaluation.diagnostics import Diagnostics, diagnose
from attar.networks import Network
from attar.recipe import Recipe
from attar.records import Epoch
from attar.remote import file_at, without_secrets

# The picture beside a card.
PICTURE = "training.png"
SHOWN = f"![Loss of each epoch, and errors beside PCA's]({PICTURE})"

# A card has so many columns of a table at most, and categories of each.
MOST_COLUMNS, MOST_CATEGORIES = 40, 8


@dataclass(frozen=True)
class Purpose:
    """What a model is for.

    Attributes
    ----------
    words : str
    tag : str
        What the hub calls it.
    program : tuple of str
        How it is used, in Python, where ``model`` is what was loaded.
    """

    words: str
    tag: str
    program: tuple[str, ...]


CODES = Purpose(
    "An autoencoder",
    "autoencoder",
    (
        "codes = model.transform(X)  # the latent dimensions",
        "back = model.reconstruct(X)  # rows like X; missing cells are predicted",
    ),
)
PURPOSES = {
    "anomalies": Purpose(
        "A detector of anomalies",
        "anomaly-detection",
        ("flags = model.predict(X)  # -1 is odd", "why = model.explain(X)"),
    ),
    "gaps": Purpose("An imputer of missing cells", "imputation", ("filled = model.transform(X)",)),
    "future": Purpose(
        "A forecaster of time series", "forecasting", ("ahead = model.predict_interval(X)",)
    ),
    "labels": Purpose(
        "A classifier on codes of an autoencoder",
        "classification",
        ("classes = model.predict(X)", "p = model.predict_proba(X)"),
    ),
    "numbers": Purpose(
        "A regressor on codes of an autoencoder", "regression", ("numbers = model.predict(X)",)
    ),
    "clusters": Purpose("Clusters of rows", "clustering", ("clusters = model.predict(X)",)),
}


@dataclass(frozen=True)
class ModelCard:
    """What a model is, as a page for people, and the picture that the page shows.

    Attributes
    ----------
    text : str
        Markdown, with metadata of the Hugging Face Hub before it.
    picture : bytes or None
        A PNG file, of models that have a history.
    """

    text: str
    picture: bytes | None

    @classmethod
    def of(cls, path: str | Path, name: str | None = None) -> ModelCard:
        """Return the card of a model file.

        Parameters
        ----------
        path : str or Path
        name : str or None
            The repository that it will be in, such as ``"user/name"``; None is the file's name.

        Raises
        ------
        FileError, ModelFileError
            If there is no such file, or it is no model.
        """
        _, description = storage.describe_model(path)
        task = description.get("task")
        purpose = CODES if task is None else PURPOSES[task]
        package = "'attar[hub]'" if name else "attar"
        place = f"hf://{name}" if name else file_at(path).name
        program = ("import attar", "", f'model = attar.load("{place}")', *purpose.program)
        inner = _with_history(description)
        picture = None if inner is None else _picture(inner)
        sections = {
            "Use": [
                "```python",
                *program,
                "```",
                "",
                f"In a shell: `pip install {package}`.",
            ],
            "Data": list(_data(description)),
            "Figures": _table(("figure", "value"), list(_figures(description))),
            "Training": [SHOWN] if picture else [],
            "Diagnosis": [] if inner is None else [f"- {one}" for one in _findings(inner)],
            "Choices": _table(
                ("setting", "value", "why"),
                [
                    (one["setting"], str(one["value"]), one["reason"])
                    for one in (inner or {}).get("choices", [])
                ],
            ),
            "Citation": list(_citation(inner or description)),
        }
        lines = [
            *_metadata(purpose, description),
            f"# {name or file_at(path).name.removesuffix('.attar')}",
            "",
        ]
        lines += [f"{_summary(purpose, description)}", ""]
        for title, content in sections.items():
            if content:
                lines += [f"## {title}", "", *content, ""]
        return cls("\n".join(lines), picture)

    @property
    def without_picture(self) -> str:
        """The page without the picture."""
        return self.text.replace(f"## Training\n\n{SHOWN}\n\n", "")

    def write(self, path: Path) -> None:
        """Write the page, and the picture beside it, each whole.

        Raises
        ------
        FileError
            If the place cannot be written to.
        """
        if self.picture is not None:
            with storage.written_whole(path.with_name(PICTURE)) as beside:
                beside.write_bytes(self.picture)
        with storage.written_whole(path) as beside:
            beside.write_text(self.text, "utf-8")


class Shared(ABC):
    """An estimator that goes to the Hugging Face Hub."""

    @abstractmethod
    def save(self, path: str | Path) -> None:
        """Write the fitted estimator to a file."""

    def push_to_hub(
        self, repository: str, *, private: bool | None = None, token: str | None = None
    ) -> str:
        """Write the model file, a model card and its picture to the Hugging Face Hub.

        The repository is made where there is none. Everybody can then load the model with
        ``attar.load("hf://user/name")``: the file holds no code. It does hold names, categories and
        quantiles of columns, and models for tasks may hold training rows.

        Parameters
        ----------
        repository : str
            Such as ``"user/name"``.
        private : bool or None
            Whether a new repository is private; None leaves it to the hub.
        token : str or None
            A token that may write; None is the one of ``hf auth login``.

        Returns
        -------
        str
            The page of the repository.

        Raises
        ------
        FileError
            If huggingface_hub is not installed, or the hub denies access or does not answer.
        SettingError
            If this is no name of a repository.
        """
        with TemporaryDirectory() as folder, _sharing(repository):
            from huggingface_hub import HfApi

            if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
                raise SettingError(
                    f"{repository!r} is no name of a repository: give one such as 'user/name'."
                )
            path = Path(folder, storage.MODEL)
            self.save(path)
            ModelCard.of(path, repository).write(path.with_name("README.md"))
            hub = HfApi(token=token)
            page = hub.create_repo(repository, private=private, exist_ok=True)
            hub.upload_folder(
                repo_id=repository, folder_path=folder, commit_message="A model of attar"
            )
        return str(page)


@contextmanager
def _sharing(repository: str) -> Iterator[None]:
    """Turn what the hub says into one sentence."""
    try:
        yield
    except ImportError:
        raise FileError(
            "The hub needs huggingface_hub: install it with pip install 'attar[hub]'."
        ) from None
    except Exception as error:
        kind = type(error).__name__
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403) or kind == "LocalTokenNotFoundError":
            raise FileError(
                f"The hub denies writing to {repository}: log in with hf auth login, or give a "
                "token that may write there."
            ) from None
        if not type(error).__module__.startswith(("huggingface_hub", "httpx", "requests")):
            raise
        reason = without_secrets(first_line(error))
        raise FileError(f"{repository} cannot be written to: {reason}.") from None


def _with_history(description: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the description of the autoencoder, that of a task's where it has one."""
    if "history" in description:
        return description
    inner = [value for value in description.values() if isinstance(value, dict)]
    return next((found for one in inner if (found := _with_history(one)) is not None), None)


def _metadata(purpose: Purpose, description: Mapping[str, Any]) -> list[str]:
    tags = ["attar", purpose.tag]
    inner = _with_history(description)
    if inner is not None:
        tags += [str(inner["kind"]["name"]), *filter(None, [_recipe(inner)])]
    task = description.get("task")
    pipeline = {"labels": "tabular-classification", "numbers": "tabular-regression"}.get(task or "")
    table = inner is None or inner["kind"]["name"] == "table"
    if task is None:
        pipeline = "feature-extraction"
    lines = ["---", "library_name: attar"]
    lines += [f"pipeline_tag: {pipeline}"] if pipeline and (table or task is None) else []
    return [*lines, "tags:", *(f"- {tag}" for tag in dict.fromkeys(tags)), "---", ""]


def _summary(purpose: Purpose, description: Mapping[str, Any]) -> str:
    rows = _rows(description)
    of = f", fitted to {rows:,} rows" if rows else ""
    inner = _with_history(description)
    code = "" if inner is None else f", with {inner['code_size']} latent dimensions"
    return (
        f"{purpose.words}{of}{code}. The file is of "
        "[safetensors](https://github.com/huggingface/safetensors): loading it runs no code."
    )


def _rows(description: Mapping[str, Any]) -> int | None:
    inner = _with_history(description)
    measured = None if inner is None else inner["measured"]["total"]
    rows = description.get("rows", measured)
    return int(rows) if isinstance(rows, int) else None


def _data(description: Mapping[str, Any]) -> Iterator[str]:
    columns = _columns(description)
    if columns:
        shown = [(one["name"], one["column"], _categories(one)) for one in columns[:MOST_COLUMNS]]
        yield from _table(("column", "type", "values"), shown)
        if len(columns) > MOST_COLUMNS:
            yield f"And {len(columns) - MOST_COLUMNS} further columns."
        return
    inner = _with_history(description)
    kind = None if inner is None else inner["kind"]
    if kind is not None and "size" in kind:
        yield f"Images of {' x '.join(map(str, kind['size']))}, as {kind['dtype']}."
    elif kind is not None:
        yield f"Rows of the kind {kind['name']}."


def _columns(description: object) -> list[dict[str, Any]]:
    """Return the columns of the first table in a description."""
    if not isinstance(description, dict):
        return []
    found = description.get("columns")
    if isinstance(found, list) and all(isinstance(c, dict) and "column" in c for c in found):
        return found
    return next((one for value in description.values() if (one := _columns(value))), [])


def _categories(column: Mapping[str, Any]) -> str:
    categories = [str(one) for one in column.get("categories", [])]
    more = len(categories) - MOST_CATEGORIES
    return ", ".join(categories[:MOST_CATEGORIES]) + (f" and {more} more" if more > 0 else "")


def _figures(description: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    inner = _with_history(description)
    for name, value in description.get("held_out", {}).items():
        yield f"held-out {name.replace('_', ' ')}", f"{value:.4g}"
    if "alarm_interval" in description:
        low, high = description["alarm_interval"]
        yield "usual rows that are flagged, 95% confidence", f"{low:.2%} to {high:.2%}"
    if "sizes" in description:
        yield "clusters", str(len(description["sizes"]))
        yield "rows of the clusters", ", ".join(f"{size:,}" for size in description["sizes"])
    if "horizon" in description:
        yield "steps that are forecast", str(description["horizon"])
    if inner is not None:
        measured = inner["diagnostics"]
        part, pca = measured["rows_of"], measured["pca_errors"]
        yield f"{part} MSE", f"{measured['error']:.4g}"
        if len(pca) > inner["code_size"]:
            yield f"{part} MSE of PCA with as many numbers", f"{pca[inner['code_size']]:.4g}"
        yield "training MSE", f"{measured['train_error']:.4g}"
        yield "latent dimensions", str(inner["code_size"])
        yield "epochs", str(len(inner["history"]))


def _findings(inner: Mapping[str, Any]) -> list[str]:
    if inner["network"] is None:
        return []
    found = diagnose(
        Diagnostics(**inner["diagnostics"]),
        [Epoch(**epoch) for epoch in inner["history"]],
        Recipe.from_json(inner["recipe"]),
        Network.from_json(inner["network"]),
    )
    return list(map(str, found))


def _recipe(inner: Mapping[str, Any]) -> str | None:
    """Return the name of a recipe, where it is one of the table."""
    chosen = {one["setting"]: one["value"] for one in inner["choices"]}
    name = chosen.get("recipe", inner.get("settings", {}).get("recipe"))
    return name if name in names.RECIPES else None


def _citation(inner: Mapping[str, Any]) -> Iterator[str]:
    recipe = _recipe(inner) if "choices" in inner else None
    for row in names.TABLE:
        if row["name"] == recipe:
            yield f"- The recipe {recipe}: {row['citation']}"
    yield f"- attar {version('attar')}: autoencoders for everybody's data."


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *cells]]


def _picture(inner: Mapping[str, Any]) -> bytes:
    """Return the loss of each epoch, and the errors of PCA beside the model's, as a PNG file."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    history, measured = inner["history"], inner["diagnostics"]
    compared = len(measured["pca_errors"]) > 2
    figure = Figure(figsize=(9, 3.2) if compared else (4.5, 3.2), layout="constrained")
    axes = figure.subplots(1, 1 + compared, squeeze=False)[0]
    epochs = [epoch["epoch"] for epoch in history]
    for name, label in (("loss", "training"), ("validation_loss", "validation")):
        if history and history[0].get(name) is not None:
            axes[0].plot(epochs, [epoch[name] for epoch in history], label=label, marker=".")
    axes[0].set(xlabel="epoch", ylabel="loss (nats per row)")
    axes[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    if history:
        axes[0].legend()
    if compared:
        axes[1].plot(measured["pca_errors"], label="PCA", marker=".")
        axes[1].plot([inner["code_size"]], [measured["error"]], "o", label="this model")
        axes[1].set(xlabel="numbers of a code", ylabel=f"{measured['rows_of']} MSE", ylim=(0, None))
        axes[1].legend()
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    return file.getvalue()
