import pytest

import attar
from attar.errors import unknown


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (attar.DataError, ValueError),
        (attar.SettingError, ValueError),
        (attar.TrainingError, RuntimeError),
        (attar.ClusterError, RuntimeError),
        (attar.FileError, OSError),
        (attar.ModelFileError, attar.FileError),
        (attar.ArchiveError, attar.FileError),
    ],
)
def test_every_error_is_an_attar_error_and_a_builtin_one(error, builtin):
    assert issubclass(error, attar.AttarError)
    assert issubclass(error, builtin)


def test_the_warning_is_a_user_warning():
    assert issubclass(attar.AttarWarning, UserWarning)


def test_an_unknown_name_suggests_the_nearest():
    assert str(unknown("fruit", "aple", ["pear", "apple"])) == (
        "There is no fruit named 'aple': did you mean 'apple'?"
    )


def test_an_unknown_name_near_to_none_lists_all():
    assert str(unknown("fruit", 7, ["pear", "apple"])) == (
        "There is no fruit named 7: choose one of apple, pear."
    )
