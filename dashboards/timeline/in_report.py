"""The timeline of a report in one file: it zooms, pans and says what things are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from dpprof.dashboards.detail.index import BUBBLES, SLOTS
from dpprof.dashboards.timeline.picture_model import NS_PER_MS
from dpprof.dashboards.timeline.picture_rows import LABEL_PX
from dpprof.dashboards.timeline.scene import Scene, SceneRun
from dpprof.dashboards.timeline.view import picture, scene_of
from dpprof.dashboards.view.page import Context
from dpprof.reporters.blocks.units import time_unit
from dpprof.reporters.report.sentences import region_words
from dpprof.tables.columns import END, RANK, SLOT, START, STEP

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_FINE_PX = 7600
"""Columns of the picture: what can be zoomed to before its pixels show."""

_MOST_BARS = 4000
_TEXT_PX = 8
_CLEAR = "rgba(0,0,0,0)"
_INK = "#10151B"  # on the colours of operations, light or dark


def report_timeline(context: Context) -> tuple[Figure, Any, Any]:
    """Figure, legend, and what is said beneath.

    The picture is finer than the page. Over it lie bars that cannot be seen, of slots and of the
    longest bubbles: they say what they are where one points, and slots their names where a zoom
    gives them room.
    """
    screen = {"width": _FINE_PX}
    figure, legend, readout = picture(context, screen)
    scene = scene_of(context, screen)
    figure.data = []
    for trace in (_slots(scene), _bubbles(scene)):
        figure.add_bar(**trace)
    figure.update_layout(
        width=None,
        barmode="overlay",
        hovermode="closest",
        dragmode="zoom",
        uniformtext={"mode": "hide", "minsize": 9},
    )
    figure.update_xaxes(fixedrange=False)
    figure.update_yaxes(fixedrange=True)
    return figure, legend, readout


def _slots(scene: Scene) -> dict[str, Any]:
    found = [one for run in scene.runs for one in _slots_of(scene, run)][:_MOST_BARS]
    texts = [text if height >= LABEL_PX else "" for *_, height, text, _ in found]
    look = {
        "text": texts,
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "textfont": {"color": _INK, "size": 10},
        "constraintext": "both",
    }
    high = [one[3] + _TEXT_PX for one in found]  # plotly wants so much room around a text
    return _bars("slots", found) | look | {"width": high}


_Bar = tuple[float, float, float, float, str, str]
"""From, length, middle of its row, height of its row, name, what it says."""


def _slots_of(scene: Scene, run: SceneRun) -> Iterator[_Bar]:
    slots = run.run.run.slots
    own = slots[(slots[STEP] == run.step) & slots[RANK].isin(run.ranks)]
    for rank, begin, end, name in zip(*_columns(own), strict=True):
        row = scene.rows.find(run.run.id, rank, SLOTS)
        if row is not None and row.name == SLOTS:
            at, length = begin - run.origin_ns, end - begin
            words = f"{run.run.id}, rank {rank}: {name}, {time_unit(length).full(length)}"
            yield (
                at / NS_PER_MS,
                length / NS_PER_MS,
                row.middle,
                row.bottom - row.top,
                str(name),
                words,
            )


def _columns(table: pd.DataFrame) -> list[list[Any]]:
    return [table[name].tolist() for name in (RANK, START, END, SLOT)]


def _bubbles(scene: Scene) -> dict[str, Any]:
    found = [one for run in scene.runs for one in _bubbles_of(scene, run)]
    longest = sorted(found, key=lambda one: -one[1])[:_MOST_BARS]
    return _bars("bubbles", longest)


def _bubbles_of(scene: Scene, run: SceneRun) -> Iterator[_Bar]:
    unit = time_unit(run.window_ns)
    for region in run.run.report.regions:
        row = scene.rows.find(run.run.id, region.rank, BUBBLES)
        if region.step == run.step and row is not None and row.name == BUBBLES:
            words = region_words(region, unit, with_step=False)
            yield (
                region.offset_ns / NS_PER_MS,
                region.length_ns / NS_PER_MS,
                row.middle,
                row.bottom - row.top,
                "",
                f"{run.run.id}: {words}",
            )


def _bars(name: str, bars: list[_Bar]) -> dict[str, Any]:
    return {
        "name": name,
        "orientation": "h",
        "base": [one[0] for one in bars],
        "x": [one[1] for one in bars],
        "y": [one[2] for one in bars],
        "width": [one[3] for one in bars],
        "customdata": [one[5] for one in bars],
        "hovertemplate": "%{customdata}<extra></extra>",
        "marker": {"color": _CLEAR, "line": {"width": 0}},
    }
