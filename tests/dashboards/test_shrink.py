"""Pictures with few colours stay as they are; of many, the most frequent are kept."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from docs.images.shrink_png import quantized


def restored(numbers: np.ndarray, palette: list[tuple[int, int, int]]) -> np.ndarray:
    return np.array(palette, dtype=np.uint8)[numbers]


def test_few_colours_are_kept() -> None:
    colors = np.array([[255, 255, 255], [0, 114, 178], [230, 159, 0], [0, 0, 0]], np.uint8)
    picture = colors[np.random.default_rng(1).integers(0, 4, (30, 40))]
    numbers, palette = quantized(picture)
    assert (restored(numbers, palette) == picture).all()
    assert sorted(palette) == sorted(map(tuple, colors.tolist()))


def test_of_colours_that_are_alike_the_most_frequent_stands_for_all() -> None:
    picture = np.array([[[8, 8, 8]] * 3 + [[9, 9, 9]]], np.uint8)
    numbers, palette = quantized(picture)
    assert (palette, numbers.tolist()) == ([(8, 8, 8)], [[0, 0, 0, 0]])


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 40), st.just(3))).map(
        lambda picture: np.concatenate([picture] * 2)
    )
)
def test_every_pixel_takes_the_nearest_colour_of_the_palette(picture: np.ndarray) -> None:
    numbers, palette = quantized(picture)
    assert numbers.shape == picture.shape[:2]
    assert 0 < len(palette) <= 256
    assert set(palette) <= {tuple(pixel) for line in picture.tolist() for pixel in line}
    shown = restored(numbers, palette).astype(int)
    for line, other in zip(picture.astype(int), shown, strict=True):
        for pixel, taken in zip(line, other, strict=True):
            nearest = min(((pixel - np.array(one)) ** 2).sum() for one in palette)
            assert ((pixel - taken) ** 2).sum() == nearest
