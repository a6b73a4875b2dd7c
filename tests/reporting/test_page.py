"""The page's colours are legible in light and dark, and its frames can be reached."""

import re
from importlib.resources import files

import pytest

CSS = files("attar.reporting").joinpath("page.css").read_text("utf-8")
BLOCKS = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
LIGHT, DARK = (dict(re.findall(r"--(\w+): (#\w+)", block)) for block in BLOCKS)
THEMES = {"light": LIGHT, "dark": LIGHT | DARK}


def colour(text):
    digits = text[1:] if len(text) == 7 else "".join(2 * digit for digit in text[1:])
    return [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]


def mixed(one, other, share):
    return [share * a + (1 - share) * b for a, b in zip(one, other, strict=True)]


def contrast(one, other):
    """Return the ratio of WCAG 2.2."""
    bright = []
    for channels in (one, other):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        bright.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(bright) + 0.05) / (min(bright) + 0.05)


def test_the_formula_of_contrast():
    assert contrast(colour("#fff"), colour("#000")) == pytest.approx(21)
    assert contrast(colour("#767676"), colour("#fff")) == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("theme", THEMES)
def test_texts_and_marks_are_legible(theme):
    tones = {name: colour(text) for name, text in THEMES[theme].items()}
    ink, soft, paper, card = (tones[name] for name in ("ink", "soft", "paper", "card"))
    for ground in (paper, card):
        for text in (ink, soft, tones["first"]):
            assert contrast(text, ground) >= 4.5
    assert contrast(card, tones["first"]) >= 4.5
    assert contrast(card, tones["good"]) >= 4.5
    # Texts on the strongest tints of tables, and labels of groups on the map.
    differs = float(re.search(r"calc\((\.\d+) \* var\(--strength\)\)", CSS)[1])
    runs = float(re.search(r"td\.run[^}]*var\(--tint\) (\d+)%", CSS)[1])
    place = float(re.search(r"\.place \{ fill: color-mix\(in srgb, var\(--tone\) (\d+)%", CSS)[1])
    for name in ("above", "below"):
        assert contrast(ink, mixed(tones[name], paper, differs)) >= 4.5
    assert contrast(ink, mixed(tones["another"], paper, 0.7 * differs)) >= 4.5
    for name in (f"c{i}" for i in range(10)):
        assert contrast(ink, mixed(tones[name], paper, runs / 100)) >= 4.5
        assert contrast(mixed(tones[name], ink, place / 100), paper) >= 4.5
        assert contrast(tones[name], paper) >= 3
    for name in ("first", "second", "good", "above", "below"):
        assert contrast(tones[name], paper) >= 3
    scale = [contrast(tones[f"s{i}"], paper) for i in range(7)]
    assert scale == sorted(scale)
    assert scale[0] >= 2


def test_frames_that_scroll_are_reached_by_keyboard_and_have_names(table_page):
    frames = [e for e in table_page.iter("div") if "scrolling" in (e.get("class") or "")]
    assert len(frames) >= 2
    for frame in frames:
        assert frame.get("tabindex") == "0"
        assert frame.get("role") == "region"
        assert frame.get("aria-label")
