"""The report of a codec of pictures has curves beside other formats, and differences."""

import numpy as np
import pytest

import attar
from attar.recipes import recipe


def words(element):
    return " ".join("".join(element.itertext()).split())


@pytest.mark.parametrize("channels", [(), (3,)])
def test_the_page_has_curves_and_differences(page, channels):
    rng = np.random.default_rng(0)
    waves = np.sin(np.arange(16) * rng.uniform(0.1, 1, (12, 1)))
    images = (127 + 90 * waves[:, :, None] * waves[:, None]).astype(np.uint8)
    images = np.broadcast_to(images[(..., *[None] * len(channels))], (12, 16, 16, *channels))
    small = recipe("picture-codec").replace(code__hidden=8, network__hidden=8)
    ae = attar.Autoencoder(small, epochs=1, random_state=0, verbose=False).fit(images)
    tree = page(ae, images)
    (found,) = (s for s in tree.iter("section") if s.find("h2").text == "Qualities")
    assert "JPEG" in words(found.find(".//ul"))
    assert "Means of 8 images of 16 x 16 pixels" in words(found)
    assert "(BD-rate)" in words(found)
    assert len(list(found.iter("img"))) == 2 * (1 + 2 * 3)
    headings = {h.text for h in tree.iter("h2")}
    assert "Reconstructions" in headings
    assert not {"Latent space", "Codes"} & headings
    assert "PCA" not in words(tree)
