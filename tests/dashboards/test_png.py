"""PNG files, read back."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dpprof.dashboards.figures.png import data_url, mix, png, rgb


def read_png(data):
    """The pixels and the palette of a picture as `png` writes it."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        chunks[name] = data[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack(">I", data[at + 8 + length : at + 12 + length])
        assert checksum == zlib.crc32(name + chunks[name])
        at += 12 + length
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not lines[:, 0].any()
    colors = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3).tolist()
    palette = [(*color, alpha) for color, alpha in zip(colors, chunks[b"tRNS"], strict=True)]
    return lines[:, 1:], palette


@given(st.integers(1, 9), st.integers(1, 9), st.randoms(use_true_random=False))
def test_a_picture_is_read_back(height, width, random):
    palette = [(number, 0, 255 - number, number) for number in range(256)]
    pixels = np.array(
        [[random.randrange(256) for _ in range(width)] for _ in range(height)], np.uint8
    )
    found, colors = read_png(png(pixels, palette))
    assert found.tolist() == pixels.tolist()
    assert colors == palette


def test_data_urls_and_colours():
    assert data_url(b"abc") == "data:image/png;base64," + base64.b64encode(b"abc").decode()
    assert rgb("#0072B2") == (0, 0x72, 0xB2)
    assert mix("#000000", "#FFFFFF", 0.25) == (191, 191, 191)
