"""What is painted: colours, shades, halves, patterns and lines between pieces."""

from __future__ import annotations

import numpy as np

from dpprof.dashboards.detail.names import CODES, NAMES
from dpprof.dashboards.figures.png import rgb
from dpprof.dashboards.timeline.picture_pixels import LEVELS, Strip, paint, palette
from dpprof.dashboards.view.theme import LIGHT

PER_CODE = len(palette(LIGHT)) // len(NAMES)


def strip(names, pieces=None, share=None, rows=(0, 4), beneath=None):
    codes = np.array([CODES[name] for name in names], np.uint8)
    numbers = range(len(names)) if pieces is None else pieces
    shares = np.ones(len(names)) if share is None else np.array(share)
    under = None if beneath is None else np.array([CODES[name] for name in beneath], np.uint8)
    return Strip(*rows, np.array(numbers, np.int64), codes, shares, under)


def names_of(picture):
    return [[NAMES[value // PER_CODE] for value in line] for line in picture.tolist()]


def test_each_pixel_has_the_colour_of_its_piece():
    picture = paint((6, 3), [strip(["F", "compute", "W"], rows=(1, 3))])
    assert names_of(picture) == [[""] * 3, *[["F", "compute", "W"]] * 2, *[[""] * 3] * 3]
    colors = palette(LIGHT)
    assert colors[picture[1, 0]][:3] == rgb(LIGHT.color("F"))


def test_what_fills_little_of_a_pixel_is_paler_but_there():
    shares = [1e-9, 0.25, 0.26, 0.5, 0.75, 1.0]
    picture = paint((4, 6), [strip(["F"] * 6, share=shares)])
    levels = [value % PER_CODE for value in picture[0].tolist()]
    assert levels == [0, 0, 1, 1, 2, LEVELS - 1]
    assert (picture[0] // PER_CODE == CODES["F"]).all()


def test_nothing_is_nothing():
    picture = paint((4, 2), [strip(["F", "F"], pieces=[-1, 3])])
    assert names_of(picture) == [["", "F"]] * 4


def test_an_overlapped_pair_is_forward_above_backward():
    picture = paint((5, 1), [strip(["F&B"], rows=(0, 5))])
    assert names_of(picture) == [["F"], ["F"], ["F"], ["B"], ["B"]]


def test_patterns_differ_from_each_other_and_from_plain():
    hatched = [name for name in NAMES if name.startswith("bubble.") or name == "wait"]
    seen = set()
    for name in hatched:
        picture = paint((84, 84), [strip([name] * 84, pieces=[7] * 84, rows=(0, 84))])
        assert set(names_of(picture)[0]) == {name}
        ink = picture % PER_CODE == LEVELS
        assert 0.1 < ink.mean() < 0.6
        seen.add(ink.tobytes())
    assert len(seen) == len(hatched)
    plain = paint((4, 4), [strip(["F"] * 4, pieces=[1] * 4)])
    assert len(np.unique(plain)) == 1


def test_wide_neighbours_have_a_line_between_them_and_narrow_ones_none():
    wide = paint((4, 12), [strip(["F"] * 12, pieces=[1] * 6 + [2] * 6)])
    assert names_of(wide)[0] == ["F"] * 6 + [""] + ["F"] * 5
    narrow = paint((4, 12), [strip(["F"] * 12, pieces=[1] * 9 + [2] * 3)])
    assert names_of(narrow)[0] == ["F"] * 12


def test_white_space_says_faintly_why_it_is_white():
    beneath = ["bubble.host"] * 3
    picture = paint((84, 3), [strip(["F"] * 3, pieces=[-1, 4, -1], rows=(0, 84), beneath=beneath)])
    assert names_of(picture) == [["bubble.host", "F", "bubble.host"]] * 84
    assert (picture[:, [0, 2]] % PER_CODE > LEVELS).all()
