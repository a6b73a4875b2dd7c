"""Sound is compressed at a bitrate from the shell, and what cannot be is refused."""

import json

import numpy as np
import pytest
import soundfile

import attar
from attar.recipes import recipe

RATE = 8000


def tone(seconds, rate=RATE, level=0.5):
    t = np.arange(round(seconds * rate)) / rate
    return level * np.sin(2 * np.pi * 440 * t) * np.sin(2 * np.pi * 1.5 * t)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    small = recipe("speech-codec").replace(
        code__codebook=16, code__stages=4, code__dim=8, network__width=16, sampler__steps=10
    )
    ae = attar.Autoencoder(small, epochs=1, random_state=0, verbose=False)
    path = tmp_path_factory.mktemp("model") / "voice.attar"
    ae.fit(attar.Sounds([tone(1 + i / 10) for i in range(6)], RATE)).save(path)
    return path


def test_a_clip_is_compressed_at_a_bitrate_and_comes_back(run, model):
    soundfile.write("a.wav", tone(5), RATE)
    status, out, err = run("compress", model, "a.wav", "-o", "a.atz", "--kbps", 0.8)
    assert (status, err) == (0, "")
    assert "1 clip of 5.0 s" in out
    described = json.loads(run("info", "a.atz", "--json")[1])
    with open("a.atz", "rb") as file:
        kbps = 8 * len(file.read()) / 5 / 1000
    assert described["kbps"] == pytest.approx(kbps, abs=1e-4)
    assert kbps == pytest.approx(0.8, rel=0.05)
    assert run("decompress", model, "a.atz", "-o", "back.wav")[0] == 0
    info = soundfile.info("back.wav")
    assert (info.samplerate, info.frames, info.subtype) == (RATE, 40_000, "PCM_16")


def test_other_rates_are_resampled_and_restored_and_formats_change(run, model):
    soundfile.write("a.flac", tone(1, 16_000), 16_000)
    status, _, err = run("compress", model, "a.flac", "-o", "a.atz", "--with-model")
    assert status == 0
    assert "resampled" in err
    assert run("decompress", "a.atz", "-o", "back.flac")[0] == 0
    assert run("decompress", "a.atz", "-o", "back.wav")[0] == 0
    for name, form in (("back.flac", "FLAC"), ("back.wav", "WAV")):
        info = soundfile.info(name)
        assert (info.samplerate, info.frames, info.format) == (16_000, 16_000, form)
    np.testing.assert_array_equal(soundfile.read("back.flac")[0], soundfile.read("back.wav")[0])


def test_a_folder_comes_back_as_a_folder(run, model, tmp_path):
    (tmp_path / "in" / "more").mkdir(parents=True)
    soundfile.write("in/a.wav", tone(0.5), RATE)
    soundfile.write("in/more/b.flac", tone(0.7), RATE)
    assert run("compress", model, "in", "-o", "all.atz")[0] == 0
    assert run("decompress", model, "all.atz", "-o", "out")[0] == 0
    assert soundfile.info("out/a.wav").frames == 4000
    assert soundfile.info("out/more/b.flac").format == "FLAC"
    status, _, err = run("decompress", model, "all.atz", "-o", "one.wav")
    assert (status, err.count("\n")) == (2, 1)
    assert "folder" in err


def test_clipping_is_said(run, model):
    soundfile.write("loud.wav", np.clip(tone(1, level=3), -1, 1), RATE)
    status, _, err = run("compress", model, "loud.wav", "-o", "a.atz")
    assert status == 0
    assert "is clipped" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("compress", "M", "text.wav", "-o", "a.atz"), "text.wav is no sound"),
        (("compress", "M", "none.wav", "-o", "a.atz"), "none.wav"),
        (("compress", "M", "a.wav", "-o", "a.atz", "--kbps", "90"), "90 kbit/s is out of range"),
        (("compress", "M", "a.wav", "-o", "a.atz", "--kbps", "0"), "kbps must be"),
        (("decompress", "M", "text.wav", "-o", "b.wav"), "not a compressed file"),
        (("decompress", "M", "good.atz", "-o", "b.png"), "holds sound"),
        (("decompress", "good.atz", "-o", "b.wav"), "does not hold its model"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(run, model, words, message, tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    soundfile.write(tmp_path / "a.wav", tone(1), RATE)
    if "good.atz" in words:
        run("compress", model, "a.wav", "-o", "good.atz")
    before = sorted(path.name for path in tmp_path.iterdir())
    status, out, err = run(*(model if word == "M" else word for word in words))
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before
