"""attar: autoencoders for everybody's data.

>>> import attar
>>> ae = attar.Autoencoder(epochs=5, random_state=0).fit("digits")
>>> codes = ae.transform("digits")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from attar.errors import (
    ArchiveError,
    AttarError,
    AttarWarning,
    ClusterError,
    DataError,
    FileError,
    ModelFileError,
    SettingError,
    TrainingError,
)

if TYPE_CHECKING:
    from attar.compression import Archive, Codec, Rate
    from attar.compression import open_archive as open
    from attar.data.clips import Clips
    from attar.data.files.csv import Csv
    from attar.data.files.databases import sql
    from attar.data.files.several import Files
    from attar.data.lines import Lines
    from attar.data.pictures import Pictures
    from attar.data.series import Series
    from attar.data.sounds import Sounds
    from attar.data.sparse import Sparse
    from attar.estimator import Autoencoder
    from attar.exporting import Exported, export, to_keras
    from attar.importing import from_keras
    from attar.loading import load
    from attar.recipe import Recipe
    from attar.reporting import report
    from attar.tasks.anomalies.detector import AnomalyDetector
    from attar.tasks.clusters.clusterer import Clusterer
    from attar.tasks.future.forecaster import Forecaster
    from attar.tasks.gaps.imputer import Imputer
    from attar.tasks.labels.estimators import Classifier, Regressor
    from attar.tuning import Tuning, tune

__version__ = "0.1.0"

__all__ = [
    "AnomalyDetector",
    "Archive",
    "ArchiveError",
    "AttarError",
    "AttarWarning",
    "Autoencoder",
    "Classifier",
    "Clips",
    "ClusterError",
    "Clusterer",
    "Codec",
    "Csv",
    "DataError",
    "Exported",
    "FileError",
    "Files",
    "Forecaster",
    "Imputer",
    "Lines",
    "ModelFileError",
    "PictureCodec",
    "Pictures",
    "Rate",
    "Recipe",
    "Regressor",
    "Series",
    "SettingError",
    "SoundCodec",
    "Sounds",
    "Sparse",
    "TrainingError",
    "Tuning",
    "__version__",
    "export",
    "from_keras",
    "load",
    "open",
    "report",
    "sql",
    "to_keras",
    "tune",
]

# What needs torch is imported when it is first asked for: `import attar` takes no time.
_LAZY = {
    "AnomalyDetector": "attar.tasks.anomalies.detector:AnomalyDetector",
    "Archive": "attar.compression:Archive",
    "Autoencoder": "attar.estimator:Autoencoder",
    "Classifier": "attar.tasks.labels.estimators:Classifier",
    "Clips": "attar.data.clips:Clips",
    "Clusterer": "attar.tasks.clusters.clusterer:Clusterer",
    "Codec": "attar.compression:Codec",
    "Csv": "attar.data.files.csv:Csv",
    "Exported": "attar.exporting:Exported",
    "Files": "attar.data.files.several:Files",
    "Forecaster": "attar.tasks.future.forecaster:Forecaster",
    "Imputer": "attar.tasks.gaps.imputer:Imputer",
    "Lines": "attar.data.lines:Lines",
    "Pictures": "attar.data.pictures:Pictures",
    "Rate": "attar.compression:Rate",
    "Recipe": "attar.recipe:Recipe",
    "Regressor": "attar.tasks.labels.estimators:Regressor",
    "Series": "attar.data.series:Series",
    "PictureCodec": "attar.picture_codec:PictureCodec",
    "SoundCodec": "attar.sound_codec:SoundCodec",
    "Sounds": "attar.data.sounds:Sounds",
    "Sparse": "attar.data.sparse:Sparse",
    "Tuning": "attar.tuning:Tuning",
    "export": "attar.exporting:export",
    "from_keras": "attar.importing:from_keras",
    "load": "attar.loading:load",
    "open": "attar.compression:open_archive",
    "report": "attar.reporting:report",
    "sql": "attar.data.files.databases:sql",
    "to_keras": "attar.exporting:to_keras",
    "tune": "attar.tuning:tune",
}
_MODULES = (
    "bounds",
    "codes",
    "conditions",
    "corruptions",
    "evaluation",
    "likelihoods",
    "networks",
    "penalties",
    "plotting",
    "priors",
    "recipes",
    "sampling",
    "training",
)


def __getattr__(name: str) -> object:
    if name in _LAZY:
        module, _, known = _LAZY[name].partition(":")
        return getattr(import_module(module), known)
    if name in _MODULES:
        return import_module(f"attar.{name}")
    raise AttributeError(f"module 'attar' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_MODULES]
