"""Where part of the communication is not split, every page says what its figures are bounds of."""

from __future__ import annotations

import pytest

from dpprof.dashboards.pages import bubbles, overlap, overview, steps
from dpprof.reporters.blocks.bounds import BOUNDS

PAGES = (bubbles.layout, overlap.layout, steps.page.layout)


@pytest.fixture
def contexts(make_context, make_run, event):
    """A view of a run that is known as a whole, and of one that is known in part."""
    rows = [event(0, 0, 50, name="gemm"), event(0, 50, 60, "dispatch", ready_ns=50)]
    rows = [*rows, event(0, 70, 75, name="gemm")]
    last = [event(0, 80, 90, "dispatch", ready_ns=ready) for ready in (85, -1)]
    return [make_context(runs=[make_run([*rows, one])]) for one in last]


@pytest.mark.parametrize("layout", PAGES)
def test_pages_say_at_least_and_at_most(layout, contexts, text_of) -> None:
    whole, part = (text_of(layout(context)) for context in contexts)
    assert "≥" not in whole
    assert "≥" in part.replace(BOUNDS, "")
    assert BOUNDS in part


def test_tiles_say_at_least_and_at_most(contexts, text_of) -> None:
    whole, part = (overview.layout(context) for context in contexts)
    signs = {"bubble": "≥", "exposed": "≤", "wait": "≥", "step-time": ""}
    for tile, sign in signs.items():
        known, bound = (text_of(page, f"hand-made-{tile}-value") for page in (whole, part))
        assert not known.startswith(("≥", "≤"))
        assert bound.startswith(sign or known[0])
    assert BOUNDS in text_of(part)
    assert BOUNDS not in text_of(whole)
