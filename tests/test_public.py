import subprocess
import sys

import pytest

import attar


def test_the_public_names_are_these():
    assert attar.__all__ == [
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
    assert dir(attar) == sorted([*attar.__all__, *attar._MODULES])


@pytest.mark.parametrize("name", attar.__all__)
def test_every_public_name_exists(name):
    assert getattr(attar, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Autoencodr'"):
        attar.Autoencodr  # noqa: B018


def test_the_package_loads_nothing_heavy():
    heavy = "{'torch', 'sklearn', 'pandas', 'numpy', 'matplotlib'}"
    program = f"import sys, attar; print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")


# What takes seconds to load is loaded once; each module is then the first in a process of its own.
MODULES = """
import os, pandas, pyarrow, sklearn.base, torch
import attar
for name in attar._MODULES:
    if not os.fork():
        getattr(attar, name).__doc__
        os._exit(0)
    assert os.wait()[1] == 0, name
"""


def test_the_modules_of_parts_are_there_without_an_import():
    subprocess.run([sys.executable, "-c", MODULES], check=True)


def test_data_are_opened_by_the_name_open(tmp_path):
    X = attar.data.datasets.load("digits", "test")[0][:30]
    ae = attar.Autoencoder("lossless", epochs=1, random_state=0, verbose=False).fit(X)
    attar.Codec(ae).compress_file(X, tmp_path / "d.atz", with_model=True)
    assert (attar.open(tmp_path / "d.atz")[10:20] == X[10:20]).all()
