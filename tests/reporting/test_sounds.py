import base64
import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from attar import Sounds
from attar.data.spectra import hertz_of, mel_of
from attar.reporting.display import Examples
from attar.reporting.sections import display_of
from attar.reporting.selection import names_of
from attar.reporting.sounds import player

RATE = 2000


def tone(hertz, seconds=0.25):
    t = np.arange(round(seconds * RATE)) / RATE
    return (0.4 * np.sin(2 * np.pi * hertz * t)).astype(np.float32)


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    return [tone(rng.uniform(100, 900), seconds) for seconds in rng.uniform(0.1, 0.25, 24)]


@pytest.fixture(scope="module", params=["mel", "waveform"])
def model(request, fitted, clips):
    return fitted(Sounds(clips, RATE, request.param), code_size=3, epochs=1, network="linear")


def heard(element):
    """Return the samples and the rate that a player plays."""
    head, _, code = element.get("src").partition(",")
    assert head == "data:audio/flac;base64"
    return soundfile.read(io.BytesIO(base64.b64decode(code)))


def seen(element):
    code = element.get("src").partition(",")[2]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(code))).convert("LA"))


def test_a_player_plays_the_samples():
    samples, rate = heard(player(tone(440)[:, None], RATE, "a tone"))
    assert rate == RATE
    np.testing.assert_allclose(samples, tone(440), atol=2**-15)


def test_the_page_has_pictures_and_players(page, model, clips):
    tree = page(model, Sounds(clips, RATE))
    policy = tree.find("head/meta[@http-equiv]").get("content")
    assert "media-src data:" in policy
    sections = {s.find("h2").text: s for s in tree.iter("section")}
    rate = model.fitted_.kind.view.rate
    for name, n in (("Reconstructions", 12), ("Generated samples", 6)):
        players = list(sections[name].iter("audio"))
        assert len(players) == n
        assert {heard(one)[1] for one in players} == {rate}
    assert len(list(sections["Reconstructions"].iter("img"))) == 18
    assert tree.find(".//h1").text.endswith("s of sound at 2,000 Hz in 3 latent dimensions")
    said = "Griffin" in sections["Reconstructions"].find("figure/figcaption").text
    assert said == (model.fitted_.kind.view.name == "mel")


def test_windows_are_named_by_their_file_and_start(model):
    kind, data = model.fitted_.kind, Sounds([tone(300, 1.0), tone(300, 0.05)], RATE)
    starts = kind.index(data).start
    names = names_of(kind, data, np.arange(len(starts)))
    assert (names[0], names[1], names[-1]) == ("clip_0", f"clip_0, {starts[1]:.3g} s", "clip_1")


def test_a_tone_is_a_line_at_its_frequency_as_long_as_it_lasts(model):
    predictor = model.fitted_.predictor
    kind, data = predictor.preparation.kind, Sounds([tone(300, 0.08)], RATE)
    display = display_of(kind, Examples.of(predictor, kind.rows(data)))
    picture, audio, *_ = display.originals(kind.rows(data), ["a tone"])[0].find("div")
    levels = seen(picture)
    bands = len(levels)
    edges = hertz_of(np.linspace(0, mel_of(RATE / 2), bands + 2))
    row = bands - 1 - levels[:, 4, 0].argmax()  # low frequencies are at the bottom
    assert edges[row] < 300 < edges[row + 2]
    opaque = (levels[..., 1] == 255).all(0)
    assert opaque.sum() <= 0.08 * RATE / 16 + 2
    assert heard(audio)[0].shape[0] == pytest.approx(0.08 * RATE, abs=40)
