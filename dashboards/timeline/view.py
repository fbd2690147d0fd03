"""From a view to its picture: figure, legend, and how much of the data is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dpprof.dashboards.detail.index import LANES, P2P_LANE, SLOTS
from dpprof.dashboards.timeline.area import frames_of
from dpprof.dashboards.timeline.arrows import ends_of, messages_in, selected_of
from dpprof.dashboards.timeline.find import matches
from dpprof.dashboards.timeline.hit_test import hit_of
from dpprof.dashboards.timeline.legend import legend, names_in
from dpprof.dashboards.timeline.picture import MARGIN, left_margin, pointed_out, timeline_figure
from dpprof.dashboards.timeline.picture_model import Drawn, PictureLook, Selected, strips
from dpprof.dashboards.timeline.picture_rows import LABEL_PX, ROW_SIZES
from dpprof.dashboards.timeline.scene import Scene, Wanted, make_scene, plot_width
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.view.ranges import ranges_text, read_ranges
from dpprof.reporters.blocks.units import share_text, time_unit

if TYPE_CHECKING:
    import plotly.graph_objects as go

_DEFAULT_PX = 1280
_MOST_PX = 8000
_MOST_RANK = 65_536
_ABOVE_PX = 262  # header, tools, legend and axis above the rows, the readout beneath
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
        rows=context.option("rows", ROW_SIZES[0]),
        room_px=max(0, screen_side(screen, "height", 0) - _ABOVE_PX),
        by=context.option("by"),
        pinned=pinned_of(context),
    )
    return make_scene(context.library, context.runs, wanted)


def pinned_of(context: Context) -> tuple[int, ...]:
    """The ranks that are pinned above the others; none where the address is wrong."""
    try:
        return read_ranges(context.option("pin"), _MOST_RANK)
    except ValueError:
        return ()


def screen_width(screen: Mapping[str, Any]) -> int:
    """The width of the window, whatever a browser says it is."""
    return screen_side(screen, "width", _DEFAULT_PX)


def screen_side(screen: Mapping[str, Any], name: str, default: int) -> int:
    """The width or height of the window; the default where that makes no sense."""
    side = screen.get(name)
    return side if isinstance(side, int) and 0 < side <= _MOST_PX else default


def picture(
    context: Context, screen: Mapping[str, Any], *, with_axis: bool = True
) -> tuple[go.Figure, Any, Any]:
    """Figure, legend, and what is said beneath; `with_axis`: where the page draws none itself."""
    scene = scene_of(context, screen)
    drawn = scene.drawn()
    look = PictureLook(context.theme, context.view.color, with_axis)
    painted = [strip for run in drawn for strip in strips(run, look.coloring)]
    selected = selected_in(context, scene)
    figure = timeline_figure(drawn, scene.rows, painted, look, selected)
    left = left_margin(scene.width_px)
    figure.update_layout(width=scene.width_px + left + MARGIN["r"], margin={"l": left})
    figure.update_layout(meta=figure.layout.meta | _meta(context, scene, selected))
    names = legend(names_in(painted), look.theme)
    return figure, names, readout(scene, drawn, context)


def pointing(context: Context, screen: Mapping[str, Any]) -> dict[str, Any]:
    """What of the figure's layout changes where only what is pointed out does; nothing painted."""
    scene = scene_of(context, screen)
    drawn, selected = scene.drawn(), selected_in(context, scene)
    parts = pointed_out(drawn, scene.rows, selected, context.theme)
    span = {"start_ns": scene.start_ns, "span_ns": scene.end_ns - scene.start_ns}
    meta = span | {"whole_ns": scene.whole_ns} | _meta(context, scene, selected)
    return parts | {"meta": meta}


def _meta(context: Context, scene: Scene, selected: Selected) -> dict[str, Any]:
    """What the browser needs to know: where to scroll to, and what was found."""
    shown = selected.marks or selected.frames
    place = {"selected": _place(context, selected)} if shown else {}
    if not context.view.find:
        return place
    found = matches(context.library, scene, context.view.find)
    marks = found.columns(scene.whole_ns, scene.width_px)
    return place | {"found": {"marks": marks, "of": scene.width_px}}


def found_words(context: Context, screen: Mapping[str, Any]) -> str:
    """``3 of 17``: which of the matches of a search is selected; empty where none is asked for."""
    if not context.view.find:
        return ""
    scene = scene_of(context, screen)
    found = matches(context.library, scene, context.view.find)
    place = found.place(context.library, scene, context.view.select)
    if not len(found):
        return "nothing found"
    return f"{place + 1:,} of {len(found):,}" if place >= 0 else f"{len(found):,} found"


def selected_in(context: Context, scene: Scene) -> Selected:
    """What a view points out: its selection with both ends, its area, messages where asked for."""
    hit = hit_of(context.library, scene, context.view.select)
    selected = selected_of(scene, hit, ends_of(hit))
    messages = messages_in(context.library, scene) if context.option("messages") else []
    return replace(selected, frames=frames_of(scene, context.view.area), messages=messages)


def _place(context: Context, selected: Selected) -> dict[str, Any]:
    """Where the selection is, and its other ends, or the area; in pixels from the top."""
    view = context.view
    rows = [mark.row for mark in selected.marks] or selected.frames
    return {
        "select": str(view.select if selected.marks else view.area),
        "top": rows[0].top,
        "bottom": rows[0].bottom,
        "first": min(row.top for row in rows),
        "last": max(row.bottom for row in rows),
    }


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
    if any(row.bottom - row.top < LABEL_PX for row in scene.rows.rows if row.name == SLOTS):
        words.append("The rows are too low for names; choose higher ones with Rows")
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
