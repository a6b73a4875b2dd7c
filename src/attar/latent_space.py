"""The latent space of a model: a frame, paths, neighbours, clusters and draws of codes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import prod
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.base import ClassNamePrefixFeaturesOutMixin, clone
from sklearn.utils import check_random_state
from torch import Generator, Tensor

from attar.checks import positive_integer
from attar.data.kind import Kind, Rows
from attar.data.source import Data
from attar.errors import DataError, SettingError
from attar.fitted import Fitted
from attar.isolation import default_settings
from attar.likelihoods.language import choosing
from attar.predictor import joined
from attar.priors import MixtureModule
from attar.sampling import Sampler

# What is drawn at once has at most so many cells.
MOST_CELLS = 1 << 28


class LatentSpace(ClassNamePrefixFeaturesOutMixin, ABC):
    """The methods of an estimator that name, compare, connect or draw codes."""

    fitted_: Fitted

    @abstractmethod
    def _encoded(self, X: Data, condition: Data | None) -> Rows:
        """Return the codes of X: (n, code_size)."""

    @abstractmethod
    def _read(self, X: Data, part: str, kind: Kind | None = None) -> Any:
        """Return X as the user has it, from wherever it is."""

    @property
    @abstractmethod
    def _fitted(self) -> Fitted:
        """The fitted model."""

    @default_settings()
    def encode(self, X: Data, *, condition: Data | None = None) -> pd.DataFrame:
        """Return the codes of X as a frame, whose index names the rows.

        The index is that of identifiers (``columns={"patient": "id"}``), of the files of pictures
        (``file``), or of windows (the series, ``start`` and ``end``), else that of X.
        ``reset_index()`` makes columns of it, as ``attar encode`` writes them.

        Raises
        ------
        DataError
            If X is not of the form that was fitted.

        Examples
        --------
        >>> import attar, pandas as pd
        >>> frame = pd.DataFrame({"name": ["a", "b", "c"], "x": [1, 2, 4], "y": [2.0, 4.5, 9.0]})
        >>> ae = attar.Autoencoder(epochs=1, columns={"name": "id"}, random_state=0).fit(frame)
        >>> codes = ae.encode(frame)
        >>> codes.index.name, list(codes.index), list(codes.columns)
        ('name', ['a', 'b', 'c'], ['autoencoder0'])
        """
        kind = self._fitted.kind
        data = self._read(X, part="test", kind=kind)
        codes, names = self._encoded(data, condition), kind.index(data)
        index = data.index if isinstance(data, pd.DataFrame) else None
        if names is not None:
            several = names.shape[1] > 1
            index = pd.MultiIndex.from_frame(names) if several else pd.Index(names.iloc[:, 0])
        return pd.DataFrame(codes, index, self.get_feature_names_out())

    @default_settings()
    def interpolate(
        self, a: Data, b: Data, steps: int = 8, *, condition: Data | None = None
    ) -> Any:
        """Return rows that interpolate in latent space from each row of ``a`` to that of ``b``.

        The path is the shortest one in the code's own geometry: straight, on a great circle, ...

        Parameters
        ----------
        a, b : table or array (n, ...)
            Rows of the form that was fitted.
        steps : int
            How many rows each path has, both ends included.
        condition : label, array (n,) or table, default None
            The condition of both ends of each path, where the model was fitted with one.

        Returns
        -------
        table or array (n * steps, ...)
            One path after the other.

        Raises
        ------
        DataError
            If ``a`` and ``b`` have different numbers of rows.
        """
        starts, ends = self._codes(a, condition), self._codes(b, condition)
        if len(starts) != len(ends):
            raise DataError(
                f"a and b must have equally many rows, not {len(starts):,} and {len(ends):,}."
            )
        fractions = torch.linspace(0, 1, positive_integer("number of steps", steps))
        code = self._fitted.code
        with torch.no_grad():
            paths = [code.interpolate(*pair, fractions) for pair in zip(starts, ends, strict=True)]
        predictor = self._fitted.conditioned(condition, len(starts))
        return predictor.at(np.repeat(np.arange(len(starts)), steps)).restore(joined(paths))

    @default_settings()
    def neighbours(
        self,
        X: Data,
        n: int = 5,
        *,
        among: Data | None = None,
        condition: Data | None = None,
    ) -> tuple[Rows, NDArray[np.intp]]:
        """Return the training rows, or others, whose codes are nearest to those of X.

        Parameters
        ----------
        X : table or array (m, ...)
        n : int
            How many for each row.
        among : table or array (k, ...), default None
            The rows that are searched; None for those of the fit.
        condition : label, array (m,) or table, default None
            The condition of the rows, where the model was fitted with one.

        Returns
        -------
        distances : array (m, n)
            In the code's own geometry, ascending.
        indices : int array (m, n)
            Which rows of ``among`` these are, or of the fitted data, of which a sample is kept
            where they are many.
        """
        summary, code = self._fitted.training_summary, self._fitted.code
        known, numbers = torch.from_numpy(summary.codes), summary.numbers
        if among is not None:
            known = self._codes(among, None)
            numbers = np.arange(len(known))
        n = min(positive_integer("number of neighbours", n), len(known))
        with torch.no_grad():
            parts = [
                code.distance(part, known).topk(n, largest=False)
                for part in torch.split(self._codes(X, condition), 1024)
            ]
        distances, places = (joined(part) for part in zip(*parts, strict=True))
        return distances, numbers[places]

    @default_settings()
    def clusters(self, X: Data, *, condition: Data | None = None) -> NDArray[np.int64]:
        """Return the most likely component of the prior for each row: (m,).

        Raises
        ------
        SettingError
            If the code's prior has no components.
        """
        prior = self._fitted.code.prior
        if not isinstance(prior, MixtureModule):
            raise SettingError(
                f"The code {self._fitted.recipe.code.name!r} has no clusters: fit with the recipe "
                "'mixture-prior'."
            )
        with torch.no_grad():
            responsibilities = prior.responsibilities(self._codes(X, condition))
        likeliest: NDArray[np.int64] = responsibilities.argmax(-1).numpy()
        return likeliest

    @default_settings()
    def sample(
        self,
        n: int = 1,
        *,
        sampler: str | Sampler = "auto",
        mean: bool | Literal["auto"] = "auto",
        temperature: float | None = None,
        top_p: float | None = None,
        condition: Data | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> Any:
        """Return ``n`` new rows, in the form that was fitted.

        Parameters
        ----------
        n : int
        sampler : str or Sampler, default "auto"
            The distribution of new codes: ``"prior"``, or one fitted to the codes of training rows:
            ``"mixture"``, ``"kernel-density"``, ``"flow"``, ``"two-stage"``, ``"autoregressive"``
            for discrete codes, ``"manifold"`` for codes with a metric. Auto takes the recipe's own,
            else the prior, else a mixture.
        mean : bool or "auto", default "auto"
            Whether rows are the expected ones of new codes, without the noise that the likelihood
            describes. Auto takes them for images, and draws everything else.
        temperature, top_p : float, default None
            Of the tokens of text: logits are divided by the temperature, and tokens drawn from the
            fewest that together have the probability ``top_p``. None for 0.7 and 0.9; the model's
            own distribution is that of 1 and 1.
        condition : label, array (n,) or table, default None
            What the rows are conditioned on, where the model was fitted with a condition; one for
            all, or one for each.
        random_state : int, RandomState or None, default None

        Raises
        ------
        SettingError
            If ``n`` is not an integer above 0 or too large for memory, the sampler does not fit the
            code, a condition is missing, or the temperature of other data than text is set.
        """
        fitted, n = self._fitted, positive_integer("number of samples", n)
        most = MOST_CELLS // max(fitted.predictor.code_size, prod(fitted.kind.shape))
        if n > most:
            raise SettingError(
                f"{n:,} samples may not fit into memory: draw at most {most:,} at once, each time "
                "with another random_state."
            )
        predictor = fitted.conditioned(condition, n)
        fitted.warn_of_sampling()
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        chosen = None if sampler == "auto" else Sampler.resolve(sampler)
        fitted.recipe.replace(sampler=chosen or fitted.recipe.sampler).check()
        codes = fitted.sampler(chosen)(n, Generator().manual_seed(seed)).numpy()
        noisy = fitted.kind.noisy or fitted.likelihood.joint
        if (not noisy) if mean == "auto" else mean:
            return predictor.restore(codes)
        with choosing(predictor.model.likelihood, temperature, top_p):
            return fitted.sample(predictor, codes, chosen, seed)

    @default_settings()
    def truncate(self, code_size: int) -> Self:
        """Return the estimator with its code cut to the first ``code_size`` dimensions.

        Nothing is trained again: an ordered code has learned every size at once.

        Raises
        ------
        SettingError
            If the code is not ordered, or has fewer dimensions.
        """
        truncated: Self = clone(self)
        truncated.fitted_ = self._fitted.truncated(code_size)
        return truncated

    @property
    def _gives_frames(self) -> bool:
        """Whether the user asked scikit-learn for frames of pandas."""
        own = vars(self).get("_sklearn_output_config", {})
        return bool(own.get("transform", get_config()["transform_output"]) == "pandas")

    def _codes(self, X: Data, condition: Data | None) -> Tensor:
        """Return the codes of X in single precision, on the CPU."""
        return torch.from_numpy(self._encoded(X, condition)).float()
