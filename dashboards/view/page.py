"""What a page is, and what it is given to show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dpprof.dashboards.data.library import Library, LibraryRun
from dpprof.dashboards.view.state import ViewState
from dpprof.dashboards.view.theme import Theme

if TYPE_CHECKING:
    from dash import Dash
    from dash.development.base_component import Component


@dataclass(frozen=True)
class Context:
    """What a page shows: the view, the runs it is of, and how colours look."""

    library: Library
    view: ViewState
    theme: Theme

    @property
    def runs(self) -> tuple[LibraryRun, ...]:
        """The runs that are chosen, all of them where none is."""
        return tuple(self.library.get(one) for one in self.view.runs or self.library.ids)

    @property
    def baseline(self) -> LibraryRun | None:
        """The run to compare with; None where there is none."""
        name = self.view.baseline or self.library.baseline
        return self.library.get(name) if name else None

    def link(self, **changes: Any) -> str:
        """The address of this view with fields of `ViewState` changed."""
        return self.view.url(**changes)

    def option(self, name: str, default: str = "") -> str:
        """The value of one of the page's own options."""
        return self.view.options.get(name, default)


Builder = Callable[[Context], "Component | Sequence[Component]"]


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of the dashboard; a module ``dashboards/pages/<key>.py`` has one called `page`.

    `layout` builds the content from a `Context`; it runs again whenever the view changes, but for
    changes of the fields of `ViewState` in `live`, which the page's own callbacks see to.
    `callbacks`, where given, registers these once. `options` are the page's own parts of the URL
    (``o.<name>``) with the values they may have (empty: any plain text). `about` explains the page
    in one sentence. `report` builds its part of a report in one file, where nothing calls back;
    where it is left out `layout` does. It may give nothing. Above a page stands what the evidence
    of its runs does not carry, unless it `tells_evidence` itself.
    """

    key: str
    title: str
    order: int
    layout: Builder
    about: str = ""
    live: frozenset[str] = frozenset()
    options: Mapping[str, Sequence[str]] = field(default_factory=dict)
    callbacks: Callable[[Dash, Library], None] | None = None
    report: Builder | None = None
    tells_evidence: bool = False
