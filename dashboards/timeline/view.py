"""From a view to its picture: figure, legend, and how much of the data is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dpprof.dashboards.detail.index import LANES, P2P_LANE, SLOTS
from dpprof.dashboards.timeline.arrows import ends_of, selected_of
from dpprof.dashboards.timeline.hit_test import hit_of
from dpprof.dashboards.timeline.legend import legend, names_in
from dpprof.dashboards.timeline.picture import MARGIN, timeline_figure
from dpprof.dashboards.timeline.picture_model import Drawn, strips
from dpprof.dashboards.timeline.scene import Scene, Wanted, make_scene, plot_width
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.view.ranges import ranges_text
from dpprof.reporters.blocks.units import share_text, time_unit

if TYPE_CHECKING:
    import plotly.graph_objects as go

_DEFAULT_PX = 1280
_MOST_PX = 8000
_WORDS = {SLOTS: "schedule slots", P2P_LANE: "messages between stages"}


def scene_of(context: Context, screen: Mapping[str, Any]) -> Scene:
    """The scene of a view in a browser's window."""
    view = context.view
    wanted = Wanted(
        step=view.step,
        ranks=view.ranks,
        time_range=view.time_range,
        lanes=context.option("lanes", LANES[0]),
        width_px=plot_width(screen_width(screen)),
    )
    return make_scene(context.library, context.runs, wanted)


def screen_width(screen: Mapping[str, Any]) -> int:
    """The width of the window, whatever a browser says it is."""
    width = screen.get("width")
    return width if isinstance(width, int) and 0 < width <= _MOST_PX else _DEFAULT_PX


def picture(context: Context, screen: Mapping[str, Any]) -> tuple[go.Figure, Any, Any]:
    """Figure, legend, and what is said beneath."""
    scene = scene_of(context, screen)
    drawn = scene.drawn()
    hit = hit_of(context.library, scene, context.view.select)
    selected = selected_of(scene, hit, ends_of(hit))
    coloring, theme = context.view.color, context.theme
    painted = [strip for run in drawn for strip in strips(run, coloring)]
    figure = timeline_figure(drawn, scene.rows, painted, theme, selected)
    figure.update_layout(width=scene.width_px + MARGIN["l"] + MARGIN["r"])
    if selected.marks:  # the browser scrolls to it
        row = selected.marks[0].row
        place = {"select": str(context.view.select), "top": row.top, "bottom": row.bottom}
        figure.update_layout(meta=figure.layout.meta | {"selected": place})
    names = legend(names_in(painted), theme)
    return figure, names, readout(scene, drawn, context)


def readout(scene: Scene, drawn: list[Drawn], context: Context) -> list[str]:
    """The range that is shown, and how much of what is in it has pixels of its own."""
    if not scene.rows.rows:
        present = {place.rank for one in scene.runs for place in one.run.run.places}
        return [f"None of the chosen ranks is in these runs, which have {ranges_text([*present])}."]
    unit = time_unit(scene.whole_ns)
    span = scene.end_ns - scene.start_ns
    short = time_unit(span)
    words = [
        f"{scene.start_ns / unit.nanoseconds:,.3f} to {scene.end_ns / unit.nanoseconds:,.3f} "
        f"{unit.name}: {short.full(span)}, {share_text(span / max(1, scene.whole_ns))} of the step",
        _drawn_words(scene, drawn),
    ]
    if scene.left_out:
        words.append(f"{scene.left_out:,} ranks are not shown; choose which with Ranks")
    for one in scene.runs:
        left_out = one.run.accounting.left_out
        total = time_unit(left_out.total_ns).full(left_out.total_ns)
        if left_out.regions:
            words.append(
                f"{one.run.id}: {left_out.regions:,} of its shortest bubbles, {total} in all, are "
                "drawn but have no cause listed"
            )
    words.append("The rows of a rank: " + ", ".join(_row_names(scene)))
    words.append("Click on a bubble to see what it waited for, on a transfer to see both its ends")
    return [f"{text}. " for text in words]


def _row_names(scene: Scene) -> list[str]:
    return list(dict.fromkeys(_WORDS.get(row.name, row.name) for row in scene.rows.rows))


def _drawn_words(scene: Scene, drawn: list[Drawn]) -> str:
    inside = scene.count()
    own = sum(run.columns.drawn for run in drawn)
    text = f"{inside:,} pieces in view"
    if own >= inside:
        return f"{text}, each drawn"
    return f"{text}, {own:,} with pixels of their own, the others in a pixel with longer ones"
