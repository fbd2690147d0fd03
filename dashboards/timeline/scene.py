"""What is in the picture: which steps, ranks and lanes of which runs, in which pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dpprof.dashboards.data.library import Library, LibraryRun
from dpprof.dashboards.detail.index import LANES, Index, make_index, step_window
from dpprof.dashboards.detail.pixel_columns import Pixels
from dpprof.dashboards.parts.badge import run_name
from dpprof.dashboards.timeline.picture import MARGIN, NARROW_LEFT_PX, left_margin
from dpprof.dashboards.timeline.picture_model import Drawn
from dpprof.dashboards.timeline.picture_rows import (
    ROW_SIZES,
    LaneGroup,
    PictureRows,
    make_rows,
)
from dpprof.dashboards.timeline.rank_order import arranged
from dpprof.reporters.blocks.units import time_unit

MOST_RANKS = 128
"""Ranks of all runs together that one picture shows."""

LEAST_NS = 200
"""The shortest range that can be zoomed to."""


@dataclass(frozen=True)
class Wanted:
    """What to show: empty and None stand for all and for the first step.

    Rows are of one of `ROW_SIZES`, in a window with so much room for them; ranks stand together
    `by` one of `GROUPINGS`, those `pinned` first.
    """

    step: int | None = None
    ranks: Sequence[int] = ()
    time_range: tuple[int, int] | None = None
    lanes: str = LANES[0]
    width_px: int = 1280
    rows: str = ROW_SIZES[0]
    room_px: int = 0
    by: str = ""
    pinned: Sequence[int] = ()


@dataclass(frozen=True)
class SceneRun:
    """A run in the picture, the step of it that is shown, and its ranks that are."""

    run: LibraryRun
    step: int
    origin_ns: int
    window_ns: int
    ranks: tuple[int, ...]
    index: Index


@dataclass(frozen=True)
class Scene:
    """Everything in the picture; times are nanoseconds from the start of each run's step."""

    runs: tuple[SceneRun, ...]
    rows: PictureRows
    start_ns: int
    end_ns: int
    width_px: int
    left_out: int  # ranks that were asked for but are not shown

    @property
    def whole_ns(self) -> int:
        """The longest step among the runs."""
        return max((one.window_ns for one in self.runs), default=0)

    def run(self, id: str) -> SceneRun | None:
        """The run called `id`, None where it is not in the picture."""
        return next((one for one in self.runs if one.run.id == id), None)

    def drawn(self) -> list[Drawn]:
        """The runs with the pixels of their rows."""
        return [self._drawn(one) for one in self.runs]

    def _drawn(self, one: SceneRun) -> Drawn:
        own = [row for row in self.rows.rows if row.run == one.run.id]
        start, end = one.origin_ns + self.start_ns, one.origin_ns + self.end_ns
        pixels = Pixels(start, end, min(self.width_px, end - start))
        return Drawn(
            id=one.run.id,
            title=_title(one),
            index=one.index,
            rows=own,
            pixels=pixels,
            origin_ns=one.origin_ns,
            window_ns=one.window_ns,
        )

    def count(self) -> int:
        """How many pieces of the rows' lanes touch the range."""
        return sum(
            one.index.count(
                (row.lane for row in self.rows.rows if row.run == one.run.id),
                one.origin_ns + self.start_ns,
                one.origin_ns + self.end_ns,
            )
            for one in self.runs
        )


def make_scene(library: Library, runs: Sequence[LibraryRun], wanted: Wanted) -> Scene:
    """The scene of runs stacked on a common time axis; those without a step are left out.

    A run that has no step of the wanted number shows the one at the same place in its order.
    """
    stepped = [run for run in runs if run.report.per_step]
    steps = [one.step for one in stepped[0].report.per_step] if stepped else []
    place = steps.index(wanted.step) if wanted.step in steps else 0
    most = max(1, MOST_RANKS // max(1, len(stepped)))
    found = [_scene_run(library, run, (wanted, place, most)) for run in stepped]
    groups = [group for one in found for group in _lane_groups(one, wanted)]
    whole = max((one.window_ns for one in found), default=0)
    start, end = _range(wanted.time_range, whole)
    asked = sum(len(_asked(run, wanted)) for run in stepped)
    shown = sum(len(one.ranks) for one in found)
    rows = make_rows(groups, wanted.rows, wanted.room_px)
    return Scene(tuple(found), rows, start, end, wanted.width_px, asked - shown)


def _scene_run(library: Library, run: LibraryRun, at: tuple[Wanted, int, int]) -> SceneRun:
    wanted, place, most = at
    steps = [one.step for one in run.report.per_step]
    step = wanted.step if wanted.step in steps else steps[min(place, len(steps) - 1)]
    assert step is not None
    start, end = step_window(run, step)
    return SceneRun(
        run,
        step,
        start,
        end - start,
        _asked(run, wanted)[:most],
        index_of(library, run, wanted.lanes),
    )


def index_of(library: Library, run: LibraryRun, lanes: str = LANES[0]) -> Index:
    """The index of a run, made once."""

    def tell(done: int, of: int) -> None:
        library.tell(f"picture of {run.id}, ranks", done, of)

    return library.kept(("index", run.id, lanes), lambda: make_index(run, lanes, tell))


def _asked(run: LibraryRun, wanted: Wanted) -> tuple[int, ...]:
    present = sorted(place.rank for place in run.run.places)
    return tuple(rank for rank in present if not wanted.ranks or rank in wanted.ranks)


def _lane_groups(one: SceneRun, wanted: Wanted) -> list[LaneGroup]:
    """The lanes of the ranks that are shown, in the order in which they are drawn."""
    lanes: dict[int, list[tuple[int, str]]] = {rank: [] for rank in one.ranks}
    for lane in one.index.of(one.step, one.ranks):
        key = one.index.lanes[lane]
        lanes[key.rank].append((lane, key.name))
    groups = arranged(one.run.run.places, wanted.by, wanted.pinned)
    return [
        LaneGroup(one.run.id, rank, lanes[rank], label)
        for label, ranks in groups.items()
        for rank in ranks
        if rank in lanes
    ]


def _range(wanted: tuple[int, int] | None, whole: int) -> tuple[int, int]:
    """The range that is shown: within the step, and not too short to be drawn."""
    if wanted is None or wanted[0] >= whole:
        return 0, max(whole, LEAST_NS)
    start, end = wanted[0], min(wanted[1], whole)
    if end - start < LEAST_NS:
        start = max(0, (start + end - LEAST_NS) // 2)
        end = start + LEAST_NS
    return start, end


def _title(one: SceneRun) -> str:
    """``dualpipe, EMULATED, step 3: 4008.15 ms``; of a measured run nothing is shouted."""
    source = "" if one.run.source == "captured" else f"  {one.run.source.upper()}"
    length = time_unit(one.window_ns).full(one.window_ns)
    several = f", step {one.step}" if len(one.run.report.per_step) > 1 else ""
    return f"<b>{run_name(one.run.id)}</b>{source}{several}, {length}"


def plot_width(screen_px: int) -> int:
    """The pixels of the picture in a window so wide."""
    room = min(screen_px, 8000) - MARGIN["r"] - _AROUND_PX
    wide = room - MARGIN["l"]
    return max(200, wide if left_margin(wide) == MARGIN["l"] else room - NARROW_LEFT_PX)


_AROUND_PX = 32 + 30  # what the page has to the left and right of the figure
