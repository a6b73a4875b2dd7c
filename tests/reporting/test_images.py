"""Pictures have the pixels of the data."""

import base64
import io
import re

import numpy as np
from PIL import Image

from attar.reporting.images import MOST_SIDE, picture


def pixels(image):
    start, code = image.get("src").split(",")
    assert start == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(code))))


def described(tree, ending):
    return {e.get("alt"): pixels(e) for e in tree.iter("img") if e.get("alt").endswith(ending)}


def test_originals_and_reconstructions_are_their_pixels(image_page, image_model, images):
    assert (images.min(), images.max()) == (0, 255)
    reconstructed = image_model.reconstruct(images)
    originals = described(image_page, "original")
    assert len(originals) >= 12
    for words, found in originals.items():
        row = int(words.removeprefix("row ").removesuffix(", original"))
        assert np.array_equal(found, images[row])
        other = described(image_page, f"row {row}, reconstructed").popitem()[1]
        assert np.array_equal(other, reconstructed[row])


def test_rows_go_from_best_to_worst(page, fitted):
    images = np.random.default_rng(0).random((40, 6, 5))
    model = fitted(images, code_size=3)
    compared = next(e for e in page(model, images).iter("div") if e.get("class") == "pictures")
    places = [w.split(",")[0] for w in described(compared, "original")]
    rows = [int(place.removeprefix("row ")) for place in places]
    # Of the decoder's values, which a reconstruction clips to the observed range.
    predictor = model.fitted_.predictor
    decoded = predictor.preparation.raw(predictor.decode(model.transform(images)))[:, 0]
    errors = np.square(decoded - images).mean((1, 2))
    assert (rows[0], rows[-1]) == (errors.argmin(), errors.argmax())
    assert np.diff(errors[rows]).min() > 0


def test_difference_has_the_sign_as_colour_and_the_size_as_opacity(image_page, image_model, images):
    reconstructed = image_model.reconstruct(images).astype(int)
    largest = 0
    for words, found in described(image_page, "difference").items():
        row = int(words.removeprefix("row ").removesuffix(", difference"))
        change = reconstructed[row] - images[row]
        red = found[..., 0] > found[..., 2]
        assert np.array_equal(red, change > 0)
        assert np.array_equal(found[..., 3] == 0, change == 0)
        assert np.corrcoef(found[..., 3].ravel(), np.abs(change).ravel())[0, 1] > 0.999
        largest = max(largest, found[..., 3].max())
    assert largest == 255


def test_colour_stays_colour(page, fitted):
    images = np.random.default_rng(1).integers(0, 256, (20, 4, 5, 3), dtype=np.uint8)
    images[0, 0, 0], images[0, 0, 1] = 0, 255
    tree = page(fitted(images, code_size=2), images)
    for words, found in described(tree, "original").items():
        row = int(words.removeprefix("row ").removesuffix(", original"))
        assert np.array_equal(found, images[row])


def test_an_interpolation_starts_and_ends_at_the_reconstructions(page, image_model, images):
    labels = np.repeat(["left", "right"], 20)
    tree = page(image_model, images, labels)
    reconstructed = image_model.reconstruct(images)
    words = re.compile(r"step (\d) from left · row (\d+) to right · row (\d+)")
    steps = {words.fullmatch(e.get("alt")): pixels(e) for e in tree.iter("img")}
    ends = [(m, found) for m, found in steps.items() if m and m[1] in "07"]
    assert len(ends) == 8
    for match, found in ends:
        row = int(match[2] if match[1] == "0" else match[3])
        assert np.array_equal(found, reconstructed[row])


def test_large_pictures_are_reduced_by_means():
    large = np.zeros((3 * MOST_SIDE, 3), np.uint8)
    large[:, :] = [[30, 60, 90]]
    found = pixels(picture(large, "words"))
    assert found.shape == (MOST_SIDE, 1)
    assert (found == 60).all()


def test_transparency_and_true_brightness_are_kept(page, fitted):
    generator = np.random.default_rng(2)
    images = generator.integers(10, 200, (20, 4, 5, 4), dtype=np.uint8)
    model = fitted(images, code_size=2)
    tree = page(model, images)
    reconstructed = model.reconstruct(images)
    for words, found in described(tree, "original").items():
        row = int(words.removeprefix("row ").removesuffix(", original"))
        assert np.array_equal(found, images[row])
        other = described(tree, f"row {row}, reconstructed").popitem()[1]
        assert np.array_equal(other, reconstructed[row])


def test_sixteen_bits_become_eight(page, fitted):
    images = np.random.default_rng(3).integers(0, 2**16, (20, 4, 5)).astype(np.uint16)
    images[0, 0, 0], images[0, 0, 1] = 0, 2**16 - 1
    tree = page(fitted(images, code_size=2), images)
    for words, found in described(tree, "original").items():
        row = int(words.removeprefix("row ").removesuffix(", original"))
        assert np.array_equal(found, np.rint(images[row] / 257))


def test_missing_pixels_are_transparent(page, fitted):
    images = np.random.default_rng(4).random((30, 4, 5)).astype(np.float32)
    images[:, 1, 2] = np.nan
    tree = page(fitted(images, code_size=2), images)
    for found in described(tree, "original").values():
        clear = np.zeros((4, 5), bool)
        clear[1, 2] = True
        assert np.array_equal(found[..., 3] == 0, clear)
    assert all((found[1, 2, 3] == 0).all() for found in described(tree, "difference").values())
    assert all(found.ndim == 2 for found in described(tree, "reconstructed").values())


def test_folders_are_coloured_by_their_subfolders(tmp_path, page, fitted):
    generator = np.random.default_rng(5)
    for place in range(24):
        folder = tmp_path / ("cats" if place < 12 else "dogs")
        folder.mkdir(exist_ok=True)
        pixels = generator.integers(0, 256, (6, 5, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{place}.png")
    model = fitted(tmp_path, code_size=2)
    tree = page(model, tmp_path)
    found = described(tree, "original")
    assert {words.split(" · ")[0] for words in found} <= {"cats", "dogs"}
    for words, pixels in found.items():
        file = words.split(" · ")[1].removesuffix(", original")
        assert np.array_equal(pixels, np.asarray(Image.open(tmp_path / file)))


def test_compared_pictures_are_larger_than_others(page, fitted):
    images = np.random.default_rng(6).integers(0, 256, (20, 90, 100), dtype=np.uint8)
    tree = page(fitted(images, code_size=1, epochs=1, network="linear"), images)
    strip = next(e for e in tree.iter("div") if e.get("class") == "pictures large")
    for image in strip.iter("img"):
        assert pixels(image).shape[:2] == (45, 50)
    for row, found in described(tree, "original").items():
        image = images[int(row.removeprefix("row ").removesuffix(", original"))]
        means = image.reshape(45, 2, 50, 2).mean((1, 3))
        assert np.abs(found - means).max() <= 1
