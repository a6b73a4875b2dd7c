"""The report of a codec of sound shows its bitrates, and plays them."""

import numpy as np

import attar
from attar.recipes import recipe
from attar.reporting.bitrates import at_stages, bitrates

RATE = 8000


def test_the_page_has_a_curve_and_players(page):
    t = np.arange(RATE) / RATE
    clips = [0.4 * np.sin(2 * np.pi * hertz * t) for hertz in np.linspace(200, 900, 12)]
    small = recipe("speech-codec").replace(
        code__codebook=16, code__stages=8, code__dim=8, network__width=16, sampler__steps=5
    )
    ae = attar.Autoencoder(small.replace(sampler__hidden=8), epochs=2, random_state=0)
    ae.fit(attar.Sounds(clips, RATE))
    tree = page(ae, attar.Sounds(clips, RATE))
    (found,) = (s for s in tree.iter("section") if s.find("h2").text == "Bitrates")
    assert len(list(found.iter("audio"))) == 6
    rows = np.stack(clips)[:, None]
    rows[0, 0, 5000:] = np.nan
    caption = bitrates(ae, rows)[0].find("figcaption").text
    assert "The first 8 s of these windows" in caption
    codec = attar.SoundCodec(ae)
    few, many = (at_stages(codec, np.concatenate(clips[:4]), stages) for stages in (1, 8))
    assert few.kbps < many.kbps
    assert few.ratio < many.ratio
    error = many.samples - np.concatenate(clips[:4])
    frames = error[: len(error) // 256 * 256].reshape(-1, 256)
    signal = np.concatenate(clips[:4])[: frames.size].reshape(-1, 256)
    ratios = 10 * np.log10(np.square(signal).mean(1) / np.square(frames).mean(1))
    assert abs(many.ratio - ratios.clip(-10, 35).mean()) < 0.01
