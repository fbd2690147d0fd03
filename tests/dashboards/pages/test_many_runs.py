"""Pages with a panel for every run show few of many runs, and name those left out."""

from __future__ import annotations

from typing import Any

import pytest

from dpprof.dashboards.pages import critical_path, kinds


@pytest.mark.parametrize("page", [critical_path, kinds])
def test_few_of_many_runs_are_shown(page: Any, make_run, event, make_context, text_of) -> None:
    runs = [make_run([event(0, 0, 10)], name=f"run{number}") for number in range(5)]
    content = page.layout(make_context(runs=runs, baseline="run4"))
    said = text_of(content)
    assert "not shown: run2, run3; choose up to 3 runs above" in said
    panel = "path-{}" if page is critical_path else "kinds-{}"
    for shown in ("run0", "run1", "run4"):
        assert text_of(content, panel.format(shown)).startswith(shown)
    assert "run3:" not in said
    assert "not shown" not in text_of(page.layout(make_context(runs=runs[:3])))
