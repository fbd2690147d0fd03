"""What tests of the dashboard share: the sample runs, and a way to read components."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dpprof.dashboards.data.library import Library
from dpprof.dashboards.view.html_markup import CONTENT
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.view.state import ViewState
from dpprof.dashboards.view.theme import LIGHT, Theme
from dpprof.runs.run import Run
from dpprof.trace.load import load_run

TRACES = Path(__file__).resolve().parents[2] / "traces"


@pytest.fixture(scope="session")
def library() -> Library:
    """The sample runs, 1F1B the baseline."""
    runs = [load_run(TRACES / name) for name in ("dualpipe", "1f1b")]
    return Library.of_runs(runs, "1f1b")


@pytest.fixture
def make_context(library: Library) -> Callable[..., Context]:
    """``make_context(runs=[...], theme=..., **view)``: a view of runs, or of the sample runs."""

    def make(*, runs: list[Run] | None = None, theme: Theme = LIGHT, **view: Any) -> Context:
        known = library if runs is None else Library.of_runs(runs)
        return Context(known, ViewState(**view), theme)

    return make


def components(root: Any) -> Iterator[Any]:
    """All components and texts below and including `root`, in reading order."""
    if isinstance(root, list | tuple):
        for one in root:
            yield from components(one)
    elif root is not None:
        yield root
        yield from components(getattr(root, "children", None))
        yield from components(getattr(root, CONTENT, None))


@pytest.fixture(scope="session")
def text_of() -> Callable[..., str]:
    """``text_of(root, testid)``: the text that a person reads there; of all without an id."""

    def text(root: Any, testid: str = "") -> str:
        if testid:
            found = [one for one in components(root) if getattr(one, "data-testid", None) == testid]
            assert len(found) == 1, f"{len(found)} components are called {testid}"
            root = found[0]
        return " ".join(str(one) for one in components(root) if isinstance(one, str | int | float))

    return text


@pytest.fixture(scope="session")
def figures_of() -> Callable[[Any], dict[str, Any]]:
    """The figures of a page by the ids of their graphs; of such as are mappings, what they say."""

    def name(id: str | dict[str, Any]) -> str:
        return id if isinstance(id, str) else f"{id['type']} {id.get('run', id.get('name'))}"

    return lambda root: {
        name(one.id): one.figure for one in components(root) if hasattr(one, "figure")
    }


@pytest.fixture(scope="session")
def links_of() -> Callable[[Any], list[str]]:
    """The addresses that a page links to, in reading order."""
    return lambda root: [one.href for one in components(root) if hasattr(one, "href")]
