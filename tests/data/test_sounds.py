import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import signal
from scipy.optimize import nnls

import attar
from attar import AttarWarning, DataError, FileError, SettingError, Sounds
from attar.data import clips, sounds
from attar.data.clips import Clip, Clips, resampled, sound_writer
from attar.data.kinds import KINDS, form_of, kind_of
from attar.data.recordings import SoundWindows
from attar.data.source import read
from attar.data.spectra import (
    Stft,
    decibels,
    hertz_of,
    magnitudes_of,
    mel_bank,
    mel_of,
    power_of,
    with_phases,
)
from attar.data.views import LogMel, Waveform

RATE = 8000


def sine(seconds, hertz=440, rate=RATE, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def noise(n, seed=0, channels=1):
    return np.random.default_rng(seed).uniform(-0.9, 0.9, (n, channels)).astype(np.float32)


def identity(data, kind=None):
    """Return what comes back where a model changes nothing."""
    kind = kind or form_of(data)[0]
    return kind.joined([kind.restore(kind.rows(p), kind.passthrough(p)) for p in kind.pieces(data)])


def saved(path, samples, rate=RATE, encoding="PCM_16"):
    form = "OGG" if path.suffix == ".opus" else None
    soundfile.write(path, samples, rate, encoding, format=form)
    return path


# ---------------------------------------------------------------- spectra


def test_a_spectrum_is_the_fourier_transform_of_a_frame():
    x, stft = noise(640)[:, 0].astype(float), Stft(64)
    i, n = 20, 64
    frame = x[i * 16 + 8 - 32 : i * 16 + 8 + 32] * np.hanning(n + 1)[:-1]
    expected = np.exp(-2j * np.pi * np.outer(np.arange(33), np.arange(n)) / n) @ frame
    assert_allclose(stft.spectra(x)[:, i], expected / (n / 4), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_signals_come_back_from_their_spectra(dtype):
    x = noise(960, channels=2).T.astype(dtype)
    back = Stft(64).signal(Stft(64).spectra(x))
    assert back.dtype == dtype
    assert_allclose(back, x, atol=10 * np.finfo(dtype).eps)


def test_the_mel_scale_is_slaneys():
    assert_allclose(mel_of(np.array([0, 200 / 3, 1000, 6400])), [0, 1, 15, 42])
    hertz = np.linspace(0, 20000, 50)
    assert_allclose(hertz_of(mel_of(hertz)), hertz, atol=1e-9)


@pytest.mark.parametrize(("rate", "size", "bands"), [(8000, 256, 64), (44100, 1024, 64)])
def test_mel_bands_are_triangles_that_add_up_to_one(rate, size, bands):
    bank, hertz = mel_bank(rate, size, bands), np.fft.rfftfreq(size, 1 / rate)
    edges = hertz_of(np.linspace(0, mel_of(rate / 2), bands + 2))
    between = (hertz >= edges[1]) & (hertz <= edges[-2])
    assert_allclose(bank[:, between].sum(0), 1)
    for i in (0, 7, bands - 1):
        expected = np.interp(hertz, edges[i : i + 3], [0, 1, 0], 0, 0)
        assert_allclose(bank[i], expected, atol=1e-12)


@pytest.mark.parametrize("hertz", [250, 1000, 3000])
def test_the_energy_of_a_sine_is_in_its_band(hertz):
    view = LogMel.of(RATE, [RATE], None)
    power = power_of(view.rows(sine(1, hertz)[None, None]))[0, 0, :, 60]
    edges = hertz_of(np.linspace(0, mel_of(RATE / 2), view.bands + 2))
    near = (edges[:-2] < hertz + 125) & (edges[2:] > hertz - 125)
    assert power[near].sum() > 0.999 * power.sum()
    assert power.argmax() in np.flatnonzero((edges[:-2] < hertz) & (hertz < edges[2:]))


def test_levels_are_decibels_and_silence_comes_back():
    assert_allclose(decibels(np.array([1.0, 0.01, 0.0])), [0, -20, -80], atol=1e-5)
    assert_allclose(power_of(decibels(np.array([0.3, 0.0]))), [0.3, 0.0], atol=1e-15)
    silence = Sounds([np.zeros(2000, np.float32)], rate=RATE)
    assert_array_equal(identity(silence)[0], 0)


def test_magnitudes_are_the_nearest_in_squared_error():
    bank = mel_bank(RATE, 256, 40)
    spectrum = np.abs(Stft(256).spectra(noise(2560)[:, 0].astype(float))) ** 2
    bands = bank @ spectrum
    found = magnitudes_of(bands, bank)
    assert (found >= 0).all()
    for frame in (0, 17):
        least = nnls(bank, bands[:, frame])[1]
        residual = np.linalg.norm(bank @ found[:, frame] ** 2 - bands[:, frame])
        assert residual < least + 0.01 * np.linalg.norm(bands[:, frame])


def test_phases_fit_their_magnitudes():
    stft = Stft(256)
    magnitudes = np.abs(stft.spectra(sine(0.512) + sine(0.512, 1130)))
    spectra = with_phases(magnitudes, stft)
    assert_allclose(np.abs(spectra), magnitudes, atol=1e-12)
    error = np.abs(stft.spectra(stft.signal(spectra))) - magnitudes
    assert np.linalg.norm(error) < 0.1 * np.linalg.norm(magnitudes)
    assert_array_equal(with_phases(magnitudes, stft), spectra)


# ---------------------------------------------------------------- files

EXACT = [
    *(("wav", encoding) for encoding in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT")),
    *(("flac", encoding) for encoding in ("PCM_S8", "PCM_16", "PCM_24")),
]
LOSSY = [("ogg", "VORBIS"), ("opus", "OPUS"), ("mp3", "MPEG_LAYER_III"), ("wav", "ULAW")]


def rewritten(path, tmp_path, **settings):
    with sound_writer(tmp_path / "out") as writer:
        writer.write(identity(Sounds(path, view="waveform", **settings)))
    return tmp_path / "out" / path.name


@pytest.mark.parametrize(("suffix", "encoding"), EXACT)
@pytest.mark.parametrize("channels", [1, 2])
def test_files_without_loss_come_back_exactly(tmp_path, suffix, encoding, channels):
    path = saved(tmp_path / f"a.{suffix}", noise(3001, channels=channels), encoding=encoding)
    back = rewritten(path, tmp_path, channels="all")
    assert_array_equal(soundfile.read(back)[0], soundfile.read(path)[0])
    form = [(i.samplerate, i.format, i.subtype) for i in map(soundfile.info, (path, back))]
    assert form[0] == form[1]


@pytest.mark.parametrize(("suffix", "encoding"), LOSSY)
def test_files_with_loss_come_back_with_their_length_and_rate(tmp_path, suffix, encoding):
    path = saved(tmp_path / f"a.{suffix}", sine(1.001), encoding=encoding)
    back = rewritten(path, tmp_path)
    (x, rate), (y, other) = soundfile.read(path), soundfile.read(back)
    assert (rate, len(x)) == (other, len(y)) == (RATE, 8008)
    assert np.corrcoef(x, y)[0, 1] > 0.99


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
def test_arrays_come_back_in_their_dtype(dtype):
    x = noise(3000)[:, 0].astype(np.float64)
    if dtype[0] != "f":
        limits = np.iinfo(dtype)
        x = np.random.default_rng(0).integers(limits.min, limits.max, 3000, endpoint=True)
    x = x.astype(dtype)
    back = identity(Sounds(x, rate=RATE, view="waveform"))
    assert back[0].dtype == dtype
    assert_allclose(back[0], x, rtol=1e-15)


def test_resampling_is_that_of_a_band_limited_signal():
    x = sine(0.5, 440, 16000) + sine(0.5, 1700, 16000, 0.3)
    parts = list(resampled(iter(np.split(x[:, None], 8)), 16000, RATE, 4000))
    y = np.concatenate(parts)[:, 0]
    assert len(y) == 4000
    inside = slice(200, -200)
    assert_allclose(y[inside], signal.resample_poly(x, 1, 2)[inside], atol=2e-3)
    assert_allclose(y[inside], (sine(0.5) + sine(0.5, 1700, RATE, 0.3))[inside], atol=1e-4)


def test_a_file_of_another_rate_comes_back_at_its_own(tmp_path):
    path = saved(tmp_path / "a.wav", sine(0.7, rate=11025), 11025)
    back = rewritten(path, tmp_path, rate=RATE)
    x, y = soundfile.read(path)[0], soundfile.read(back)[0]
    assert len(x) == len(y)
    assert_allclose(y[300:-300], x[300:-300], atol=1e-3)


# ---------------------------------------------------------------- windows


def test_a_long_sine_has_no_seams(monkeypatch):
    monkeypatch.setattr(sounds, "WINDOWS", 3)  # in parts
    monkeypatch.setattr(sounds, "PIECE", 1 << 16)
    x = sine(10).astype(np.float32)
    data = Sounds(x, rate=RATE, view="waveform")
    assert len(list(data)) > 3
    y = identity(data)[0]
    assert len(y) == len(x)
    assert_allclose(y, x, atol=1e-6)
    assert np.abs(np.diff(y, 2) - np.diff(x, 2)).max() < 1e-6


@pytest.mark.parametrize("windows", [2, 1000])
def test_windows_that_differ_are_joined_smoothly(monkeypatch, windows):
    monkeypatch.setattr(sounds, "WINDOWS", windows)
    data = Sounds(np.zeros(9999, np.float32), rate=RATE, view="waveform")
    kind, level = form_of(data)[0], 0
    parts = []
    for piece in data:
        rows = kind.rows(piece)
        steps = (level + np.arange(len(rows))) % 2
        level += len(rows)
        parts.append(kind.restore(rows + 0.5 * steps[:, None, None], piece))
    joined = kind.joined(parts)[0]
    assert (joined >= 0).all()
    assert (joined <= 0.5 + 1e-6).all()
    # The weights of two windows at most change at once, by pi / 2 / overlap a sample.
    assert np.abs(np.diff(joined)).max() < 2 * 0.5 * np.pi / 2 / kind.view.overlap
    assert np.abs(joined - 0.5).min() < 1e-6  # between seams a window is as it is


@given(st.lists(st.integers(1, 700), min_size=1, max_size=6), st.sampled_from(["mel", "waveform"]))
def test_clips_keep_their_lengths(lengths, view):
    data = Sounds([noise(n, i)[:, 0] for i, n in enumerate(lengths)], 1000, view, window=0.128)
    kind = form_of(data)[0]
    rows = np.concatenate([kind.rows(piece) for piece in data])
    assert len(rows) == data.rows == len(kind.index(data))
    back = kind.restore(rows, data.read())
    assert [len(clip) for clip in back] == lengths
    assert all(np.isfinite(clip).all() for clip in back)


def test_what_a_short_clip_lacks_is_missing():
    long, short = sine(0.128), sine(0.05)
    kind = form_of(Sounds([long, short], RATE, "waveform"))[0]
    rows = kind.rows(Sounds([long, short], RATE, "waveform"))
    assert rows.shape == (2, 1, 1024)
    assert_array_equal(np.isnan(rows[1, 0]), np.arange(1024) >= 400)
    mel = form_of(Sounds([long, short], RATE))[0]
    frames = mel.rows(Sounds([long, short], RATE))
    assert not np.isnan(frames[0]).any()
    # Frames of 256 samples, every 64, are known as far as they reach into the 400.
    reach = 64 * (np.arange(16) + 0.5) - 128 < 400
    assert_array_equal(np.isnan(frames[1, 0]), np.broadcast_to(~reach, (64, 16)))


def test_the_frames_of_a_clip_do_not_depend_on_its_neighbours():
    data = [sine(0.2), sine(0.05, 700), noise(900)[:, 0].astype(float)]
    kind = form_of(Sounds(data, RATE, window=0.2))[0]
    together, alone = kind.rows(Sounds(data, RATE)), kind.rows(Sounds(data[1:2], RATE))
    assert_array_equal(together[1], alone[0])


def test_samples_that_are_not_finite_are_missing():
    x = sine(0.128).astype(np.float32)
    x[100], x[300] = np.nan, np.inf
    with pytest.warns(AttarWarning, match="clip_0 has samples that are not finite: they count as"):
        kind, summary = form_of(Sounds(x, RATE, "waveform"))
    assert_array_equal(np.flatnonzero(np.isnan(summary.sample[0, 0])), [100, 300])
    assert summary.moments.count[0] == 1022
    with pytest.warns(AttarWarning, match="not finite"):
        frames = form_of(Sounds(x, RATE))[1].sample
    assert_array_equal(np.flatnonzero(np.isnan(frames[0, 0, 0])), [100 // 64, 300 // 64])
    assert isinstance(kind, SoundWindows)


def test_the_form_is_plain_data():
    for view in ("mel", "waveform"):
        kind = form_of(Sounds([noise(400, channels=2)], 1000, view, "all"))[0]
        data = kind.to_json()
        assert KINDS[kind.name].from_json(data) == kind
        assert kind.shape[0] == 2
        names = kind.feature_names()
        assert len(set(names)) == len(names) == np.prod(kind.shape)
        assert [name for name, _ in kind.parts] == ["left", "right"]


def test_the_level_of_samples_is_that_of_frames():
    x = sine(0.128)[None, None]
    assert_allclose(Waveform(RATE, 1024).levels(x), LogMel(RATE, 1024, 256, 64).rows(x))


# ---------------------------------------------------------------- sources


@pytest.fixture
def folder(tmp_path):
    for name in ("b/10.wav", "b/2.flac", "a/1.ogg"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sine(0.3), RATE)
    (tmp_path / "in/b/notes.txt").write_text("none")
    (tmp_path / "in/.hidden.wav").write_text("none")
    return tmp_path / "in"


def test_a_folder_is_read_in_natural_order_with_labels(folder):
    data = read(str(folder)).data
    assert data.names == ["a/1.ogg", "b/2.flac", "b/10.wav"]
    assert_array_equal(read(folder).labels, ["a", "b", "b"])
    assert kind_of(data) is SoundWindows
    index = form_of(data)[0].index(data)
    assert list(index.columns) == ["file", "start", "end"]
    assert_array_equal(index.end, [0.3, 0.3, 0.3])


def test_a_file_a_list_and_a_table_are_read(folder):
    assert read(folder / "a/1.ogg").data.names == ["1.ogg"]
    paths = [folder / "b/10.wav", folder / "a/1.ogg"]
    assert Sounds(paths).names == Sounds(pd.Series(paths)).names == ["b/10.wav", "a/1.ogg"]
    table = pd.DataFrame({"path": paths, "digit": [7, 8]})
    data = Sounds(table, column="path", label="digit", window=0.2)
    assert data.names == ["b/10.wav", "a/1.ogg"]
    assert_array_equal(data.labels, [7, 7, 8, 8])  # of each window


def test_windows_of_a_long_clip_are_named_by_their_times():
    data = Sounds(sine(2.5), RATE, window=1.0)
    kind = form_of(data)[0]
    assert_allclose(kind.index(data)[["start", "end"]], [[0, 1], [0.875, 1.875], [1.5, 2.5]])
    assert kind.overlap == 2


def test_rates_and_channels_that_differ_are_said(tmp_path):
    for i, rate in enumerate((8000, 8000, 16000)):
        saved(tmp_path / f"{i}.wav", noise(2000, channels=1 + (i == 1)), rate)
    with (
        pytest.warns(AttarWarning, match=r"1 of 3 sounds, such as 2.wav \(16,000 Hz\), are resam"),
        pytest.warns(AttarWarning, match=r"1.wav has 2 channels, which are mixed to one"),
    ):
        data = Sounds(tmp_path)
    assert (data.rate, data.channels) == (8000, 1)
    assert [len(clip) for clip in data.read()] == [2000, 2000, 1000]
    mixed = soundfile.read(tmp_path / "1.wav")[0].mean(1)
    assert_allclose(data.read()[1], mixed, atol=1e-7)


def test_clipping_is_said_once_with_the_file(tmp_path):
    for i in range(2):
        saved(tmp_path / f"{i}.wav", (2 * sine(0.1, amplitude=1)).clip(-1, 1))
    saved(tmp_path / "2.wav", sine(0.1, amplitude=1))
    with pytest.warns(AttarWarning) as said:
        list(Sounds(tmp_path))
    assert [str(w.message).partition(":")[0] for w in said] == ["0.wav is clipped"]
    with warnings.catch_warnings(action="error"):
        list(Sounds(tmp_path / "2.wav"))


def test_files_without_samples_are_left_out_and_said(folder):
    saved(folder / "b/3.wav", np.zeros(0))
    with pytest.warns(AttarWarning, match="b/3.wav without samples: left out"):
        data = Sounds(folder)
    assert "b/3.wav" not in data.names
    assert len(data.labels) == 3


def test_a_model_takes_other_rates_and_says_so(folder):
    kind = form_of(Sounds(folder))[0]
    other = Sounds([sine(0.3, rate=16000)], 16000)
    with pytest.warns(AttarWarning, match="1 of 1 sounds, such as clip_0 .* model's 8,000 Hz"):
        back = identity(other, kind)
    assert (back.rate, len(back[0])) == (RATE, 2400)
    with pytest.warns(AttarWarning, match="model's 8,000 Hz"):
        rows = kind.rows(Clips([Clip("a", sine(0.3, rate=16000)[:, None], 0, 4800)], 16000))
    assert rows.shape == (1, *kind.shape)


def test_pieces_are_the_same_in_memory_and_streamed(monkeypatch):
    x = [noise(n, n)[:, 0] for n in (900, 50, 3000)]
    whole = form_of(Sounds(x, 1000, window=0.128))[1]
    monkeypatch.setattr(sounds, "WINDOWS", 4)
    monkeypatch.setattr(sounds, "PIECE", 1000)
    data = Sounds(x, 1000, window=0.128)
    pieces = form_of(data)[1]
    assert len(list(data)) > 5
    assert_array_equal(pieces.sample, whole.sample)
    assert_allclose(pieces.moments.mean, whole.moments.mean)
    assert data.bytes == 4 * 3950


def test_the_fingerprint_is_that_of_the_content(folder):
    before = Sounds(folder).fingerprint
    assert Sounds(folder).fingerprint == before != Sounds(folder, view="waveform").fingerprint
    saved(folder / "b/10.wav", sine(0.2))
    assert Sounds(folder).fingerprint != before
    assert Sounds(sine(1), RATE).fingerprint != Sounds(sine(1, 450), RATE).fingerprint


# ---------------------------------------------------------------- refusals


def damaged(folder: Path) -> Path:
    (folder / "a.wav").write_bytes(b"RIFF, but no sound")
    return folder


@pytest.mark.parametrize(
    ("source", "settings", "error", "words"),
    [
        (damaged, {}, FileError, "a.wav is no sound that attar reads: repair it or leave it out"),
        (lambda f: f / "none.wav", {}, FileError, "There is no file .*none.wav"),
        (lambda f: f, {}, DataError, "holds no sound: attar reads .wav, .flac"),
        (lambda f: np.zeros(9), {}, SettingError, "Arrays of sound need the samples a second"),
        (lambda f: np.zeros(9, complex), {"rate": 8}, DataError, "clip_0 holds complex128 values"),
        (lambda f: np.zeros((2, 900)), {"rate": 8}, DataError, "transpose it, or give a list"),
        (lambda f: [], {}, DataError, "'list' is no sound: give a folder"),
        (lambda f: 3, {}, DataError, "'int' is no sound"),
        (lambda f: np.zeros(0), {"rate": 8}, DataError, "clip_0 has no samples"),
        (lambda f: np.zeros(9), {"rate": -1}, SettingError, "rate must be None or an integer"),
        (lambda f: np.zeros(9), {"rate": 8, "view": "mell"}, SettingError, "did you mean 'mel'"),
        (lambda f: np.zeros(9), {"rate": 8, "window": 0}, SettingError, "window must be None or"),
        (lambda f: np.zeros(9), {"rate": 8, "channels": 2}, SettingError, "choice of channels"),
        (lambda f: np.zeros(9), {"rate": 8, "column": "p"}, DataError, "are of a table"),
        (lambda f: pd.DataFrame({"p": ["a.wav"]}), {}, DataError, "name it with column="),
        (lambda f: pd.DataFrame({"p": ["a"]}), {"column": "q"}, DataError, "no column named 'q'"),
        (lambda f: pd.DataFrame({"p": [None]}), {"column": "p"}, DataError, "lacks paths"),
    ],
)
def test_what_is_no_sound_is_refused(tmp_path, source, settings, error, words):
    with pytest.raises(error, match=words):
        Sounds(source(tmp_path), **settings)


def test_a_file_named_twice_is_refused(folder):
    with pytest.raises(DataError, match=r"1\.ogg is there twice"):
        Sounds([folder / "a/1.ogg", folder / "b/../a/1.ogg"])


def test_a_file_that_ends_too_early_is_refused(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.flac", noise(60000))
    data = Sounds(path)
    path.write_bytes(path.read_bytes()[:50000])
    with pytest.raises(FileError, match=r"a\.flac"):
        list(data)


def test_channels_of_other_numbers_are_refused():
    with pytest.raises(DataError, match="clip_1 has 1 channel, where 2 belong"):
        Sounds([noise(99, channels=2), noise(99)], RATE, channels="all")


def test_a_folder_of_pictures_and_sound_is_refused(folder):
    from PIL import Image

    Image.new("L", (4, 4)).save(folder / "cover.png")
    with pytest.raises(DataError, match=r"holds pictures and sound, such as .*cover.png and"):
        read(folder)
    assert len(Sounds(folder).names) == 3
    kind = form_of(Sounds(folder))[0]
    assert read(folder, kind=kind).data.names == Sounds(folder).names


def test_other_views_than_the_models_are_refused():
    kind = form_of(Sounds(sine(1), RATE))[0]
    with pytest.raises(DataError, match="fitted on sound with view='mel': it cannot"):
        kind.rows(Sounds(sine(1), RATE, "waveform"))
    with pytest.raises(DataError, match=r"fitted on sound with window=1\.0: it cannot"):
        kind.rows(Sounds(sine(1), RATE, window=0.25))
    waveform = form_of(Sounds(sine(1), RATE, "waveform"))[0]
    with pytest.raises(DataError, match=r"with window=0\.128: it cannot take it with window=0\.25"):
        waveform.rows(Sounds(sine(1), RATE, window=0.25))
    assert len(waveform.rows(Sounds(sine(1), RATE, window=0.128))) == 9
    with pytest.raises(DataError, match=r"fitted on sound, but X is 'ndarray': give attar.Sounds"):
        kind.rows(sine(1))


def test_without_the_extra_the_error_says_what_to_install(monkeypatch, tmp_path):
    def absent(name):
        raise ImportError(name)

    path = saved(tmp_path / "a.wav", sine(0.1))
    monkeypatch.setattr(clips, "import_module", absent)
    with pytest.raises(FileError, match=r"install them with pip install 'attar\[sound\]'"):
        Sounds(path)


def test_a_writer_of_sound_takes_clips_only(tmp_path):
    with pytest.raises(DataError, match="A folder of sound takes clips"):  # noqa: SIM117
        with sound_writer(tmp_path / "out") as writer:
            writer.write(np.zeros(3))
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------- models


def test_frames_get_a_perceptron_and_samples_temporal_convolutions():
    inspected = [attar.Autoencoder().inspect(Sounds(sine(3), RATE, v)) for v in ("mel", "waveform")]
    networks = [{c.setting: c.value for c in one.choices}["network"] for one in inspected]
    assert networks == ["mlp", "tcn"]
    assert [one.kind for one in inspected] == ["sound", "sound"]
    assert [one.columns[0].missing for one in inspected] == [0, 0]


@pytest.fixture(scope="module")
def tones():
    """Chords of four tones, whose levels differ, with a little noise."""
    rng, found = np.random.default_rng(0), []
    for seconds in rng.uniform(0.1, 0.3, 60):
        chord = sum(sine(seconds, f, 2000, rng.uniform(0.02, 0.2)) for f in (150, 300, 500, 800))
        found.append((chord + 0.002 * rng.normal(size=len(chord))).astype(np.float32))
    return found


@pytest.fixture(scope="module", params=["mel", "waveform"])
def model(request, tones):
    settings = {"network": "linear", "epochs": 20, "random_state": 0, "verbose": False}
    return attar.Autoencoder(code_size=8, **settings).fit(Sounds(tones, 2000, request.param))


def test_a_model_brings_sound_back(model, tones, tmp_path):
    data = Sounds(tones, 2000)
    back = model.reconstruct(data)
    assert [len(clip) for clip in back] == [len(tone) for tone in tones]
    assert all(np.isfinite(clip).all() for clip in back)
    x, y = np.concatenate(tones), np.concatenate(list(back))
    assert np.square(y - x).mean() < 0.2 * np.square(x).mean()
    model.save(tmp_path / "a.attar")
    again = attar.load(tmp_path / "a.attar")
    assert_array_equal(again.reconstruct(data)[3], back[3])
    assert_array_equal(again.transform(back), model.transform(back))
    assert list(again.encode(data).index.names) == ["file", "start", "end"]


def test_a_model_makes_new_sound(model):
    new = model.sample(3, random_state=0)
    kind = model.fitted_.kind
    assert [len(clip) for clip in new] == [kind.view.window] * 3
    assert new.rate == 2000
    assert model.transform(new).shape == (3, 8)
    assert np.isfinite(model.score_samples(new)).all()


def test_a_stream_is_fitted_like_data_in_memory(tones, monkeypatch):
    from attar.data import source, training_data

    data = {"rate": 2000, "window": 0.08}
    settings = {"network": "linear", "epochs": 2, "random_state": 0, "verbose": False}
    whole = attar.Autoencoder(**settings).fit(Sounds(tones, **data))
    for module, name in ((source, "MAX_MEMORY"), (training_data, "HELD")):
        monkeypatch.setattr(module, name, 1000)
    monkeypatch.setattr(sounds, "PIECE", 1 << 13)
    streamed = attar.Autoencoder(**settings).fit(Sounds(tones, **data))
    a, b = (ae.fitted_.training_summary.measured for ae in (whole, streamed))
    assert_array_equal(a.places, b.places)
    assert a.digest == b.digest
    assert streamed.evaluate_held_out(Sounds(tones, **data)).rows_of == "validation"


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        (lambda: attar.AnomalyDetector(), "not sound: give a table .* codes of an Autoencoder"),
        (lambda: attar.Imputer(), "takes tables, series and images, not sound"),
        (lambda: attar.Forecaster(), "Sound is no series: give its samples as an array"),
        (lambda: attar.Autoencoder("lossless"), "not for sound"),
    ],
)
def test_estimators_that_take_no_sound_say_so(estimator, words, tones):
    with pytest.raises(DataError, match=words):
        estimator().fit(Sounds(tones, 2000))


def test_a_codec_takes_no_sound(model):
    with pytest.raises(SettingError, match="not sound: use"):
        attar.Codec(model)
