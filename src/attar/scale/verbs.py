"""What verbs make of rows by a fitted model, piece by piece: here, or in workers of Ray."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import pandas as pd

from attar.compression import Codec
from attar.data.files.base import TableStream
from attar.data.files.csv import Csv
from attar.data.files.writers import writer_for
from attar.data.kind import Kind, Rows
from attar.data.pictures import Pictures
from attar.data.source import Data, Source, without_labels
from attar.data.stream import Stream
from attar.data.table import Table
from attar.errors import DataError, SettingError
from attar.estimator import Autoencoder
from attar.tasks.anomalies.detector import AnomalyDetector
from attar.tasks.gaps.imputer import Imputer

# What is called with the number of rows that were written up to now.
OnRows = Callable[[int], None]


@dataclass(frozen=True)
class TablePart(Stream):
    """Some rows of a table in files, in the form of all of them: dtypes and categories.

    Attributes
    ----------
    table : TableStream
    units : sequence of TableStream
        Parts of one of its files, one after the other.
    """

    table: TableStream
    units: Sequence[TableStream]

    def __iter__(self) -> Iterator[pd.DataFrame]:
        return self.table.part(self.units)

    @property
    def file(self) -> TableStream:
        """The file, or its first unit."""
        return self.units[0]

    @property
    def fingerprint(self) -> str:
        """The file's."""
        return self.file.fingerprint


class Verb(ABC):
    """What becomes of the rows of a part of a table."""

    # The suffix of the files that it writes.
    suffix: ClassVar[str] = ".parquet"

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """The form of data that the model takes."""

    def check(self) -> None:
        """Refuse a model whose rows are not those of a table.

        Raises
        ------
        DataError
            If it is one of another kind of data.
        """
        if not isinstance(self.kind, Table):
            raise DataError(
                f"Parts are those of a table, and the model was fitted on {self.kind.name}: leave "
                "out --on."
            )

    @abstractmethod
    def write(self, part: TablePart, path: Path, on_rows: OnRows) -> int:
        """Write what becomes of a part to a file, whole or not at all, and return its rows."""


@dataclass(frozen=True, kw_only=True)
class RowVerb(Verb, ABC):
    """A verb that makes rows of rows.

    Attributes
    ----------
    label : str or None
        The column of labels, which is none of the data; None for that of the fit.
    """

    label: str | None = None

    @property
    def names(self) -> Sequence[str]:
        """The names of the columns, where rows are arrays."""
        return ()

    @property
    def label_of_fit(self) -> str | None:
        """The column of labels in the fit."""
        return None

    @abstractmethod
    def pieces(self, data: Data) -> Iterator[Any]:
        """Yield what becomes of each piece of the data."""

    def write(self, part: TablePart, path: Path, on_rows: OnRows) -> int:
        """Write the rows as a table."""
        data = without_labels(Source(part), self.label, self.label_of_fit).data
        rows = 0
        with writer_for(path, self.names) as writer:
            for piece in self.pieces(data):
                writer.write(piece)
                rows += len(piece)
                on_rows(rows)
        return rows


@dataclass(frozen=True)
class ModelVerb(RowVerb, ABC):
    """A verb of an autoencoder."""

    estimator: Autoencoder

    @property
    def kind(self) -> Kind:
        """The autoencoder's."""
        return self.estimator.fitted_.kind

    @property
    def label_of_fit(self) -> str | None:
        """The autoencoder's."""
        return self.estimator.fitted_.label

    def check(self) -> None:
        """Refuse a conditional model, too: the condition of a row is in another column.

        Raises
        ------
        DataError, SettingError
        """
        super().check()
        if self.estimator.fitted_.condition_encoder is not None:
            raise SettingError(
                "A conditional model takes the labels of all rows in memory: leave out --on."
            )

    def _pieces(self, data: Data) -> Iterable[Data]:
        return cast("Iterable[Data]", self.kind.pieces(data))


@dataclass(frozen=True)
class Encode(ModelVerb):
    """Codes of rows, beside what identifies these."""

    @property
    def names(self) -> Sequence[str]:
        """Those of latent dimensions."""
        return [str(name) for name in self.estimator.get_feature_names_out()]

    def coded(
        self, data: Data, condition: Data | None = None
    ) -> Iterator[tuple[pd.DataFrame | None, Rows]]:
        """Yield what identifies the rows of a piece, if anything does, and their codes."""
        files = self.kind.index(data) if isinstance(data, Pictures) else None
        done = 0
        for piece in self._pieces(data):
            codes = self.estimator.transform(piece, condition=condition)
            index = self.kind.index(piece) if files is None else files[done : done + len(codes)]
            done += len(codes)
            yield index, codes

    def pieces(self, data: Data, condition: Data | None = None) -> Iterator[pd.DataFrame | Rows]:
        """Yield tables of codes."""
        for index, codes in self.coded(data, condition):
            named = dict(zip(self.names, codes.T, strict=True))
            yield codes if index is None else index.assign(**named)


@dataclass(frozen=True)
class Reconstruct(ModelVerb):
    """Reconstructions of rows."""

    @property
    def names(self) -> Sequence[str]:
        """Those of the data."""
        return self.kind.feature_names()

    def pieces(self, data: Data, condition: Data | None = None) -> Iterator[Any]:
        """Yield the reconstruction of each piece."""
        for piece in self._pieces(data):
            yield self.estimator.reconstruct(piece, condition=condition)


@dataclass(frozen=True)
class Score(ModelVerb):
    """Log-likelihoods of rows."""

    def pieces(self, data: Data) -> Iterator[pd.DataFrame]:
        """Yield a table with one column."""
        for piece in self._pieces(data):
            yield pd.DataFrame({"log_likelihood": self.estimator.score_samples(piece)})


@dataclass(frozen=True)
class Detect(RowVerb):
    """Scores, p-values and flags of rows, and the columns that make them odd."""

    detector: AnomalyDetector
    explain: bool = False

    @property
    def kind(self) -> Kind:
        """The detector's."""
        return cast(Kind, self.detector.model_.kind)

    @property
    def label_of_fit(self) -> str | None:
        """The detector's."""
        return self.detector.label_

    def pieces(self, data: Data) -> Iterator[pd.DataFrame]:
        """Yield tables of scores."""
        detector = self.detector
        for piece in detector.pieces(data):
            odd = -detector.score_samples(piece)
            found: dict[str, Any] = {"score": odd, "pvalue": detector.model_.pvalues(odd)}
            found |= {"flag": -odd < detector.offset_}
            if self.explain:
                why = detector.explain(piece)
                places = why.groupby("row").cumcount()
                for i in range(int(places.max()) + 1):
                    part = why[places == i].drop(columns=["row", "low", "high"], errors="ignore")
                    for name, column in part.items():
                        mixed = column.map(str) if column.dtype == object else column
                        found[f"{name}_{i + 1}"] = mixed.to_numpy()
            yield pd.DataFrame(found)


@dataclass(frozen=True)
class Impute(RowVerb):
    """Rows with their missing cells filled."""

    imputer: Imputer

    @property
    def kind(self) -> Kind:
        """The imputer's."""
        return self.imputer.model_.kind

    @property
    def names(self) -> Sequence[str]:
        """Those of the data."""
        return [str(name) for name in self.imputer.model_.columns or ()]

    def pieces(self, data: Data) -> Iterator[Any]:
        """Yield each piece, filled."""
        for piece in self.imputer.pieces(data):
            yield self.imputer.transform(piece)


@dataclass(frozen=True)
class CompressParts(Verb):
    """Compressed files, each of which can be opened by itself."""

    suffix = ".atz"

    codec: Codec
    with_model: bool = False

    @property
    def kind(self) -> Kind:
        """The model's."""
        return self.codec.kind

    def write(self, part: TablePart, path: Path, on_rows: OnRows) -> int:
        """CompressParts a CSV file as the bytes that it is, and any other part as a table."""
        rows = 0

        def counted(done: int) -> None:
            nonlocal rows
            rows = done
            on_rows(done)

        file = part.file
        data = file.path if isinstance(file, Csv) else pd.concat(part)
        self.codec.compress_file(data, path, self.with_model, counted)
        return rows
