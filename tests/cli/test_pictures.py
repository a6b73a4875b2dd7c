"""Pictures are compressed at a quality from the shell, and what cannot be is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import attar
from attar.cli.arguments import tile_of
from attar.networks import Lapped
from attar.recipes import recipe


def picture(height, width, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 6
    waves = np.sin(np.multiply.outer(y, rng.random(3)) + np.multiply.outer(x, rng.random(3)))
    return (128 + 90 * waves + rng.normal(0, 3, waves.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    small = recipe("picture-codec").replace(code__hidden=16, network__hidden=16)
    ae = attar.Autoencoder(small, epochs=1, random_state=0, verbose=False)
    path = tmp_path_factory.mktemp("model") / "p.attar"
    ae.fit(np.stack([picture(16, 16, i) for i in range(12)])).save(path)
    return path


def save(name, *size, seed=0):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(*size, seed)).save(name)


def opened(name):
    with Image.open(name) as image:
        return np.asarray(image)


def test_a_picture_is_compressed_at_a_quality_and_comes_back(run, model):
    save("a.png", 40, 56)
    status, out, err = run("compress", model, "a.png", "-o", "a.atz", "--quality", 30)
    assert (status, err) == (0, "")
    length = Path("a.atz").stat().st_size
    assert f"1 picture: {length:,} bytes" in out
    assert "at quality 30" in out
    described = json.loads(run("info", "a.atz", "--json")[1])
    assert described["bits_per_pixel"] == pytest.approx(8 * length / (40 * 56), abs=1e-4)
    assert described["quality"] == pytest.approx(30, abs=0.1)
    assert (described["pictures"], described["sizes"]) == (1, ["40 x 56"])
    assert "bits" in run("info", "a.atz")[1]
    assert run("decompress", model, "a.atz", "-o", "back.png")[0] == 0
    assert run("decompress", model, "a.atz", "-o", "back.webp")[0] == 0
    assert run("decompress", model, "a.atz", "-o", "back.npy")[0] == 0
    expected = attar.PictureCodec(attar.load(model)).decompress("a.atz")
    for back in (opened("back.png"), opened("back.webp"), np.load("back.npy")):
        np.testing.assert_array_equal(back, expected)


def test_bits_a_pixel_and_psnr_are_what_is_asked_for(run, model):
    save("a.png", 48, 48)
    out = run("compress", model, "a.png", "-o", "a.atz", "--bpp", 2, "--json")[1]
    assert 1.9 < json.loads(out)["bits_per_pixel"] <= 2
    assert run("compress", model, "a.png", "-o", "b.atz", "--psnr", 30)[0] == 0
    run("decompress", model, "b.atz", "-o", "b.png")
    error = np.square(opened("b.png").astype(float) - picture(48, 48)).mean()
    assert 30 <= 10 * np.log10(255**2 / error) < 30.5


def test_a_folder_comes_back_as_a_folder_and_the_model_may_be_in_the_file(run, model):
    save("in/a.png", 20, 30)
    save("in/more/b.png", 10, 10, seed=1)
    assert run("compress", model, "in", "-o", "all.atz", "--with-model")[0] == 0
    assert "2 pictures" in run("compress", model, "in", "-o", "less.atz")[1]
    assert run("decompress", "all.atz", "-o", "out")[0] == 0
    assert opened("out/a.png").shape == (20, 30, 3)
    assert opened("out/more/b.png").shape == (10, 10, 3)
    for name, said in (("one.png", "several pictures"), ("one.npy", "any sizes")):
        status, _, err = run("decompress", model, "less.atz", "-o", name)
        assert (status, err.count("\n")) == (2, 1)
        assert said in err


def test_an_array_comes_back_as_one(run, model):
    np.save("in.npy", np.stack([picture(16, 20, i) for i in range(3)]))
    assert run("compress", model, "in.npy", "-o", "a.atz")[0] == 0
    assert run("decompress", model, "a.atz", "-o", "out.npy")[0] == 0
    assert np.load("out.npy").shape == (3, 16, 20, 3)
    assert run("decompress", model, "a.atz", "-o", "out")[0] == 0
    assert len(list(Path("out").iterdir())) == 3


def test_a_cut_file_is_coarser_with_layers_and_else_refused(run, model):
    save("a.png", 64, 64)
    run("compress", model, "a.png", "-o", "a.atz", "--quality", 90)
    data, errors = Path("a.atz").read_bytes(), []
    for layers in (1, 2, 3):
        run("decompress", model, "a.atz", "-o", "b.png", "--layers", layers)
        errors.append(np.square(opened("b.png").astype(float) - picture(64, 64)).mean())
    assert errors[0] > errors[1] > errors[2]
    Path("a.atz").write_bytes(data[:-20])
    status, _, err = run("decompress", model, "a.atz", "-o", "c.png")
    assert (status, err.count("\n")) == (2, 1)
    assert "damaged or cut" in err
    assert run("decompress", model, "a.atz", "-o", "c.png", "--layers", 3)[0] == 0
    found = np.square(opened("c.png").astype(float) - picture(64, 64)).mean()
    assert found == errors[1]


def test_pictures_of_any_sizes_are_fitted_in_tiles(tmp_path):
    """Those of the network, or as large as the smallest side."""
    save(tmp_path / "small" / "a.png", 40, 33)
    save(tmp_path / "small" / "b.png", 50, 40)
    save(tmp_path / "large" / "a.png", 130, 140)
    codec, other = attar.Autoencoder("picture-codec"), attar.Autoencoder("ae")
    assert tile_of(codec, tmp_path / "small") == 33
    assert tile_of(codec, tmp_path / "large") == 128
    assert tile_of(codec, Path("digits")) is None
    assert tile_of(other, tmp_path / "small") is None
    assert tile_of(attar.Autoencoder(network=Lapped()), tmp_path / "small") == 33


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("compress", "M", "text.png", "-o", "a.atz"), "text.png is no picture"),
        (("compress", "M", "none.png", "-o", "a.atz"), "none.png"),
        (("compress", "M", "a.png", "-o", "a.atz", "--quality", "0"), "from 1 to 100, not 0"),
        (("compress", "M", "a.png", "-o", "a.atz", "--quality", "101"), "from 1 to 100"),
        (("compress", "M", "a.png", "-o", "a.atz", "--bpp", "1", "--psnr", "30"), "Give one of"),
        (("compress", "M", "a.png", "-o", "a.atz", "--psnr", "99"), "out of range"),
        (("compress", "M", "a.png", "-o", "a.atz", "--kbps", "3"), "--kbps is for sound"),
        (("compress", "O", "digits", "-o", "a.atz", "--psnr", "3"), "--psnr is for models"),
        (("decompress", "M", "text.png", "-o", "b.png"), "text.png"),
        (("decompress", "M", "good.atz", "-o", "b.csv"), "holds pictures"),
        (("decompress", "O", "good.atz", "-o", "b.png"), "picture-codec"),
        (("decompress", "good.atz", "-o", "b.png"), "does not hold its model"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(
    run, model, other, words, message, tmp_path
):
    (tmp_path / "text.png").write_text("no picture")
    save("a.png", 16, 16)
    if "good.atz" in words:
        run("compress", model, "a.png", "-o", "good.atz")
    before = sorted(path.name for path in tmp_path.iterdir())
    models = {"M": model, "O": other}
    status, out, err = run(*(models.get(word, word) for word in words))
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    path = tmp_path_factory.mktemp("other") / "o.attar"
    attar.Autoencoder("ae", 2, epochs=1, verbose=False).fit("digits").save(path)
    return path


def test_evaluate_compares_bytes_with_other_formats(run, model):
    for i in range(2):
        save(f"others/{i}.png", 16, 16, seed=20 + i)
    metrics = json.loads(run("evaluate", model, "others", "--json")[1])
    assert metrics["coded_pictures"] == 2
    assert metrics["bd_rate_jpeg"] > -1
    assert not [name for name in metrics if "pca" in name]
