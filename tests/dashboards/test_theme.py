"""Colours are told apart by everybody, and none is alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dpprof.dashboards.detail.names import NAMES
from dpprof.dashboards.figures.png import rgb
from dpprof.dashboards.timeline.picture_pixels import palette
from dpprof.dashboards.view.theme import (
    BETTER_COLOR,
    BUBBLE_COLORS,
    BUBBLE_PATTERNS,
    COMPONENT_COLORS,
    DARK,
    KIND_COLORS,
    LIGHT,
    OPERATION_COLORS,
    STATE_COLORS,
    WORSE_COLOR,
    theme_named,
)
from dpprof.tables.kinds import BUBBLE_STATES, STATES

# Viénot, Brettel and Mollon 1999: what a dichromat sees, on linear RGB.
DICHROMATS = {
    "protan": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deutan": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
}


def seen(color, matrix):
    values = np.array(rgb(color)) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return np.clip(np.array(matrix) @ linear, 0, 1) ** (1 / 2.2) * 255


@pytest.mark.parametrize("eyes", DICHROMATS)
def test_operations_are_told_apart_by_colour_blind_eyes(eyes):
    for one, other in itertools.combinations(("F", "B", "I", "W"), 2):
        colors = [seen(OPERATION_COLORS[name], DICHROMATS[eyes]) for name in (one, other)]
        assert np.linalg.norm(colors[0] - colors[1]) > 35, (one, other)


@pytest.mark.parametrize("colors", [OPERATION_COLORS, COMPONENT_COLORS])
def test_what_a_legend_shows_beside_kinds_has_colours_of_its_own(colors):
    own = {name: color for name, color in colors.items() if name not in (*KIND_COLORS, "F&B")}
    for (kind, other), (name, color) in itertools.product(KIND_COLORS.items(), own.items()):
        apart = np.linalg.norm(np.subtract(rgb(other), rgb(color)))
        assert apart > 45, (kind, name)
    both = list((own | KIND_COLORS).values())
    assert len(set(both)) == len(both)


def test_states_operations_and_components_have_each_their_own_colours():
    components = {one: color for one, color in COMPONENT_COLORS.items() if one not in KIND_COLORS}
    mood = {"better": BETTER_COLOR, "worse": WORSE_COLOR}
    palettes = (STATE_COLORS, OPERATION_COLORS, components, mood)
    for one, other in itertools.combinations(palettes, 2):
        for (name, color), (beside, second) in itertools.product(one.items(), other.items()):
            assert np.linalg.norm(np.subtract(rgb(color), rgb(second))) > 30, (name, beside)
    bubbles = {one: color for one, color in STATE_COLORS.items() if one in BUBBLE_COLORS}
    rest = {one: color for one, color in STATE_COLORS.items() if one not in BUBBLE_COLORS}
    assert not set(bubbles.values()) & set(rest.values())


def test_every_state_has_a_colour_and_every_cause_a_pattern_of_its_own():
    assert set(STATE_COLORS) >= set(STATES)
    assert set(BUBBLE_COLORS) == set(BUBBLE_STATES) == set(BUBBLE_PATTERNS)
    assert len(set(BUBBLE_PATTERNS.values())) == len(BUBBLE_STATES)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_text_is_readable(theme):
    def luminance(color):
        return sum(
            part * value for part, value in zip((0.2126, 0.7152, 0.0722), rgb(color), strict=True)
        )

    for text, back in itertools.product(
        (theme.text, theme.muted, theme.accent), (theme.panel, theme.background)
    ):
        assert abs(luminance(text) - luminance(back)) > 90


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_palette_fits_a_png_and_nothing_fades_into_the_panel(theme):
    colors = palette(theme)
    assert len(colors) <= 256
    assert colors[0] == (0, 0, 0, 0)
    per_code = len(colors) // len(NAMES)
    panel = np.array(rgb(theme.panel))
    for code in range(1, len(NAMES)):
        palest = np.array(colors[code * per_code][:3])
        assert np.abs(palest - panel).max() > 12, NAMES[code]


def test_an_unknown_theme_is_light():
    assert theme_named("dark") is DARK
    assert theme_named("blue") is LIGHT
