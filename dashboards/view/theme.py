"""Colours and patterns, light and dark, that tell states, kinds and operations apart.

Hues are those of Okabe and Ito, chosen to be told apart by colour-blind eyes; forward, backward
and weight gradient are near those of the DualPipe paper. Operations, components and states have
each their own colours, and better and worse are the colour of none; a kind of communication has
one wherever it stands. A colour is never alone: what is drawn has a label or, for bubbles and
waits, a pattern of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plotly.graph_objects.layout import Template

_ORANGE, _SKY, _GREEN, _YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
_BLUE, _RED, _PURPLE = "#0072B2", "#D55E00", "#CC79A7"

OPERATION_COLORS: Mapping[str, str] = MappingProxyType(
    {"F": _ORANGE, "B": _GREEN, "I": "#7FCFB5", "W": _SKY, "F&B": "#A8A23E"}
)
"""Forward, backward, its input-gradient and weight-gradient part, an overlapped pair."""

KIND_COLORS: Mapping[str, str] = MappingProxyType(
    {
        "compute": _BLUE,
        "p2p": _PURPLE,
        "dispatch": _RED,
        "combine": _YELLOW,
        "all_to_all": "#882255",
        "all_reduce": "#9DBF3B",
        "all_gather": "#8E83E0",
        "reduce_scatter": "#7A5195",
        "broadcast": "#8C564B",
        "comm_other": "#4F5B5C",
        "memory": "#B0A18F",
        "fused": "#2F8F9D",
        "host": "#5D4037",
    }
)
"""None is an operation's or a component's: the timeline shows kinds beside either."""

COMPONENT_COLORS: Mapping[str, str] = MappingProxyType(
    {
        "attention": "#C042C9",
        "dispatch": KIND_COLORS["dispatch"],
        "mlp": "#57C84D",
        "combine": KIND_COLORS["combine"],
        "output": "#5A1FA8",
        "embedding": "#00CFE8",
    }
)

BUBBLE_COLORS: Mapping[str, str] = MappingProxyType(
    {
        "bubble.warmup": "#9AA5B1",
        "bubble.cooldown": "#6B7785",
        "bubble.dependency": "#C9A7E0",
        "bubble.straggler": "#E6B57E",
        "bubble.host": "#E67E7E",
        "bubble.other": "#CFC7B8",
    }
)

BUBBLE_PATTERNS: Mapping[str, str] = MappingProxyType(
    {
        "bubble.warmup": "/",
        "bubble.cooldown": "\\",
        "bubble.dependency": "x",
        "bubble.straggler": ".",
        "bubble.host": "|",
        "bubble.other": "-",
    }
)
"""plotly's pattern shapes, one for each cause of a bubble."""

STATE_COLORS: Mapping[str, str] = MappingProxyType(
    {
        "compute_only": _BLUE,
        "overlap": "#4A5AE8",
        **{
            f"exposed.{kind}": color
            for kind, color in KIND_COLORS.items()
            if kind not in ("compute", "memory", "fused")
        },
        "memory": KIND_COLORS["memory"],
        "fused": KIND_COLORS["fused"],
        **BUBBLE_COLORS,
    }
)

SOURCE_COLORS: Mapping[str, str] = MappingProxyType(
    {"captured": _GREEN, "emulated": _RED, "simulated": _PURPLE}
)

QUIET = ("wait", "idle")
"""Time in which nothing is done and that is no bubble: in the theme's own colour."""

UNKNOWN_COLOR = "#8D99A6"
BETTER_COLOR, WORSE_COLOR = "#3A8A2E", "#C2185B"


@dataclass(frozen=True)
class Theme:
    """How pages and figures look; `run_colors` tell runs apart, in their order."""

    name: str
    background: str
    panel: str
    text: str
    muted: str
    line: str
    accent: str
    quiet: str
    run_colors: tuple[str, ...] = field(default=(_BLUE, _ORANGE, _GREEN, _PURPLE, _SKY, _RED))

    def color(self, name: str) -> str:
        """The colour of a state, kind, operation or component."""
        if name in QUIET:
            return self.quiet
        for colors in (STATE_COLORS, KIND_COLORS, OPERATION_COLORS, COMPONENT_COLORS):
            if name in colors:
                return colors[name]
        return UNKNOWN_COLOR

    def pattern(self, name: str) -> str:
        """The pattern shape of a state; empty where it is drawn plain."""
        if name.startswith("exposed."):
            return "/"
        return BUBBLE_PATTERNS.get(name, "")

    def run_color(self, number: int) -> str:
        """The colour of the run at a position."""
        return self.run_colors[number % len(self.run_colors)]


LIGHT = Theme(
    name="light",
    background="#F6F7F9",
    panel="#FFFFFF",
    text="#1B2430",
    muted="#5B6673",
    line="#DDE1E6",
    accent="#0B63A5",
    quiet="#C9CED6",
)
DARK = Theme(
    name="dark",
    background="#12161C",
    panel="#1A2028",
    text="#E4E9EF",
    muted="#98A4B3",
    line="#303945",
    accent="#6BB5F0",
    quiet="#4C5866",
)
_BY_NAME: Mapping[str, Theme] = MappingProxyType({one.name: one for one in (LIGHT, DARK)})


def theme_named(name: str) -> Theme:
    """The theme called ``light`` or ``dark``; light for any other name."""
    return _BY_NAME.get(name, LIGHT)


def template(theme: Theme) -> Template:
    """The plotly template of a theme: calm, no grid but along the values."""
    import plotly.graph_objects as go

    axis = {
        "gridcolor": theme.line,
        "linecolor": theme.line,
        "zerolinecolor": theme.line,
        "tickcolor": theme.line,
        "automargin": True,
        "title": {"font": {"size": 12, "color": theme.muted}},
    }
    font = {"family": FONT, "size": 12, "color": theme.text}
    label = {"bgcolor": theme.panel, "bordercolor": theme.line, "font": font}
    return go.layout.Template(
        layout={
            "font": font,
            "paper_bgcolor": theme.panel,
            "plot_bgcolor": theme.panel,
            "colorway": list(theme.run_colors),
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": label,
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "margin": {"l": 64, "r": 16, "t": 40, "b": 44},
            "bargap": 0.3,
        }
    )


FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"

GRAPH_CONFIG: Mapping[str, object] = MappingProxyType(
    {
        "displaylogo": False,
        "showSendToCloud": False,  # plotly 7.1 shows it by default: it uploads data and layout
        "showEditInChartStudio": False,
        "plotlyServerURL": "",
        "responsive": True,
        "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
        "toImageButtonOptions": {"format": "svg", "filename": "dpprof"},
    }
)
"""The `config` of every figure, of the report in one file too: nothing leaves the machine.

The download button gives SVG.
"""
