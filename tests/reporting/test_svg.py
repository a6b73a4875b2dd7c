"""Marks lie at the positions of their values."""

import re

import numpy as np
import pytest

from attar.records import Epoch
from attar.reporting import svg
from attar.reporting.svg import (
    CHART_HEIGHT,
    CHART_WIDTH,
    HEIGHT,
    MOST_POINTS,
    ROOM,
    WIDTH,
    Axes,
    Scale,
    chart,
    label_places,
    text_width,
)


def marks(figure, name, tone):
    return [e for e in figure.iter(name) if (e.get("class") or "") == tone]


def points(path):
    return [tuple(map(float, p.split())) for p in re.split("[ML]", path.get("d"))[1:]]


def history(losses, validation):
    return [
        Epoch(i, loss, loss, 0.0, other, 1e-3, 1.0)
        for i, (loss, other) in enumerate(zip(losses, validation, strict=True), 1)
    ]


def test_corners_of_the_axes():
    axes = Axes(Scale.over(-2, 2, "x"), Scale.over(0, 10, "y"))
    assert axes.at(-2, 0) == (0, HEIGHT)
    assert axes.at(2, 10) == (WIDTH, 0)
    assert axes.at(0, 5) == (WIDTH / 2, HEIGHT / 2)


def test_ticks_are_round_and_within_the_scale():
    assert [text for _, text in Scale.over(-1.03, 1.2, "x").ticks] == [
        "−1.0",
        "−0.5",
        "0",
        "0.5",
        "1.0",
    ]
    assert [value for value, _ in Scale.over(1, 3, "x", integer=True).ticks] == [1, 2, 3]


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 1e-4), (-3e-7, 8e-7), (1998, 2024), (4480.1, 4480.9), (0, 3e7), (-0.02, 0.013), (5, 5)],
)
def test_ticks_say_their_values_without_separators(low, high):
    scale = Scale.over(low, high, "x")
    power = 1.0
    if "in 10" in scale.name:
        digits = scale.name.partition("in 10")[2]
        power = 10.0 ** int(digits.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")))
    assert len(scale.ticks) >= 2
    for value, text in scale.ticks:
        assert float(text.replace("−", "-")) * power == pytest.approx(value, rel=1e-9, abs=1e-15)
    assert len({len(text.partition(".")[2]) for _, text in scale.ticks if text != "0"}) == 1


def boxes(figure, size):
    """Return the text, the left and right end, and the height of each text of a figure."""
    found = []
    for text in figure.iter("text"):
        if text.get("class") in ("name", None, "", "bar-name"):
            width, x = text_width(text.text, size(text)), float(text.get("x"))
            start = {"middle": x - width / 2, "end": x - width}.get(text.get("text-anchor"), x)
            found.append((text.text, start, start + width, float(text.get("y"))))
    return found


@pytest.mark.parametrize("dimensions", [1, 8, 16, 24, 40, 64, 300])
@pytest.mark.parametrize("narrow", [False, True])
def test_texts_of_bars_do_not_overlap_and_all_are_there(dimensions, narrow):
    growth = np.random.default_rng(0).random(dimensions)
    figure = svg.importance(growth)
    sizes = {"bar-name": 12.5 if narrow else 10.5}
    texts = boxes(figure, lambda text: sizes.get(text.get("class"), 15 if narrow else 12.5))
    for i, (_, start, end, y) in enumerate(texts):
        for _, other_start, other_end, other_y in texts[:i]:
            assert end <= other_start or other_end <= start or abs(y - other_y) > 11
    left, _, width, height = (float(v) for v in figure.get("viewBox").split())
    shift = float(re.search(r"translate\(([\d.]+)", figure.find("g").get("transform"))[1])
    assert all(left <= start + shift and end + shift <= width for _, start, end, _ in texts)
    assert all(y + svg.TOP <= height for _, _, _, y in texts)
    names = [text for text, _, _, y in texts if y > HEIGHT + 10 and text.isdigit()]
    order = [str(j) for j in np.argsort(-growth)[:64]]
    assert names == order[:: 1 if dimensions <= 64 else 2]


def test_the_dot_of_a_perfect_model_is_whole():
    figure = svg.error_by_size([1.0, 0.5], 1, 0.0)
    (model,) = marks(figure, "circle", "dot ringed first")
    (cutting,) = [e for e in figure.iter("svg") if e.get("class") == "marks"]
    assert model not in list(cutting.iter())
    _, _, width, height = map(float, figure.get("viewBox").split())
    x, y, radius = (float(model.get(name)) for name in ("cx", "cy", "r"))
    assert y == HEIGHT
    assert x + svg.LEFT - radius > 0
    assert x + svg.LEFT + radius < width
    assert y + svg.TOP + radius < height


def test_labels_of_groups_at_one_place_do_not_overlap():
    generator = np.random.default_rng(0)
    places = generator.normal([220, 135], 40, (400, 2))
    groups = generator.integers(0, 8, 400)
    texts = [f"category {i}" for i in range(8)]
    found = label_places(places, groups, texts)
    assert len(found) >= 6
    for group, (x, y) in found.items():
        half = text_width(texts[group], svg.PLACE_SIZE) / 2
        assert x - half >= 0
        assert x + half <= WIDTH
        for other, (u, v) in found.items():
            if other != group:
                width = half + text_width(texts[other], svg.PLACE_SIZE) / 2
                assert abs(x - u) >= width or abs(y - v) >= svg.PLACE_SIZE


def test_a_label_without_neighbours_is_at_the_median_of_its_group():
    places = np.array([[100.0, 50], [120, 60], [300, 200], [110, 40]])
    found = label_places(places, np.array([0, 0, 1, 0]), ["a", "b"])
    assert found == {0: (110, 50), 1: (300, 200)}


def test_curves_decrease_with_the_losses():
    figure = svg.loss_curves(history([4, 2, 1, 0.5], [4.2, 2.5, 2, 2.2]), 3)
    (train,) = marks(figure, "path", "line second")
    (validation,) = marks(figure, "path", "line first")
    assert np.diff([y for _, y in points(train)]).min() > 0
    (best,) = marks(figure, "circle", "dot ringed first")
    place = points(validation)[2]
    assert (float(best.get("cx")), float(best.get("cy"))) == pytest.approx(place, abs=0.06)


def test_a_single_epoch_without_validation_rows():
    figure = svg.loss_curves(history([4.0], [None]), 1)
    assert not marks(figure, "path", "line first")
    (dot,) = marks(figure, "circle", "dot ringed second")
    assert float(dot.get("cx")) == pytest.approx(WIDTH / 2)


def test_the_model_lies_below_pca_where_its_error_is_lower():
    figure = svg.error_by_size([1.0, 0.6, 0.4, 0.3, 0.2], 2, 0.25)
    (model,) = marks(figure, "circle", "dot ringed first")
    (curve,) = marks(figure, "path", "line second")
    x, y = points(curve)[2]
    assert float(model.get("cx")) == pytest.approx(x, abs=0.06)
    assert float(model.get("cy")) > y


def test_an_ordered_code_has_its_error_at_every_size():
    pca_errors, sizes = [1.0, 0.6, 0.4, 0.3, 0.2], [1.4, 0.7, 0.35]
    figure = svg.error_by_size(pca_errors, 2, 0.35, sizes)
    (model,) = marks(figure, "circle", "dot ringed first")
    (curve,) = marks(figure, "path", "line first")
    (pca,) = marks(figure, "path", "line second")
    xs, ys = zip(*points(curve), strict=True)
    others = points(pca)
    assert list(xs) == pytest.approx([x for x, _ in others[:3]], abs=0.06)
    assert ys[0] < others[0][1] < ys[1] < others[1][1] < others[2][1] < ys[2]
    assert (ys[0] - ys[1]) / (ys[1] - ys[2]) == pytest.approx(2, abs=0.01)
    assert min(ys) > 0
    assert (xs[2], ys[2]) == pytest.approx(
        (float(model.get("cx")), float(model.get("cy"))), abs=0.06
    )


def test_dots_have_the_positions_of_codes_and_the_tone_of_their_group():
    codes = np.array([[0.0, 5.0], [1.0, 3.0], [4.0, 4.0]])
    figure = svg.code_map(
        codes, np.array([0, 1, 0]), ["c0", "c1"], ["a", "b"], "x", "y", ["one", "two", "three"]
    )
    dots = list(figure.iter("circle"))
    assert [dot.get("class") for dot in dots] == ["dot c0", "dot c1", "dot c0"]
    across = [float(dot.get("cx")) for dot in dots]
    down = [float(dot.get("cy")) for dot in dots]
    assert (across[2] - across[0]) / (across[1] - across[0]) == pytest.approx(4, rel=0.01)
    assert np.argsort(down).tolist() == [0, 2, 1]


def test_bars_are_sorted_and_proportional_to_the_importance():
    figure = svg.importance(np.array([0.1, 0.4, -0.01, 0.2]))
    heights = [float(bar.get("height")) for bar in figure.iter("rect")]
    assert heights == pytest.approx([heights[0], heights[0] / 2, heights[0] / 4, 0], abs=0.05)
    assert figure.get("aria-label").startswith("Latent dimension 1 is the most important")


def lines(figure):
    return {e.get("class").split()[1]: e.get("d") for e in figure.iter("path")}


def heights(path):
    return np.array([float(place.split()[1]) for place in re.findall(r"[\d.]+ [\d.]+", path)])


def test_a_line_goes_from_corner_to_corner():
    (path,) = lines(chart([("first", np.array([0.0, 1.0, 2.0]))], 0, 2, "words")).values()
    assert path == (
        f"M{ROOM:.1f} {CHART_HEIGHT - ROOM:.1f}L{CHART_WIDTH / 2:.1f} {CHART_HEIGHT / 2:.1f}"
        f"L{CHART_WIDTH - ROOM:.1f} {ROOM:.1f}"
    )


def test_lines_are_broken_at_missing_values_and_single_points_are_dots():
    values = np.array([0, 1, np.nan, 1, np.nan, 0, 0])
    (path,) = lines(chart([("first", values)], 0, 1, "words")).values()
    assert re.sub(r"[\d. ]+", "", path.replace("h0", "o")) == "MLMoML"


def test_a_peak_among_many_points_is_kept():
    values = np.zeros(10_000)
    values[777] = 1
    (path,) = lines(chart([("first", values)], 0, 1, "words")).values()
    assert len(heights(path)) == MOST_POINTS
    assert heights(path).min() == ROOM
    assert (heights(path) == ROOM).sum() == 1
