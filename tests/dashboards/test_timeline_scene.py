"""The picture of hand-made runs: what is in it, what is at a point of it, where it leads."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dpprof.dashboards.data.library import Library
from dpprof.dashboards.detail.names import CODES, NAMES
from dpprof.dashboards.timeline.arrows import ends_of, messages_in, selected_of
from dpprof.dashboards.timeline.hit_test import hit_at, hit_of, longest_bubble, neighbour
from dpprof.dashboards.timeline.picture import MARGIN, NARROW_LEFT_PX
from dpprof.dashboards.timeline.picture_labels import piece_label, short_label
from dpprof.dashboards.timeline.picture_model import strips
from dpprof.dashboards.timeline.scene import MOST_RANKS, Wanted, make_scene
from dpprof.dashboards.timeline.tooltips import facts_of, title_of
from dpprof.dashboards.timeline.view import picture
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.view.state import Selection, ViewState
from dpprof.dashboards.view.theme import LIGHT
from dpprof.runs.manifest import RankPlace
from dpprof.runs.run import Run
from dpprof.tables.columns import EVENTS, SLOTS, make_table

T0 = 1_700_000_000_000_000_000  # as in captured traces: too large for floats
COLUMNS = [
    "rank",
    "lane",
    "start_ns",
    "end_ns",
    "kind",
    "name",
    "ready_ns",
    "group",
    "peer",
    "sequence",
]
EVENT_ROWS = [
    (0, "stream 7", 0, 1000, "compute", "gemm", -1, "", -1, -1),
    (0, "stream 9", 1000, 1100, "p2p", "send", 1000, "0>1", 1, 0),
    (1, "stream 9", 0, 1200, "p2p", "recv", 1000, "0>1", 0, 0),
    (1, "stream 7", 1200, 2000, "compute", "gemm", -1, "", -1, -1),
    (0, "stream 7", 1500, 1600, "compute", "norm", -1, "", -1, -1),
]  # fmt: skip


def make_run(name="run", step=3, rows=EVENT_ROWS, slots=True):
    table = dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    starts = [T0 + start for start in table["start_ns"]]
    ends = [T0 + end for end in table["end_ns"]]
    ready = [T0 + at if at >= 0 else -1 for at in table["ready_ns"]]
    table |= {"start_ns": starts, "end_ns": ends, "ready_ns": ready, "step": step}
    done = {"rank": [0, 1], "step": step, "start_ns": [T0, T0 + 1200]}
    done |= {"end_ns": [T0 + 1000, T0 + 2000], "slot": ["F0.0", "F0.0"], "operation": "F"}
    return Run(
        name=name,
        source="emulated",
        events=make_table(EVENTS, table),
        places=tuple(RankPlace(rank=rank, pp_rank=rank) for rank in {row[0] for row in rows}),
        slots=make_table(SLOTS, done) if slots else None,
        used_steps=(step,),
    )


@pytest.fixture
def library():
    return Library.of_runs([make_run()])


@pytest.fixture
def scene(library):
    return make_scene(library, [library.get("run")], Wanted(width_px=200))


def at(scene, rank, name):
    return next(row for row in scene.rows.rows if (row.rank, row.name) == (rank, name)).middle


def test_the_rows_are_those_of_the_ranks(scene):
    assert [(row.rank, row.name) for row in scene.rows.rows] == [
        (0, "slots"), (0, "compute"), (0, "p2p"), (0, "bubbles"),
        (1, "slots"), (1, "compute"), (1, "p2p"), (1, "bubbles"),
    ]  # fmt: skip
    assert (scene.start_ns, scene.end_ns, scene.whole_ns) == (0, 2000, 2000)


def test_streams_have_rows_of_their_own(library):
    scene = make_scene(library, [library.get("run")], Wanted(lanes="streams"))
    names = [row.name for row in scene.rows.rows if row.rank == 0]
    assert names == ["slots", "stream 7", "stream 9", "bubbles"]


def test_what_is_painted_is_what_the_tables_say(scene):
    (run,) = scene.drawn()
    rows = {(row.rank, row.name): number for number, row in enumerate(run.rows)}
    painted = strips(run, "kind")

    def shown(rank, name):
        strip = painted[rows[rank, name]]
        names = np.array(NAMES)[np.where(strip.pieces >= 0, strip.codes, 0)]
        changes = np.flatnonzero(np.append(True, names[1:] != names[:-1]))
        return [(int(first) * 10, str(names[first])) for first in changes]

    assert shown(0, "compute") == [(0, "compute"), (1000, ""), (1500, "compute"), (1600, "")]
    assert shown(0, "p2p") == [(0, ""), (1000, "p2p"), (1100, "")]
    assert shown(1, "p2p") == [(0, "wait"), (1000, "p2p"), (1200, "")]
    assert shown(1, "bubbles") == [(0, "bubble.warmup"), (1000, "")]
    assert shown(1, "slots") == [(0, ""), (1200, "F")]


def test_a_bubble_shorter_than_a_pixel_still_shows():
    rows = [
        (0, "stream 7", 0, 500_000, "compute", "a", -1, "", -1, -1),
        (0, "stream 7", 500_010, 1_000_000, "compute", "b", -1, "", -1, -1),
    ]
    library = Library.of_runs([make_run(rows=rows, slots=False)])
    scene = make_scene(library, [library.get("run")], Wanted(width_px=100))
    (run,) = scene.drawn()
    (number,) = [i for i, row in enumerate(run.rows) if row.name == "bubbles"]
    strip = strips(run, "kind")[number]
    assert np.flatnonzero(strip.pieces >= 0).tolist() == [50]
    assert strip.codes[50] in {CODES[name] for name in NAMES if name.startswith("bubble.")}
    assert run.columns.busy_ns[number, 50] == 10


def test_bubbles_that_are_not_listed_are_drawn(monkeypatch):
    from dpprof.analysis.accounting import account as accounting

    monkeypatch.setattr(accounting, "MOST_REGIONS", 2)
    library = Library.of_runs([make_run()])
    run = library.get("run")
    left_out = run.accounting.left_out
    assert left_out.regions > 0
    scene = make_scene(library, [run], Wanted(width_px=2000))
    (drawn,) = scene.drawn()
    strips_of = strips(drawn, "kind")
    pixels = sum(
        int(((strip.codes == CODES["bubble.unlisted"]) & (strip.pieces >= 0)).sum())
        for row, strip in zip(drawn.rows, strips_of, strict=True)
        if row.name == "bubbles"
    )
    assert pixels == left_out.total_ns  # a pixel is a nanosecond here


def test_the_figure_has_axes_labels_and_the_picture(scene, library):
    view = ViewState(runs=("run",))
    width = 200 + NARROW_LEFT_PX + MARGIN["r"] + 62  # and the frame of the page
    figure, _, _ = picture(Context(library, view, LIGHT), {"width": width})
    assert tuple(figure.layout.xaxis.range) == (0, 0.002)
    assert tuple(figure.layout.yaxis.range) == (scene.rows.height, 0)
    assert figure.layout.width - 200 == figure.layout.margin.l + figure.layout.margin.r
    (image,) = figure.layout.images
    assert image.source.startswith("data:image/png;base64,")
    assert (image.x, image.sizex) == (0, 0.002)
    labels = list(zip(figure.data[0].x, figure.data[0].y, figure.data[0].text, strict=True))
    assert labels == [
        (0.0005, at(scene, 0, "slots"), "F0.0"),
        (0.0005, at(scene, 0, "compute"), "gemm"),
        (0.0016, at(scene, 1, "slots"), "F0.0"),
        (0.0016, at(scene, 1, "compute"), "gemm"),
    ]
    assert figure.layout.annotations[0].text.startswith("<b>run</b>  EMULATED")
    assert figure.layout.meta == {"start_ns": 0, "span_ns": 2000, "whole_ns": 2000}
    assert not figure.layout.xaxis.showgrid
    (end,) = figure.layout.shapes
    assert (end.y0, end.y1) == (scene.rows.rows[0].top, scene.rows.rows[-1].bottom)


def test_a_zoom_shows_its_range_alone(library):
    scene = make_scene(library, [library.get("run")], Wanted(time_range=(900, 1300), width_px=100))
    (run,) = scene.drawn()
    assert run.columns.pixels == (T0 + 900, T0 + 1300, 100)
    assert scene.count() == 9


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        (None, (0, 2000)),
        ((5000, 6000), (0, 2000)),
        ((500, 9000), (500, 2000)),
        ((700, 701), (600, 800)),
    ],
)
def test_ranges_are_put_within_the_step(library, wanted, shown):
    scene = make_scene(library, [library.get("run")], Wanted(time_range=wanted))
    assert (scene.start_ns, scene.end_ns) == shown
    assert scene.drawn()[0].columns.pixels.number == min(1280, shown[1] - shown[0])


def test_runs_are_stacked_from_the_start_of_their_steps():
    later = [(r, lane, s + 700, e + 700, *rest) for r, lane, s, e, *rest in EVENT_ROWS]
    library = Library.of_runs(
        [make_run("a", step=3), make_run("b", step=8, rows=later, slots=False)]
    )
    runs = [library.get(id) for id in library.ids]
    scene = make_scene(library, runs, Wanted(step=3, ranks=[1]))
    assert [(one.step, one.origin_ns - T0, one.ranks) for one in scene.runs] == [
        (3, 0, (1,)),
        (8, 700, (1,)),
    ]
    assert {(row.run, row.rank) for row in scene.rows.rows} == {("a", 1), ("b", 1)}


def test_more_ranks_than_a_picture_takes_are_left_out_and_counted():
    rows = [(r, "s", 0, 10, "compute", "k", -1, "", -1, -1) for r in range(MOST_RANKS + 5)]
    library = Library.of_runs([make_run(rows=rows, slots=False)])
    scene = make_scene(library, [library.get("run")], Wanted())
    assert (len(scene.runs[0].ranks), scene.left_out) == (MOST_RANKS, 5)


def test_a_point_leads_to_what_is_drawn_there(library, scene):
    hit = hit_at(library, scene, 500, at(scene, 0, "compute"), 0)
    assert (hit.what, hit.rank, hit.start_ns, hit.end_ns, title_of(hit)) == (
        "event",
        0,
        0,
        1000,
        "gemm",
    )
    slot = hit_at(library, scene, 1500, at(scene, 1, "slots"), 0)
    assert (slot.what, title_of(slot)) == ("slot", "slot F0.0")
    near = hit_at(library, scene, 1110, at(scene, 0, "p2p"), 20)
    assert title_of(near) == "send"
    assert hit_at(library, scene, 500, 0, 0) is None


def test_white_space_leads_to_its_bubble(library, scene):
    hit = hit_at(library, scene, 1300, at(scene, 0, "compute"), 0)
    assert (hit.what, hit.start_ns, hit.end_ns) == ("bubble", 1100, 1500)
    assert facts_of(hit)["rank"] == "0"
    assert facts_of(hit)["length"] == "400.00 ns"


def test_the_url_leads_back_to_what_is_selected(library, scene):
    for x, y in (
        (500, at(scene, 0, "compute")),
        (1300, at(scene, 0, "bubbles")),
        (1050, at(scene, 1, "p2p")),
    ):
        hit = hit_at(library, scene, x, y, 0)
        again = hit_of(library, scene, hit.selection)
        assert (again.what, again.start_ns, again.end_ns) == (hit.what, hit.start_ns, hit.end_ns)
        pd.testing.assert_series_equal(pd.Series(again.values), pd.Series(hit.values))
    assert hit_of(library, scene, Selection("event", "run", 0, 17)) is None
    assert hit_of(library, scene, Selection("event", "other", 0, 0)) is None
    assert hit_of(library, scene, Selection("event", "run", 9, 0)) is None
    assert hit_of(library, scene, None) is None


def test_a_bubble_leads_to_what_it_waited_for(library, scene):
    hit = hit_at(library, scene, 500, at(scene, 1, "bubbles"), 0)
    assert (hit.start_ns, hit.end_ns) == (0, 1000)
    (end,) = ends_of(hit)
    assert (end.what, end.rank, end.name, end.start_ns, end.source) == (
        "event",
        0,
        "p2p",
        1000,
        True,
    )
    selected = selected_of(scene, hit, [end])
    (arrow,) = selected.arrows
    assert arrow.target[0] == 1000
    assert (arrow.source[1].rank, arrow.target[1].rank) == (0, 1)


@pytest.mark.parametrize(("rank", "x"), [(0, 1050), (1, 1100)])
def test_a_transfer_shows_both_its_ends(library, scene, rank, x):
    hit = hit_at(library, scene, x, at(scene, rank, "p2p"), 0)
    (end,) = ends_of(hit)
    assert (end.rank, end.source) == (1 - rank, rank == 1)
    selected = selected_of(scene, hit, [end])
    (arrow,) = selected.arrows
    assert [(time, row.rank, row.name) for time, row in (arrow.source, arrow.target)] == [
        (1000, 0, "p2p"),
        (1200, 1, "p2p"),
    ]
    assert {(mark.row.rank, mark.start_ns, mark.end_ns) for mark in selected.marks} == {
        (0, 1000, 1100),
        (1, 0, 1200),
    }


def test_waiting_and_transfer_are_told_apart(library, scene):
    facts = facts_of(hit_at(library, scene, 500, at(scene, 1, "p2p"), 0))
    assert (facts["waiting"], facts["transfer"], facts["peer rank"]) == (
        "1000.00 ns",
        "200.00 ns",
        "0",
    )


def test_a_transfer_goes_before_what_only_waits():
    rows = [
        (1, "a", 0, 1200, "p2p", "posted early", 1000, "0>1", 0, 0),
        (1, "b", 600, 700, "p2p", "transfers", 600, "1>0", 0, 0),
        (0, "a", 0, 10, "compute", "k", -1, "", -1, -1),
    ]
    library = Library.of_runs([make_run(rows=rows, slots=False)])
    scene = make_scene(library, [library.get("run")], Wanted())
    y = at(scene, 1, "p2p")
    found = [title_of(hit_at(library, scene, x, y, 10)) for x in (300, 595, 650, 705, 800, 1100)]
    assert found == ["posted early", *["transfers"] * 3, *["posted early"] * 2]


def test_next_and_previous_stay_in_their_lane(library, scene):
    first = hit_at(library, scene, 500, at(scene, 0, "compute"), 0)
    second = neighbour(library, first, 1)
    assert title_of(second) == "norm"
    assert neighbour(library, second, 1) is None
    assert title_of(neighbour(library, second, -1)) == "gemm"
    assert neighbour(library, first, -1) is None


def test_the_longest_bubble_in_view(library, scene):
    hit = longest_bubble(library, scene)
    assert (hit.rank, hit.start_ns, hit.end_ns) == (1, 0, 1000)
    later = make_scene(library, [library.get("run")], Wanted(time_range=(1050, 1550)))
    assert longest_bubble(library, later).start_ns == 1100
    busy = make_scene(library, [library.get("run")], Wanted(ranks=[1], time_range=(1200, 2000)))
    assert longest_bubble(library, busy) is None


@pytest.mark.parametrize(
    ("slot", "room", "label"),
    [
        ("F0.3&B1.2", 80, "F0.3&B1.2"),
        ("F0.3&B1.2", 40, "3&2'"),
        ("F0.3&B1.2", 20, ""),
        ("F1.0", 15, "0'"),
        ("F1.0", 9, ""),
        ("F3.0", 22, "3.0"),
        ("F0.0", 20, "0"),
        ("F0.3&B1.2", 15, ""),
        ("W0.12", 50, "W0.12"),
        ("W0.12", 20, "12"),
        ("W0.12", 9, ""),
        ("F", 100, "F"),
    ],
)
def test_labels_are_as_long_as_there_is_room(slot, room, label):
    assert short_label(slot, room) == label


@pytest.mark.parametrize(
    ("name", "component", "room", "label"),
    [
        ("void at::native::norm_kernel<float>(int)", "attention", 200, "norm_kernel"),
        ("mlp(W)", "mlp", 60, "mlp(W)"),
        ("a_kernel_with_a_long_name", "attention", 60, "attention"),
        ("a_kernel_with_a_long_name", "attention", 45, "compute"),
        ("a_kernel_with_a_long_name", "attention", 38, "a_ker\N{HORIZONTAL ELLIPSIS}"),
        ("a_kernel_with_a_long_name", "attention", 26, ""),
        ("", "", 200, ""),
    ],
)
def test_pieces_say_what_fits_of_name_component_and_kind(name, component, room, label):
    assert piece_label(name, component, "compute", room) == label


def test_all_messages_are_arrows_on_request(library, scene):
    (message,) = messages_in(library, scene)
    assert [(time, row.rank) for time, row in (message.source, message.target)] == [
        (1000, 0),
        (1200, 1),
    ]
    later = make_scene(library, [library.get("run")], Wanted(time_range=(1300, 2000)))
    assert messages_in(library, later) == []


def test_no_activity_is_no_picture():
    empty = Run(name="empty", source="captured", places=(RankPlace(rank=0, pp_rank=0),))
    library = Library.of_runs([empty])
    scene = make_scene(library, [library.get("empty")], Wanted())
    assert (scene.runs, scene.rows.rows, scene.drawn()) == ((), (), [])
