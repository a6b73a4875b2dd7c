"""Sound through every verb of the command line."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image

RATE = 2000


@pytest.fixture
def sound(run, tmp_path):
    """A folder of short tones, the last twice as long, and of another rate."""
    rng = np.random.default_rng(0)
    (tmp_path / "in/high").mkdir(parents=True)
    for i in range(16):
        rate, seconds = (RATE, rng.uniform(0.1, 0.15)) if i < 15 else (2 * RATE, 0.3)
        t = np.arange(round(seconds * rate)) / rate
        name = f"in/{'high/' * (i % 2)}{i}.{'flac' if i % 3 else 'wav'}"
        soundfile.write(tmp_path / name, 0.4 * np.sin(2 * np.pi * 50 * (i + 1) * t), rate)
    return tmp_path / "in"


WORDS = ("--epochs", 1, "--set", "network=linear", "--code-size", 4)


def test_sound_goes_through_every_verb(run, sound):
    status, out, err = run("inspect", "in")
    assert status == 0
    assert out.startswith("sound: 17 rows, network input 1 x 48 x ")
    assert "2,000 Hz" in out
    assert "1 of 16 sounds, such as high/15.wav (4,000 Hz), are resampled" in err
    assert run("fit", "in", "-o", "a.attar", "--report", "r.html", *WORDS)[0] == 0
    assert "data:audio/flac" in Path("r.html").read_text()
    assert run("encode", "a.attar", "in", "-o", "z.csv")[0] == 0
    codes = pd.read_csv("z.csv")
    assert list(codes.columns[:4]) == ["file", "start", "end", "autoencoder0"]
    last = codes[codes.file == "high/15.wav"]
    assert (last.start.iloc[0], last.end.iloc[-1]) == (0.0, 0.3)
    status, _, err = run("reconstruct", "a.attar", "in", "-o", "out")
    assert status == 0
    assert "resampled to the model's 2,000 Hz" in err
    given = sorted(path.relative_to("in") for path in Path("in").rglob("*.*"))
    assert sorted(path.relative_to("out") for path in Path("out").rglob("*.*")) == given
    for name in given:
        a, b = (soundfile.info(Path(folder) / name) for folder in ("in", "out"))
        assert (a.frames, a.samplerate, a.subtype) == (b.frames, b.samplerate, b.subtype)
    assert run("sample", "a.attar", "-n", 3, "-o", "new")[0] == 0
    new = [soundfile.info(f"new/{i:06}.wav") for i in range(3)]
    assert {(one.samplerate, one.frames) for one in new} == {(RATE, new[0].frames)}
    status, out, _ = run("evaluate", "a.attar", "in", "--json")
    assert json.loads(out)["rows"] == 17
    assert run("score", "a.attar", "in", "-o", "s.csv")[0] == 0
    assert len(pd.read_csv("s.csv")) == 17
    assert run("report", "a.attar", "in/0.wav", "-o", "p.html")[0] == 0
    status, out, _ = run("info", "a.attar")
    assert "sound(channels=1" in out
    assert "rate=2,000" in out


def test_the_options_describe_sound(run, sound):
    status, out, err = run("inspect", "in", "--rate", 1000, "--view", "waveform")
    assert (status, err) == (0, "")
    assert "1,000 Hz" in out
    assert "network input 1 x 128" in out
    soundfile.write("in/stereo.wav", np.zeros((300, 2)), RATE)
    assert "1 channel, where 2 belong" in run("inspect", "in", "--channels", "all")[2]
    assert "mixed" not in run("inspect", "in", "--channels", "mono")[2]


def refused(run, *words):
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    *_, last = err.strip().splitlines()
    return last


def test_what_cannot_be_done_is_refused_in_one_sentence(run, sound):
    assert run("fit", "in", "-o", "a.attar", *WORDS)[0] == 0
    Path("b.wav").write_text("no sound")
    said = refused(run, "encode", "a.attar", "b.wav", "-o", "z.csv")
    assert said == "attar: b.wav is no sound that attar reads: repair it or leave it out."
    said = refused(run, "reconstruct", "a.attar", "in", "-o", "out.npy")
    assert said == "attar: Sound is written into a folder, not to out.npy: give a folder."
    assert "which would be lost" in refused(run, "reconstruct", "a.attar", "in", "-o", "in")
    said = refused(run, "reconstruct", "a.attar", "in", "-o", "in/out")
    assert said == "attar: in/out would overwrite the source in: give another folder."
    assert "did you mean 'mel'" in refused(run, "fit", "in", "-o", "b.attar", "--view", "mell")
    assert "does not compress sound" in refused(run, "compress", "a.attar", "in", "-o", "a.atz")
    assert "not sound" in refused(run, "fit", "in", "-o", "b.attar", "--for", "anomalies")
    assert "--rate is not of --for future" in refused(
        run, "fit", "in", "-o", "b.attar", "--for", "future", "--rate", 1000
    )
    Image.new("L", (4, 4)).save("in/cover.png")
    assert "holds pictures and sound" in refused(run, "inspect", "in")
    assert not Path("b.attar").exists()
