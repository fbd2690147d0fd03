"""What stands where a figure is still being drawn is no empty plot."""

from __future__ import annotations

import pytest

from dpprof.dashboards.figures.loading import loading_figure
from dpprof.dashboards.pages import timeline, what_if
from dpprof.dashboards.view.theme import DARK, LIGHT, Theme


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_no_axes_but_the_word_in_the_colours_of_the_theme(theme: Theme) -> None:
    layout = loading_figure(theme).layout
    assert (layout.xaxis.visible, layout.yaxis.visible) == (False, False)
    assert [one.text for one in layout.annotations] == ["Loading…"]
    assert layout.template.layout.paper_bgcolor == theme.panel


def test_it_stands_where_the_timelines_will_be(make_context, figures_of) -> None:
    for page in (timeline, what_if):
        figures = figures_of(page.layout(make_context(theme=DARK))).values()
        assert loading_figure(DARK) in figures
