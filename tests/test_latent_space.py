"""The frame of codes names its rows; what compares codes works whatever scikit-learn returns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal
from PIL import Image
from sklearn import config_context
from sklearn.pipeline import make_union
from sklearn.preprocessing import StandardScaler

import attar


def fitted(X, **settings):
    return attar.Autoencoder(code_size=2, epochs=1, random_state=0, **settings).fit(X)


@pytest.fixture(scope="module")
def patients():
    values = np.random.default_rng(0).normal(size=(40, 3))
    frame = pd.DataFrame(values, [f"row {i}" for i in range(40)], ["a", "b", "c"])
    return frame.assign(patient=np.arange(40) // 2 + 100, visit=["first", "second"] * 20)


def test_a_frame_keeps_its_index_where_it_has_no_identifiers(patients):
    frame = patients[["a", "b", "c"]]
    ae = fitted(frame)
    codes = ae.encode(frame)
    assert codes.index.equals(frame.index)
    assert_array_equal(codes, ae.transform(frame))
    assert_frame_equal(codes, ae.set_output(transform="pandas").transform(frame))
    assert ae.encode(frame.to_numpy()).index.equals(pd.RangeIndex(40))


def test_identifiers_name_the_rows_of_a_frame_and_of_a_file(patients, tmp_path):
    ae = fitted(patients, columns={"patient": "id", "visit": "id"})
    codes = ae.encode(patients)
    assert codes.index.names == ["patient", "visit"]
    assert_frame_equal(
        codes.index.to_frame(index=False), patients.iloc[:, 3:].reset_index(drop=True)
    )
    assert_array_equal(codes, ae.transform(patients))
    patients.to_csv(tmp_path / "p.csv", index=False)
    of_file = fitted(tmp_path / "p.csv", columns={"patient": "id", "visit": "id"})
    assert of_file.encode(tmp_path / "p.csv").index.equals(codes.index)
    of_file.set_output(transform="pandas")
    assert of_file.transform(tmp_path / "p.csv").index.equals(codes.index)


def test_codes_beside_other_columns_of_a_union_have_the_index_of_the_frame(patients):
    ae = attar.Autoencoder(code_size=2, epochs=1, random_state=0, columns={"patient": "id"})
    frame = patients.drop(columns="visit")
    union = make_union(ae, StandardScaler()).set_output(transform="pandas")
    together = union.fit_transform(frame)
    assert together.index.equals(frame.index)
    assert_array_equal(together.iloc[:, :2], ae.fit_transform(frame))
    assert_array_equal(together.iloc[:, 2:], StandardScaler().fit_transform(frame))


def test_pictures_are_named_by_their_files(tmp_path):
    for i in (10, 2, 1):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(np.full((4, 4), 20 * i, np.uint8)).save(tmp_path / f"in/{i}.png")
    ae = fitted(tmp_path / "in")
    codes = ae.encode(tmp_path / "in")
    assert codes.index.name == "file"
    assert list(codes.index) == ["1.png", "2.png", "10.png"]
    assert_array_equal(codes, ae.transform(tmp_path / "in"))
    with config_context(transform_output="pandas"):
        assert_frame_equal(ae.transform(tmp_path / "in"), codes)


def test_windows_are_named_by_their_times():
    time = pd.date_range("2021-03-01", periods=60, freq="h", name="time")
    waves = pd.DataFrame({"x": np.sin(np.arange(60) / 4)}, time)
    ae = fitted(attar.Series(waves, window=8), network="linear")
    codes = ae.encode(waves)
    assert codes.index.names == ["start", "end"]
    assert list(codes.index.get_level_values("start")) == list(time[:53])
    assert list(codes.index.get_level_values("end")) == list(time[7:])
    ae.set_output(transform="pandas")
    assert_frame_equal(ae.transform(waves), codes)
    assert_frame_equal(ae.transform(attar.Series(waves, window=8)), codes)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_codes_are_compared_whatever_transform_returns(patients, library):
    pytest.importorskip(library)
    frame = patients[["a", "b", "c"]]
    ae = fitted(frame)
    rows = ae.neighbours(frame, n=1)[1]
    ae.set_output(transform=library)
    assert_array_equal(ae.neighbours(frame, n=1)[1], rows)
    assert_array_equal(rows[:, 0], np.arange(40))
    assert len(ae.interpolate(frame[:2], frame[2:4], steps=3)) == 6
    assert ae.encode(frame).index.equals(frame.index)
