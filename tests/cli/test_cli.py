"""Every verb does its work, or exits 2 with one sentence and writes nothing."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from sklearn.datasets import load_digits, load_iris

import attar
from attar.cli.arguments import importing
from attar.cli.fit import comparison
from attar.data import datasets
from attar.reporting.sections import METRICS
from attar.training.checkpoints import Checkpoint

VERBS = [
    *("fit", "inspect", "encode", "reconstruct", "sample", "evaluate", "report"),
    *("compress", "decompress", "info", "recipes", "card", "export", "import", "tune"),
]


@pytest.fixture(scope="session")
def digits_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("digits") / "d.attar"
    attar.Autoencoder(epochs=1, random_state=0, verbose=False).fit("digits").save(path)
    return path


@pytest.fixture(scope="session")
def vae_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("vae") / "m.attar"
    attar.Autoencoder("vae", 2, epochs=1, verbose=False).fit(load_iris().data).save(path)
    return path


@pytest.fixture(scope="session")
def iris(tmp_path_factory):
    path = tmp_path_factory.mktemp("iris") / "iris.csv"
    load_iris(as_frame=True).frame.to_csv(path, index=False)
    return path


def test_a_fit_goes_on_from_a_model_and_may_keep_its_codes(run, iris, tmp_path):
    frame = pd.read_csv(iris).sample(frac=1, random_state=0)
    for name, rows in {"old": frame[:80], "new": frame[80:]}.items():
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    options = ("--code-size", 2, "--set", "optimizer=adam", "-q")
    assert run("fit", "old.csv", "-o", "old.attar", "--epochs", 3, *options)[0] == 0
    further = ("fit", "new.csv", "--from", "old.attar", "--epochs", 3, "-q")
    assert run(*further, "-o", "new.attar")[0] == 0
    assert run(*further, "-o", "frozen.attar", "--freeze", "encoder")[0] == 0
    old, new, frozen = (attar.load(f"{name}.attar") for name in ("old", "new", "frozen"))
    assert list(new.history_.epoch) == list(frozen.history_.epoch) == [1, 2, 3, 4, 5, 6]
    assert_array_equal(frozen.transform(frame), old.transform(frame))
    assert not np.array_equal(new.transform(frame), old.transform(frame))
    assert not new.warm_start


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["iris.csv", "--from", "digits.attar"], "fitted on images, but X is a table"),
        (["digits", "--from", "digits.attar", "--recipe", "vae"], "recipe='vae' makes another one"),
        (["digits", "--from", "none.attar"], "none.attar"),
        (["digits", "--freeze", "encoder"], "give the model with --from"),
        (["digits", "--for", "gaps", "--from", "digits.attar"], "--from is of an autoencoder"),
    ],
)
def test_a_model_of_other_data_or_settings_is_refused(options, sentence, run, iris, digits_model):
    files = {"iris.csv": str(iris), "digits.attar": str(digits_model)}
    status, _, err = run("fit", *(files.get(one, one) for one in options), "-o", "new.attar")
    assert status == 2
    assert sentence in err
    assert not Path("new.attar").exists()


def test_fit_prints_the_error_and_leaves_one_file(run, tmp_path):
    status, out, _ = run("fit", "digits", "-o", "d.attar", "--epochs", 1, "--json")
    assert status == 0
    result = json.loads(out)
    test, _ = datasets.load("digits", "test")
    ae = attar.load("d.attar")
    assert result["error"] == ae.evaluate(test)["error"]
    assert result["rows"] == len(test)
    assert [choice["setting"] for choice in result["choices"]] == [c.setting for c in ae.choices_]
    assert os.listdir(tmp_path) == ["d.attar"]


def test_fit_prints_plain_words(run):
    status, out, err = run("fit", "digits", "-o", "d.attar", "--epochs", 6)
    assert status == 0
    metrics = attar.load("d.attar").evaluate("digits")
    comparison = f"{1 - metrics['error_to_pca']:.0%} below PCA's {metrics['pca_error']:.4g}"
    assert out.splitlines()[0] == f"Test MSE {metrics['error']:.4g}, {comparison} with 16 numbers."
    assert "d.attar" in out.splitlines()[-1]
    assert err == ""  # no progress bar outside a terminal


def test_fit_is_the_estimators_fit(run):
    run("fit", "digits", "-o", "d.attar", "--epochs", 2, "--seed", 3, "--set", "batch_size=100")
    ae = attar.Autoencoder(epochs=2, random_state=3, batch_size=100, verbose=False).fit("digits")
    assert_array_equal(attar.load("d.attar").transform("digits"), ae.transform("digits"))


def test_set_reaches_every_setting_and_those_of_parts(run):
    status, _, _ = run(
        "fit", "digits", "-o", "d.attar", "--epochs", 1, "--recipe", "vae", "--code-size", 3,
        "--set", "recipe__code__beta=2.5", "--set", "network=mlp", "--set", "network.widths=[9, 5]",
        "--set", "optimizer=adamw", "--set", "early-stopping=false",
    )  # fmt: skip
    assert status == 0
    ae = attar.load("d.attar")
    assert ae.recipe.code.beta == 2.5
    assert ae.network.widths == (9, 5)
    assert (ae.optimizer, ae.early_stopping, ae.code_size_) == ("adamw", False, 3)


def test_a_label_column_is_not_trained_on(run, iris):
    status, _, _ = run("fit", iris, "-o", "m.attar", "--epochs", 2, "--label", "target")
    assert status == 0
    assert "target" not in attar.load("m.attar").feature_names_in_
    status, _, _ = run("encode", "m.attar", iris, "-o", "c.csv", "--label", "target")
    assert status == 0
    assert len(pd.read_csv("c.csv")) == 150


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv", ".parquet"])
def test_encode_writes_codes_by_suffix(run, digits_model, suffix):
    status, _, _ = run("encode", digits_model, "digits", "-o", f"codes{suffix}")
    assert status == 0
    written = {
        ".npy": lambda: np.load("codes.npy"),
        ".npz": lambda: np.load("codes.npz")["X"],
        ".csv": lambda: pd.read_csv("codes.csv").to_numpy(),
        ".parquet": lambda: pd.read_parquet("codes.parquet").to_numpy(),
    }[suffix]()
    codes = attar.load(digits_model).transform("digits")
    assert_array_equal(written.astype(np.float32), codes)


def test_reconstruct_writes_images_and_tables_in_their_form(run, digits_model, iris):
    run("reconstruct", digits_model, "digits", "-o", "r.npy")
    assert_array_equal(np.load("r.npy"), attar.load(digits_model).reconstruct("digits"))
    run("fit", iris, "-o", "m.attar", "--epochs", 2)
    run("reconstruct", "m.attar", iris, "-o", "r.csv")
    frame, back = pd.read_csv(iris), pd.read_csv("r.csv")
    assert list(back.columns) == list(frame.columns)
    assert (back.dtypes == frame.dtypes).all()
    assert len(back) == len(frame)


def test_pictures_go_to_a_folder_scaled_to_white(run, digits_model):
    status, _, _ = run("reconstruct", digits_model, "digits", "-o", "pictures")
    assert status == 0
    names = sorted(os.listdir("pictures"))
    assert names[0] == "000000.png"
    assert len(names) == 360
    back = attar.load(digits_model).reconstruct("digits")
    first = np.asarray(Image.open("pictures/000000.png"))
    assert_array_equal(first, np.rint(back[0] * (255 / 16)).clip(0, 255))


def test_pictures_of_bytes_are_written_unscaled(run):
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (40, 5, 6, 3)).astype(np.uint8)
    np.save("c.npy", colour)
    run("fit", "c.npy", "-o", "c.attar", "--epochs", 1)
    run("reconstruct", "c.attar", "c.npy", "-o", "pictures")
    back = attar.load("c.attar").reconstruct(colour)
    assert_array_equal(np.asarray(Image.open("pictures/000007.png")), back[7])


def test_a_second_folder_replaces_the_first(run, digits_model):
    run("sample", digits_model, "-n", 3, "-o", "new")
    run("sample", digits_model, "-n", 2, "-o", "new")
    assert sorted(os.listdir("new")) == ["000000.png", "000001.png"]
    assert os.listdir(".") == ["new"]


def test_sample_draws_rows_of_a_table_and_expects_them_with_mean(run):
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 3)), columns=list("abc"))
    attar.Autoencoder("vae", epochs=2, random_state=0).fit(table).save("m.attar")
    for options, mean in ((), False), (("--mean",), True):
        assert run("sample", "m.attar", "-n", 5, "-o", "s.csv", "--seed", 7, *options)[0] == 0
        expected = attar.load("m.attar").sample(5, mean=mean, random_state=7)
        pd.testing.assert_frame_equal(pd.read_csv("s.csv"), expected, rtol=1e-12)


def test_sample_is_the_estimators_sample(run, digits_model):
    run("sample", digits_model, "-n", 5, "-o", "s.npy", "--seed", 7)
    assert_array_equal(np.load("s.npy"), attar.load(digits_model).sample(5, random_state=7))


def test_evaluate_prints_the_estimators_metrics(run, digits_model):
    status, out, _ = run("evaluate", digits_model, "digits", "--json")
    assert status == 0
    metrics = attar.load(digits_model).evaluate("digits")
    assert json.loads(out) == {"rows_of": "test", **metrics}
    status, out, _ = run("evaluate", digits_model, "digits/train")
    assert status == 0
    assert out.splitlines()[:2] == [f"{'rows of':20} validation", f"{'rows':20} 144"]


@pytest.mark.parametrize(
    ("source", "rows", "part"),
    [("t.csv", 9, "validation"), ("digits", 360, "test"), ("digits/train", 144, "validation")],
)
def test_fit_evaluate_and_report_have_the_same_figures_of_the_same_rows(run, source, rows, part):
    values = np.random.default_rng(0).normal(size=(90, 4)).cumsum(1)
    pd.DataFrame(values, columns=list("abcd")).to_csv("t.csv", index=False)
    fit = ("fit", source, "-o", "m.attar", "--epochs", 1, "--code-size", 2, "--report", "fit.html")
    words = run(*fit)[1].splitlines()[0]
    fitted = json.loads(run(*fit, "--json")[1])
    evaluated = json.loads(run("evaluate", "m.attar", source, "--json")[1])
    assert fitted["rows_of"] == evaluated.pop("rows_of") == part
    # Arrays that were read from a file are aligned otherwise in memory, and summed otherwise.
    assert {name: fitted[name] for name in evaluated} == pytest.approx(evaluated, rel=1e-7)
    assert words.startswith(f"{part.capitalize()} MSE {evaluated['error']:.4g}, ")
    assert run("report", "m.attar", source, "-o", "page.html")[0] == 0
    for page in ("page.html", "fit.html"):
        text = Path(page).read_text()
        values, words = zip(*re.findall(r'<data value="([^"]*)">([^<]*)<', text), strict=True)
        names = [name for name in METRICS if name in evaluated]
        metrics = [evaluated[name] for name in names]
        assert [float(value) for value in values] == pytest.approx(metrics, rel=1e-7)
        assert list(words) == [METRICS[name][0](evaluated[name]) for name in names]
        assert f"report on {rows} {part} " in text
    if part == "validation":
        diagnostics = attar.load("m.attar").fitted_.training_summary.diagnostics
        assert diagnostics.error == pytest.approx(evaluated["error"], rel=1e-7)
        assert diagnostics.pca_error == pytest.approx(evaluated["pca_error"], rel=1e-7)


def test_rows_that_were_not_fitted_are_all_measured(run, digits_model):
    np.save("some.npy", datasets.load("digits", "train")[0][:100])
    evaluated = json.loads(run("evaluate", digits_model, "some.npy", "--json")[1])
    assert (evaluated["rows_of"], evaluated["rows"]) == ("given", 100)


def test_report_writes_a_page(run, digits_model):
    assert run("report", digits_model, "digits", "-o", "page.html")[0] == 0
    assert "</html>" in Path("page.html").read_text()


def test_info_prints_the_fingerprint_the_error_and_the_parts(run, digits_model):
    status, out, _ = run("info", digits_model, "--json")
    contents = json.loads(out)
    ae = attar.load(digits_model)
    assert status == 0
    assert contents["fingerprint"] == ae.fitted_.fingerprint
    assert contents["weights"] == sum(w.numel() for w in ae.model_.parameters())
    assert contents["validation_error"] == ae.fitted_.training_summary.diagnostics.error
    status, out, _ = run("info", digits_model)
    assert status == 0
    assert contents["fingerprint"] in out
    assert f"validation_error {contents['validation_error']}" in out


def test_a_numeric_condition_is_parsed_as_a_number(run, tmp_path):
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.normal(size=(60, 3)), columns=["a", "b", "price"])
    frame.to_csv(tmp_path / "t.csv", index=False)
    run("fit", "t.csv", "-o", "m.attar", "--condition", "price", "--recipe", "vae", "--epochs", 1)
    assert run("sample", "m.attar", "-n", 3, "-o", "s.npy", "--condition", 2)[0] == 0
    expected = attar.load("m.attar").sample(3, condition=2.0, random_state=0)
    np.testing.assert_array_equal(np.load("s.npy"), expected)
    status, _, err = run("sample", "m.attar", "-o", "s.npy", "--condition", "much")
    assert status == 2
    assert "In the condition" in err


def test_metrics_that_are_not_finite_are_null(run):
    np.save("alike.npy", np.ones((20, 3)))
    _, out, _ = run("fit", "alike.npy", "-o", "m.attar", "--epochs", 1, "--json")
    assert json.loads(out, parse_constant=pytest.fail)["error_to_pca"] is None
    _, out, _ = run("evaluate", "m.attar", "alike.npy", "--json")
    assert json.loads(out, parse_constant=pytest.fail)["error_to_pca"] is None


def test_more_draws_tighten_the_bound(run, vae_model):
    np.save("iris.npy", load_iris().data)
    few, many = (
        json.loads(run("evaluate", vae_model, "iris.npy", "--draws", k, "--json")[1])["nll_bound"]
        for k in (1, 50)
    )
    assert many < few


def test_recipes_prints_the_table(run):
    from attar.recipes import TABLE

    _, out, _ = run("recipes", "--names")
    assert out.split() == list(TABLE)
    _, out, _ = run("recipes", "--json")
    assert [row["name"] for row in json.loads(out)] == list(TABLE)
    _, out, _ = run("recipes", "vae")
    assert "Kingma and Welling" in out


BAD = {
    "missing file": (["fit", "none.csv", "-o", "m.attar"], "There is no file none.csv"),
    "unknown suffix": (["fit", "a.xyz", "-o", "m.attar"], "does not read"),
    "folder": (["fit", "folder", "-o", "m.attar"], "folder holds no pictures"),
    "no such folder": (["fit", "digits", "-o", "none/m.attar"], "no folder none"),
    "recipe": (["fit", "digits", "-o", "m.attar", "--recipe", "vea"], "did you mean 'vae'"),
    "setting": (["fit", "digits", "-o", "m.attar", "--set", "epoch=3"], "did you mean 'epochs'"),
    "no assignment": (["fit", "digits", "-o", "m.attar", "--set", "epochs"], "key=value"),
    "inner setting": (
        ["fit", "digits", "-o", "m.attar", "--recipe", "vae", "--set", "recipe__code__betta=1"],
        "did you mean 'beta'",
    ),
    "epochs": (["fit", "digits", "-o", "m.attar", "--epochs", "many"], "epochs must be 'auto'"),
    "part of a data set": (["fit", "digits/tset", "-o", "m.attar"], "no part 'tset'"),
    "empty file": (["fit", "empty.csv", "-o", "m.attar"], "empty.csv is empty"),
    "one row": (["fit", "one.csv", "-o", "m.attar"], "1 sample"),
    "ragged lines": (["fit", "ragged.csv", "-o", "m.attar"], "line 3"),
    "encoding": (["fit", "latin.csv", "-o", "m.attar"], "latin.csv cannot be read"),
    "label": (["fit", "text.csv", "-o", "m.attar", "--label", "nam"], "did you mean 'name'"),
    "no array": (["fit", "broken.npy", "-o", "m.attar"], "broken.npy is no .npy file"),
    "no archive": (["fit", "broken.npz", "-o", "m.attar"], "broken.npz cannot be read"),
    "several arrays": (["fit", "several.npz", "-o", "m.attar"], "holds the arrays a, b"),
    "objects": (["fit", "objects.npy", "-o", "m.attar"], "objects.npy holds Python objects"),
    "cut IDX": (["fit", "cut-idx3-ubyte", "-o", "m.attar"], "is damaged"),
    "no model": (["encode", "none.attar", "digits", "-o", "c.npy"], "no model file none.attar"),
    "not a model": (["info", "text.csv"], "not a file of attar's"),
    "other data": (["encode", "MODEL", "numbers.csv", "-o", "c.npy"], "fitted on images"),
    "unknown output": (["encode", "MODEL", "digits", "-o", "c.xls"], "does not write"),
    "codes as pictures": (["encode", "MODEL", "digits", "-o", "pictures"], "are no pictures"),
    "pictures as table": (["sample", "MODEL", "-o", "s.csv"], "Images don't go into a table"),
    "too many samples": (["sample", "MODEL", "-n", 10**11, "-o", "s.npy"], "not fit into memory"),
    "a sampler that does not fit": (
        ["sample", "MODEL", "--sampler", "autoregressive", "-o", "s.npy"],
        "'autoregressive' needs a discrete code, but the code 'point' is none",
    ),
    "a name for a part": (
        ["fit", "digits", "-o", "m.attar", "--set", "recipe.bound=iwae", "--recipe", "vae"],
        "bound of a recipe must be a Bound, not",
    ),
    "unknown recipe": (["recipes", "vqvae"], "no recipe named 'vqvae'"),
    "missing option": (["fit", "digits"], "Missing option"),
    "unknown option": (["fit", "digits", "-o", "m.attar", "--epoch", "3"], "--epochs"),
    "unknown verb": (["fitt"], "No such command"),
}


def test_a_quiet_fit_prints_nothing(run):
    assert run("fit", "digits", "-o", "m.attar", "--epochs", 1, "--quiet") == (0, "", "")
    status, out, err = run("fit", "digits", "-o", "m.attar", "--epochs", 1, "-q", "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["model"] == "m.attar"


def test_a_fit_ends_in_time(run):
    assert run("fit", "digits", "-o", "m.attar", "--max-minutes", 0.001, "--device", "cpu")[0] == 0
    ae = attar.load("m.attar")
    assert (ae.max_minutes, ae.device) == (0.001, "cpu")
    assert run("info", "m.attar")[0] == 0


def test_a_device_that_is_missing_is_refused(run, digits_model):
    for words in ("fit", "digits"), ("encode", digits_model, "digits"):
        status, _, err = run(*words, "-o", "out.npy", "--device", "cuda:99")
        assert (status, os.listdir(".")) == (2, [])
        assert err == "attar: There is no device 'cuda:99' here: use 'auto' or 'cpu'.\n"


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_h_is_help(verb, run):
    status, out, _ = run(*verb.split(), "-h")
    assert status == 0
    assert out.startswith("Usage: ")
    assert out == run(*verb.split(), "--help")[1]


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("fit --recipe sparse-t", ["sparse-topk"]),
        ("fit --recipe vq", ["vq-vae", "vq-vae-2"]),
        ("recipes beta-v", ["beta-vae"]),
        ("fit --set code", ["code_size="]),
        ("inspect --set schedule=co", ["schedule=constant", "schedule=cosine"]),
        ("fit --max", ["--max-minutes"]),
        ("eva", ["evaluate"]),
    ],
)
def test_a_shell_completes_names(words, completed, run, monkeypatch):
    monkeypatch.setenv("_ATTAR_COMPLETE", "complete_fish")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", f"attar {words}")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    lines = run()[1].splitlines()
    assert [line.partition("\t")[0] for line in lines] == completed


# The command line, which then prints which of some modules were loaded.
IMPORTS = """
import atexit, sys
heavy = {'torch', 'torch._dynamo', 'sklearn', 'sklearn.mixture', 'pandas', 'pyarrow'}
heavy |= {'matplotlib', 'rich', 'zuko'}
atexit.register(lambda: print('loaded', *sorted(heavy & set(sys.modules)), file=sys.stderr))
from attar.cli import main
main()
"""
DATA = "pandas pyarrow sklearn torch"


@pytest.mark.parametrize(
    ("words", "loaded"),
    [
        (("--help",), ""),
        (("recipes",), ""),
        (("recipes", "vae", "--json"), ""),
        (("info", "MODEL"), ""),
        (("sample", "MODEL", "-n", "4", "-o", "s.npy"), DATA),
    ],
)
def test_a_verb_loads_what_it_needs(words, loaded, vae_model, tmp_path):
    words = [vae_model if word == "MODEL" else word for word in words]
    command = [sys.executable, "-c", IMPORTS, *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stderr.rpartition("loaded")[2].split() == loaded.split()


def test_modules_are_imported_without_collecting_and_then_left_alone():
    kept = gc.get_freeze_count()
    with importing():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > kept
    gc.unfreeze()


TYPOS = {
    "recipe": ("--recipe", "vea"),
    "key": ("--set", "epoch=3"),
    "value": ("--set", "network=cnov"),
}
# The command line, which then prints whether torch was loaded and the seconds of its process.
TYPO = """
import atexit, sys, time
atexit.register(lambda: print('torch' in sys.modules, time.process_time()))
from attar.cli import main
main()
"""


@pytest.mark.parametrize("typo", TYPOS)
def test_a_typo_is_answered_within_a_second_and_without_torch(typo):
    words = [sys.executable, "-c", TYPO, "fit", "digits", "-o", "m.attar", *TYPOS[typo]]
    done = subprocess.run(words, capture_output=True, text=True)
    torch, seconds = done.stdout.split()
    assert done.returncode == 2
    assert "did you mean" in done.stderr
    assert torch == "False"
    assert float(seconds) < 1


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_sentence_exit_2_and_no_file(case, run, digits_model):
    os.mkdir("folder")
    files = {
        "a.xyz": "",
        "empty.csv": "",
        "one.csv": "a,b\n1,2\n",
        "numbers.csv": "a,b\n1,2\n3,4\n",
        "ragged.csv": "a,b\n1,2\n1,2,3\n",
        "text.csv": "n,name\n1,Bo\n2,Al\n",
        "missing.csv": "a,b\n1,2\n3,\n5,6\n",
        "broken.npy": "no array",
        "broken.npz": "no archive",
    }
    for name, content in files.items():
        with open(name, "w") as file:
            file.write(content)
    with open("latin.csv", "wb") as file:
        file.write("a,b\n1,Москва\n".encode("cp1251"))
    with open("cut-idx3-ubyte", "wb") as file:
        file.write(bytes([0, 0, 8, 3, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 2, 1]))
    np.savez("several.npz", a=np.zeros(3), b=np.zeros(3))
    np.save("objects.npy", np.array([{}, {}]), allow_pickle=True)
    before = sorted(os.listdir("."))
    words, sentence = BAD[case]
    status, out, err = run(*(digits_model if word == "MODEL" else word for word in words))
    assert status == 2
    assert sentence in err
    assert "Traceback" not in err
    assert out == ""
    if err.startswith("attar: "):
        assert err.count("\n") == 1
    assert sorted(os.listdir(".")) == before


def test_a_folder_that_is_not_writable_is_refused_first(run, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    status, _, err = run("fit", "digits", "-o", "m.attar")
    assert status == 2
    assert "is not writable" in err


def test_a_large_code_is_warned_of_in_one_line(run, iris):
    status, _, err = run("fit", iris, "-o", "m.attar", "--epochs", 1, "--code-size", 20)
    assert status == 0
    assert err.startswith("attar: A code of 20 latent dimensions is larger")
    assert err.count("\n") == 1


FIT = ("fit", "digits", "--epochs", "4", "--recipe", "vae", "--set", "batch_size=100")


def test_a_killed_fit_resumes_to_equal_weights(run, tmp_path, in_child, monkeypatch):
    assert run(*FIT, "-o", "whole.attar")[0] == 0
    checkpoint = tmp_path / "resumed.attar.checkpoint"

    def write_two_epochs(self, state, progress, write=Checkpoint.write):
        write(self, state, progress)
        if len(progress["history"]) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "write", write_two_epochs)
        patched.setattr(Checkpoint, "due", lambda self: True)
        assert in_child(lambda: run(*FIT, "-o", "resumed.attar")) == -signal.SIGKILL
    assert checkpoint.exists()
    assert not (tmp_path / "resumed.attar").exists()
    assert run(*FIT, "-o", "resumed.attar", "--resume")[0] == 0
    assert not checkpoint.exists()
    whole, resumed = attar.load("whole.attar"), attar.load("resumed.attar")
    for name, weights in whole.model_.state_dict().items():
        assert weights.equal(resumed.model_.state_dict()[name])
    losses = [ae.history_.drop(columns="rows_per_second") for ae in (whole, resumed)]
    assert losses[0].equals(losses[1])


@pytest.fixture
def unsaved(run, monkeypatch):
    """A fit of an epoch whose model could not be written, so that its checkpoint is left."""

    def full(*_):
        raise attar.FileError("m.attar cannot be written: no space left on device.")

    with monkeypatch.context() as patched:
        patched.setattr(attar.Autoencoder, "save", full)
        assert run("fit", "digits", "--epochs", "1", "-o", "m.attar")[0] == 2
    assert os.listdir(".") == ["m.attar.checkpoint"]


@pytest.mark.usefixtures("unsaved")
def test_a_model_that_cannot_be_written_is_not_lost(run):
    assert run("fit", "digits", "--epochs", "1", "-o", "m.attar", "--resume")[0] == 0
    assert os.listdir(".") == ["m.attar"]
    ae = attar.Autoencoder(epochs=1, random_state=0, verbose=False).fit("digits")
    assert_array_equal(attar.load("m.attar").transform("digits"), ae.transform("digits"))


@pytest.mark.usefixtures("unsaved")
def test_a_checkpoint_of_another_fit_is_refused(run):
    status, _, err = run("fit", "digits", "--epochs", "5", "-o", "m.attar", "--resume")
    assert status == 2
    assert "other data or settings" in err


def test_the_version_is_printed(run):
    assert run("--version") == (0, f"{attar.__version__}\n", "")


def test_load_digits_is_what_the_data_set_digits_is():
    train, _ = datasets.load("digits", "train")
    test, _ = datasets.load("digits", "test")
    assert sorted(map(bytes, [*train, *test])) == sorted(
        map(bytes, load_digits().images.astype(np.uint8))
    )


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (0.45, "Validation MSE 0.0054, 55% below PCA's 0.012 with 16 numbers."),
        (1.0004, "Validation MSE 0.0054, about PCA's 0.012 with 16 numbers."),
        (1.3, "Validation MSE 0.0054, 30% above PCA's 0.012 with 16 numbers."),
        (19.7, "Validation MSE 0.0054, 19.7 times PCA's 0.012 with 16 numbers."),
        (float("nan"), "Validation MSE 0.0054 with 16 numbers."),
    ],
)
def test_the_error_is_compared_with_pcas(ratio, words):
    metrics = {"error": 0.0054, "pca_error": 0.012, "error_to_pca": ratio, "code_size": 16}
    assert comparison("validation", metrics) == words
