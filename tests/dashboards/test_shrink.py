"""Screenshots get a palette: few colours stay as they are, many become 256 of them."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest

pytest.importorskip("PIL", reason="Pillow, which only makes the documentation's pictures")

from PIL import Image

from docs.images.shrink_png import shrunk


def png_of(picture: np.ndarray) -> bytes:
    stream = BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


def pixels_of(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(file)).convert("RGB"))


def test_few_colours_are_kept() -> None:
    colors = np.array([[255, 255, 255], [0, 114, 178], [230, 159, 0], [0, 0, 0]], np.uint8)
    picture = colors[np.random.default_rng(1).integers(0, 4, (30, 40))]
    assert (pixels_of(shrunk(png_of(picture))) == picture).all()


def test_many_colours_become_few_that_are_near() -> None:
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    picture = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], np.uint8(80)), axis=-1)
    file = png_of(picture)
    found = pixels_of(shrunk(file))
    assert len(np.unique(found.reshape(-1, 3), axis=0)) <= 256
    assert np.abs(found.astype(int) - picture).mean() < 16
