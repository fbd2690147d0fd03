"""Makes a screenshot's file small: a palette of at most 256 colours instead of all of them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dpprof.dashboards.figures.png import data_url, png

if TYPE_CHECKING:
    from playwright.sync_api import Page

_COLORS = 256
_BITS = 5
"""Of each of red, green and blue: colours that are alike in these count as one."""
_LEVEL = 9

_PIXELS = """async url => {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const data = context.getImageData(0, 0, image.width, image.height).data;
    let text = "";
    for (let at = 0; at < data.length; at += 32768)
        text += String.fromCharCode.apply(null, data.subarray(at, at + 32768));
    return [image.width, image.height, btoa(text)];
}"""


def shrunk(page: Page, file: bytes) -> bytes:
    """The PNG file with the colours that it has most of; `page` is any page, which decodes it."""
    width, height, text = page.evaluate(_PIXELS, data_url(file))
    values = np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)
    numbers, palette = quantized(values[..., :3])
    return png(numbers, [(red, green, blue, 255) for red, green, blue in palette], _LEVEL)


def quantized(
    picture: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.uint8], list[tuple[int, int, int]]]:
    """Positions in a palette of at most `_COLORS`, shape (height, width), and the palette.

    `picture` has shape (height, width, 3). The palette has the colours that occur most, of each
    bin of similar ones the most frequent; every other pixel takes the nearest of them.
    """
    packed = (picture.astype(np.uint32) * np.array([1 << 16, 1 << 8, 1], np.uint32)).sum(axis=-1)
    colors, index, counts = np.unique(packed, return_inverse=True, return_counts=True)
    parts = np.stack([colors >> 16, colors >> 8 & 255, colors & 255], axis=1).astype(np.int64)
    kept = _most_frequent(parts, counts)
    distance = ((parts[:, None, :] - parts[kept][None, :, :]) ** 2).sum(axis=2)
    nearest = distance.argmin(axis=1).astype(np.uint8)
    palette = [(int(red), int(green), int(blue)) for red, green, blue in parts[kept]]
    return nearest[index].reshape(picture.shape[:2]), palette


def _most_frequent(
    parts: npt.NDArray[np.int64], counts: npt.NDArray[np.intp]
) -> npt.NDArray[np.intp]:
    """The most frequent colour of each of the `_COLORS` bins with most pixels."""
    shift = 8 - _BITS
    bins = (parts >> shift) @ np.array([1 << 2 * _BITS, 1 << _BITS, 1])
    order = np.argsort(-counts, kind="stable")
    _, first = np.unique(bins[order], return_index=True)
    pixels = np.bincount(bins, weights=counts)
    best = order[first]
    return best[np.argsort(-pixels[bins[best]], kind="stable")[:_COLORS]]
