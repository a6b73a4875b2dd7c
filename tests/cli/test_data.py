"""Data of any form is reconstructed in the same form: files and folders, end to end."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from scipy import sparse

import attar


@pytest.fixture(scope="module")
def people():
    """A table of mixed types: number, integer, boolean, category, date, and an identifier."""
    generator = np.random.default_rng(0)
    n = 300
    age = generator.integers(18, 90, n)
    frame = pd.DataFrame(
        {
            "id": [f"p{i:04}" for i in range(n)],
            "age": age,
            "income": np.exp(generator.normal(7 + age / 60, 0.5)).round(2),
            "member": age > 50,
            "town": generator.choice(["Ulm", "Bonn", "Hof"], n, p=[0.6, 0.3, 0.1]),
            "since": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(generator.integers(0, 900, n), "D"),
        }
    )
    frame.loc[::7, "income"] = np.nan
    frame.loc[::11, "town"] = None
    return frame


def test_a_table_of_mixed_types_is_reconstructed_in_its_form(run, people):
    people.to_csv("a.csv", index=False)
    assert run("fit", "a.csv", "-o", "a.attar", "--epochs", 3)[0] == 0
    assert run("reconstruct", "a.attar", "a.csv", "-o", "r.csv")[0] == 0
    given, back = (Path(name).read_text().splitlines() for name in ("a.csv", "r.csv"))
    assert back[0] == given[0]
    assert len(back) == len(given)
    frame = pd.read_csv("r.csv")
    assert frame["id"].tolist() == people["id"].tolist()
    assert set(frame["town"]) <= {"Ulm", "Bonn", "Hof"}
    assert frame["member"].dtype == bool
    assert (frame["age"] == frame["age"].round()).all()
    assert frame.notna().all(axis=None)  # what was missing is predicted
    assert all(len(text) == 10 for text in frame["since"])  # dates without a time stay so


def test_the_column_of_labels_is_known_to_every_verb(run, people):
    people.to_csv("a.csv", index=False)
    people.drop(columns="town").to_csv("b.csv", index=False)
    words = ("--epochs", 1, "--drop", "id", "--drop", "town")  # labels are no data anyway
    assert run("fit", "a.csv", "-o", "a.attar", "--label", "town", *words)[0] == 0
    codes = []
    for source in ("a.csv", "b.csv"):
        for verb, options in (
            ("encode", ("-o", "c.npy")),
            ("reconstruct", ("-o", "r.csv")),
            ("evaluate", ()),
            ("report", ("-o", "r.html")),
        ):
            assert run(verb, "a.attar", source, *options)[0] == 0, verb
        codes.append(np.load("c.npy"))
        assert pd.read_csv("r.csv").columns.tolist() == [name for name in people if name != "town"]
        assert ("Bonn" in Path("r.html").read_text()) == (source == "a.csv")
    assert_array_equal(*codes)


def test_the_column_of_the_condition_is_known_to_every_verb(run, people):
    people.to_csv("a.csv", index=False)
    people.drop(columns="member").to_csv("b.csv", index=False)
    words = ("--epochs", 1, "--drop", "id")
    assert run("fit", "a.csv", "-o", "a.attar", "--condition", "member", *words)[0] == 0
    codes = []
    for options in ((), ("--condition", "member")):
        assert run("encode", "a.attar", "a.csv", "-o", "c.npy", *options)[0] == 0
        codes.append(np.load("c.npy"))
    assert_array_equal(*codes)
    status, _, error = run("encode", "a.attar", "b.csv", "-o", "c.npy")
    assert status == 2
    assert "A condition is needed" in error


def test_options_say_what_columns_are(run, people):
    people.assign(zip=[1234, 90210, 10001] * 100).to_csv("a.csv", index=False)
    words = ("--column", "zip=categorical", "--drop", "income", "--drop", "since", "--id", "id")
    status, out, error = run("inspect", "a.csv", *words)
    assert (status, error) == (0, "")
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    assert lines["zip"].split()[1] == "categorical"
    assert lines["since"].endswith("it is set to 'ignore'")
    status, _, error = run("fit", "a.csv", "-o", "a.attar", "--epochs", 1, *words)
    assert (status, error) == (0, "")
    assert run("encode", "a.attar", "a.csv", "-o", "c.csv")[0] == 0
    table = pd.read_csv("c.csv")
    assert table["id"].tolist() == people["id"].tolist()
    run("encode", "a.attar", "a.csv", "-o", "c.npy")
    np.testing.assert_allclose(table.drop(columns="id"), np.load("c.npy"), rtol=1e-5)
    assert run("report", "a.attar", "a.csv", "-o", "r.html")[0] == 0
    assert re.search("p0[0-9]{3}", Path("r.html").read_text())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--column", "town=category"), "no kind of column named 'category': did you mean"),
        (("--column", "id", "--column", "town"), "or one column of text, not id, town"),
        (("--drop", "twon"), "no column named 'twon': did you mean 'town'"),
        (("--id", "idd"), "no column named 'idd': did you mean 'id'"),
        (("--column", "town=number"), "'town' holds text such as 'Ulm', which cannot be read as"),
    ],
)
def test_wrong_columns_and_kinds_are_refused_in_a_sentence(run, people, words, message):
    people.to_csv("a.csv", index=False)
    status, _, error = run("fit", "a.csv", "-o", "a.attar", "--epochs", 1, *words)
    assert status == 2
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("suffix", ["csv", "parquet", "feather"])
def test_codes_of_a_table_go_to_a_table(run, people, suffix):
    people.to_parquet("a.parquet")
    run("fit", "a.parquet", "-o", "a.attar", "--epochs", 1, "--code-size", 3)
    assert run("encode", "a.attar", "a.parquet", "-o", f"c.{suffix}")[0] == 0
    reader = {"csv": pd.read_csv, "parquet": pd.read_parquet, "feather": pd.read_feather}[suffix]
    codes = reader(f"c.{suffix}")
    assert list(codes) == ["autoencoder0", "autoencoder1", "autoencoder2"]
    expected = attar.load("a.attar").transform(people)
    np.testing.assert_allclose(codes.to_numpy(), expected, rtol=1e-6)


def test_series_keep_their_time(run):
    time = pd.date_range("2021-03-01", periods=400, freq="h")
    wave = np.sin(np.arange(400) / 4)
    frame = pd.DataFrame({"date": time, "load": wave, "heat": 2 * wave + 1}).drop(index=[50, 51])
    frame.to_csv("s.csv", index=False)
    words = ("--time", "date", "--window", 24, "--epochs", 2)
    assert run("fit", "s.csv", *words, "-o", "s.attar")[0] == 0
    assert run("reconstruct", "s.attar", "s.csv", "-o", "r.csv")[0] == 0
    back = pd.read_csv("r.csv", parse_dates=["date"])
    assert list(back) == list(frame)
    assert back["date"].tolist() == frame["date"].tolist()
    assert run("encode", "s.attar", "s.csv", "-o", "c.csv")[0] == 0
    codes = pd.read_csv("c.csv", parse_dates=["start", "end"])
    assert codes["start"].iloc[0] == time[0]
    assert codes["end"].iloc[-1] == time[-1]
    spans = codes["end"] - codes["start"]  # shorter beside the missing hours
    assert spans.mode().tolist() == [pd.Timedelta(hours=23)]
    assert spans.max() == pd.Timedelta(hours=23)


def test_a_folder_of_pictures_becomes_another(run):
    generator = np.random.default_rng(0)
    for i, kind in enumerate(["cat", "dog"] * 6):
        os.makedirs(f"in/{kind}", exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (12 + i % 3, 10, 3)).astype(np.uint8)).save(
            f"in/{kind}/{i}.png"
        )
    status, _, err = run("fit", "in", "-o", "m.attar")
    assert status == 2
    assert "bring them to one height and width" in err
    assert run("fit", "in", "-o", "m.attar", "--size", "8x6", "--epochs", 2)[0] == 0
    assert run("reconstruct", "m.attar", "in", "-o", "out")[0] == 0
    names = sorted(path.relative_to("out").as_posix() for path in Path("out").rglob("*.png"))
    given = sorted(path.relative_to("in").as_posix() for path in Path("in").rglob("*.png"))
    assert names == given
    model = attar.load("m.attar")
    written = [np.asarray(Image.open(f"out/{name}")) for name in model.encode("in").index]
    np.testing.assert_array_equal(written, model.reconstruct("in"))
    assert run("encode", "m.attar", "in", "-o", "c.npy")[0] == 0
    assert len(np.load("c.npy")) == 12
    assert run("encode", "m.attar", "in", "-o", "c.parquet")[0] == 0
    written, codes = pd.read_parquet("c.parquet"), attar.load("m.attar").encode("in")
    assert sorted(written["file"]) == given
    pd.testing.assert_frame_equal(written, codes.reset_index())


def test_a_folder_is_not_overwritten(run, digits_folder):
    for output in (digits_folder, digits_folder / "inside"):
        status, _, err = run(
            "reconstruct", digits_folder / "../d.attar", digits_folder, "-o", output
        )
        assert status == 2
        assert "would overwrite the source" in err
    os.mkdir("notes")
    Path("notes/diary.txt").write_text("dear")
    status, _, err = run("sample", digits_folder / "../d.attar", "-o", "notes")
    assert status == 2
    assert "notes holds diary.txt, which would be lost" in err


@pytest.fixture(scope="module")
def digits_folder(tmp_path_factory):
    """A folder of small pictures, with a model of them beside it."""
    folder = tmp_path_factory.mktemp("pictures") / "in"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (12, 5, 5)).astype(np.uint8)
    for i, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"{i}.png")
    attar.Autoencoder(epochs=1, verbose=False).fit(folder).save(folder / "../d.attar")
    return folder


def test_a_sparse_matrix_stays_sparse(run):
    matrix = sparse.random_array((60, 40), density=0.1, rng=np.random.default_rng(0))
    matrix = (matrix * 5).ceil().astype(np.int64).tocsr()
    sparse.save_npz("m.npz", matrix)
    assert run("fit", "m.npz", "-o", "m.attar", "--epochs", 2)[0] == 0
    assert run("reconstruct", "m.attar", "m.npz", "-o", "r.npz")[0] == 0
    back = sparse.load_npz("r.npz")
    assert (back.shape, back.dtype, back.format) == ((60, 40), np.int64, "csr")


def test_inspect_says_what_fit_does(run, people):
    people.to_csv("a.csv", index=False)
    status, out, _ = run("inspect", "a.csv", "--json")
    assert status == 0
    inspection = json.loads(out)
    columns = {column["name"]: column for column in inspection["columns"]}
    assert columns["town"]["likelihood"] == "categorical"
    assert columns["age"]["likelihood"] == "discretized"
    assert columns["member"]["likelihood"] == "bernoulli"
    assert "circular" in columns["since"]["likelihood"]
    assert columns["id"]["missing"] is None
    assert "different" in columns["id"]["remark"]
    assert columns["income"]["missing"] == pytest.approx(people["income"].isna().mean())
    run("fit", "a.csv", "-o", "a.attar", "--set", "max_minutes=0.0001")
    chosen = [choice.to_json() for choice in attar.load("a.attar").choices_]
    assert inspection["choices"] == chosen
    status, out, _ = run("inspect", "a.csv")
    assert status == 0
    assert "categorical" in out
    assert "a likelihood for each column" in out


def test_infinities_are_refused_or_missing_as_the_user_wants(run):
    values = np.random.default_rng(0).normal(size=(40, 3))
    values[3, 1] = np.inf
    np.save("a.npy", values)
    status, _, err = run("fit", "a.npy", "-o", "a.attar")
    assert status == 2
    assert "Column 1 of X has 1 infinite values" in err
    words = ("--epochs", 1, "--set", "infinite_as_missing=true")
    status, _, err = run("fit", "a.npy", "-o", "a.attar", *words)
    assert status == 0
    assert "1 infinite values count as missing" in err
    status, _, err = run("encode", "a.attar", "a.npy", "-o", "c.npy")
    assert status == 0
    assert np.isfinite(np.load("c.npy")).all()


def test_a_column_without_a_value_is_reported_and_restored(run, people):
    frame = people.assign(empty=np.nan)
    frame.to_csv("a.csv", index=False)
    _, out, _ = run("inspect", "a.csv")
    assert "empty" in out
    run("fit", "a.csv", "-o", "a.attar", "--epochs", 1)
    assert any(choice.value == "empty" for choice in attar.load("a.attar").choices_)
    run("reconstruct", "a.attar", "a.csv", "-o", "r.csv")
    assert list(pd.read_csv("r.csv")) == list(frame)


BAD = {
    "ragged row": ("a,b\n1,2\n3,4\n1,2,3\n", (), "line 4"),
    "one name twice": ("a,a\n1,2\n3,4\n", (), "'a'"),
    "times that are none": ("t,x\n2020-01-01,1\nsoon,2\n2020-01-03,3\n", ("--time", "t"), "'soon'"),
    "no such time": ("t,x\n1,1\n2,2\n", ("--time", "date"), "'date'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_get_one_sentence(run, case):
    content, words, sentence = BAD[case]
    Path("a.csv").write_text(content)
    status, out, err = run("fit", "a.csv", "-o", "a.attar", *words)
    assert status == 2
    assert sentence in err
    assert err.count("\n") == 1
    assert out == ""
    assert os.listdir() == ["a.csv"]


def test_bad_files_get_one_sentence(run, people):
    people.to_parquet("whole.parquet")
    content = Path("whole.parquet").read_bytes()
    Path("cut.parquet").write_bytes(content[: len(content) // 2])
    Path("latin.csv").write_bytes("a,b\n1,café\n".encode() + b"2,caf\xe9\n")
    os.mkdir("pictures")
    Path("pictures/fake.png").write_text("no picture")
    for source in ("cut.parquet", "latin.csv", "pictures"):
        status, _, err = run("fit", source, "-o", "a.attar")
        assert status == 2
        assert source in err
        assert err.count("\n") == 1
        assert not Path("a.attar").exists()


def test_a_column_that_is_missing_at_transform_is_named(run, people):
    people.to_csv("a.csv", index=False)
    people.drop(columns="town").to_csv("b.csv", index=False)
    run("fit", "a.csv", "-o", "a.attar", "--epochs", 1)
    status, _, err = run("encode", "a.attar", "b.csv", "-o", "c.npy")
    assert status == 2
    assert "'town'" in err
    assert not Path("c.npy").exists()


def test_a_category_never_seen_is_counted(run, people):
    people.to_csv("a.csv", index=False)
    people.assign(town="Trier").to_csv("b.csv", index=False)
    run("fit", "a.csv", "-o", "a.attar", "--epochs", 1)
    status, _, err = run("encode", "a.attar", "b.csv", "-o", "c.npy")
    assert status == 0
    assert "300 in the column 'town'" in err
    assert_array_equal(np.isfinite(np.load("c.npy")), True)


def test_absent_ratings_are_missing(run):
    generator = np.random.default_rng(0)
    matrix = sparse.random_array(
        (60, 40),
        density=0.3,
        rng=generator,
        data_sampler=lambda size: 1 + generator.integers(0, 5, size),
    ).tocsr()
    sparse.save_npz("m.npz", matrix)
    fit = ("fit", "m.npz", "-o", "m.attar", "--epochs", 2)
    assert run(*fit, "--absent", "missing", "--report", "page.html")[0] == 0
    assert attar.load("m.attar").fitted_.kind.partial
    assert run("encode", "m.attar", "m.npz", "-o", "codes.npy")[0] == 0
    assert "multinomial" in run("inspect", "m.npz")[1]
    assert "gaussian" in run("inspect", "m.npz", "--absent", "missing")[1]
    status, _, error = run(*fit, "--absent", "mising")
    assert status == 2
    assert "did you mean 'missing'?" in error


def test_a_csv_file_may_be_of_any_dialect(run, people):
    """A European file is recognized; others may be of another dialect; what is written is plain."""
    days = people.assign(since=people["since"].dt.strftime("%d.%m.%Y"), share="5 %", at="8:30")
    days.loc[::3, ["share", "at"]] = ["7,5 %", "17:05"]
    days["town"] = days["town"].fillna("?").replace("Ulm", "Köln")
    days.to_csv("a.CSV", sep=";", decimal=",", encoding="cp1252", index=False)
    days.to_csv("b.tsv", sep="\t", decimal=",", encoding="utf-16", index=False)
    status, output, _ = run("inspect", "a.CSV")
    assert (status, output.splitlines()[0]) == (
        0,
        "a.CSV: cp1252, delimiter ';', decimal ',', 'since' day first, 'share' in %",
    )
    assert run("inspect", "a.CSV", "--json")[1].startswith("{")
    assert run("fit", "a.CSV", "-o", "a.attar", "--epochs", 2)[0] == 0
    assert run("reconstruct", "a.attar", "b.tsv", "-o", "r.csv")[0] == 0
    assert run("sample", "a.attar", "-n", 9, "-o", "s.csv")[0] == 0
    for name in ("r.csv", "s.csv"):
        back = pd.read_csv(name)
        assert back.columns.to_list() == days.columns.to_list()
        assert back["town"].isin(["Köln", "Bonn", "Hof"]).all()
        assert set(back["at"]) <= {f"{h:02}:{m:02}:00" for h in range(24) for m in range(60)}
        assert (pd.to_datetime(back["since"], format="%Y-%m-%d") >= "2019").all()
        assert back[["income", "share"]].dtypes.eq(float).all()
    ae = attar.load("a.attar")
    columns = ["age", "income", "since", "share", "at"]
    kind = ae.fitted_.kind
    frame = days.replace("?", None).assign(income=people["income"])
    places = [i for i, cell in enumerate(kind.cells) if cell.name in columns]
    rows = kind.rows(attar.Csv("b.tsv").read())[:, places]
    assert_array_equal(kind.rows(frame)[:, places], rows)  # text in a frame means the same


def test_options_describe_a_csv_file_to_every_verb(run, people):
    people["town"] = people["town"].fillna("Москва")
    people["age"] = people["age"].where(people.index % 9 > 0, -999)
    people.to_csv("a.csv", sep="|", encoding="cp1251", index=False)
    options = ("--delimiter", "|", "--decimal", ".", "--encoding", "cp1251", "--na", -999)
    assert run("inspect", "a.csv")[0] == 2
    status, output, said = run("inspect", "a.csv", *options)
    assert (status, said) == (0, "")
    assert "age     integer      11.3%" in output
    assert run("fit", "a.csv", "-o", "m.attar", "--epochs", 15, *options)[0] == 0
    for words in (["encode", "-o", "z.npy"], ["reconstruct", "-o", "r.csv"], ["evaluate"]):
        assert run(words[0], "m.attar", "a.csv", *words[1:], *options)[0] == 0
    assert run("report", "m.attar", "a.csv", "-o", "r.html", *options)[0] == 0
    assert "Москва" in Path("r.csv").read_text("utf-8")
    status, _, said = run("inspect", "digits", "--na", "x")
    assert (status, said) == (
        2,
        "attar: --delimiter, --decimal, --encoding and --na are for CSV files, not digits.\n",
    )


def test_json_lines_are_a_table(run, people):
    people.to_json("a.jsonl", orient="records", lines=True, date_format="iso")
    assert run("fit", "a.jsonl", "-o", "m.attar", "--epochs", 2)[0] == 0
    assert run("reconstruct", "m.attar", "a.jsonl", "-o", "r.csv")[0] == 0
    assert pd.read_csv("r.csv")["id"].to_list() == people["id"].to_list()
