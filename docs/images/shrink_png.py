"""Makes a screenshot's file small: a palette of 256 colours instead of all of them."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

_COLORS = 256


def shrunk(file: bytes) -> bytes:
    """The PNG file with at most `_COLORS` colours, none of them dithered."""
    with Image.open(BytesIO(file)) as picture:
        small = picture.convert("RGB").quantize(
            _COLORS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
        )
    stream = BytesIO()
    small.save(stream, "PNG", optimize=True)
    return stream.getvalue()
