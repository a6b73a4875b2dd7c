import pytest

from attar import FileError
from attar.storage import check_writable, written_whole


def test_a_file_takes_its_place_at_the_end(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with written_whole(path) as beside:
        beside.write_text("new")
        assert path.read_text() == "old"
        assert beside.parent == tmp_path
        assert beside.suffix == path.suffix
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_a_failure_all_is_as_it_was(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(beside):
        beside.write_text("half")
        raise error

    with pytest.raises(error), written_whole(path) as beside:
        fail(beside)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_takes_the_place_of_a_folder(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / "old").write_text("old")
    with written_whole(path) as beside:
        beside.mkdir()
        (beside / "new").write_text("new")
    assert [p.name for p in path.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_file_never_takes_the_place_of_a_folder(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "kept").write_text("kept")
    with (
        pytest.raises(FileError, match="folder cannot be written: "),
        written_whole(path) as beside,
    ):
        beside.write_text("new")
    assert (path / "kept").read_text() == "kept"
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_a_full_disk_is_a_file_error_with_its_reason(tmp_path):
    with (
        pytest.raises(FileError, match=r"a\.txt cannot be written: no space left on device"),
        written_whole(tmp_path / "a.txt"),
    ):
        raise OSError(28, "No space left on device")


def test_a_missing_folder_is_told_before_the_work(tmp_path):
    check_writable(tmp_path / "a.txt")
    with pytest.raises(FileError, match=r"there is no folder .*none; make it first"):
        check_writable(tmp_path / "none" / "a.txt")
