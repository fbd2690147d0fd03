"""Schedules that nobody knows by name: taken from the order that a run kept, if it could run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.costs.profile import CostProfile
from dpprof.schedules.actions import Operation, parse_slot, slot_text
from dpprof.schedules.interleaved_1f1b import interleaved_slots
from dpprof.schedules.registry import make_schedule
from dpprof.schedules.schedule import Placement, Schedule
from dpprof.simulate.run import simulated_run
from dpprof.trace.load import load_run
from dpprof.trace.recognise.observed_schedule import AS_RUN

COSTS = CostProfile(name="test", operation_ns={"F": 100_000, "I": 110_000, "W": 70_000})
COUNTED = {"F": "forward_step", "B": "backward_step"}


def interleaved(pp: int, micro_batches: int, chunks: int) -> Schedule:
    stages = tuple(tuple(chunk * pp + rank for chunk in range(chunks)) for rank in range(pp))
    ranks = tuple(tuple(interleaved_slots(rank, pp, micro_batches, chunks)) for rank in range(pp))
    return Schedule(AS_RUN, micro_batches, Placement(stages, (0,) * chunks), ranks)


def one_direction(*ranks: str) -> Schedule:
    slots = tuple(tuple(map(parse_slot, order.split())) for order in ranks)
    stages = tuple((rank,) for rank in range(len(ranks)))
    return Schedule(
        AS_RUN,
        sum(slot[0].operation is Operation.FORWARD for slot in slots[0]),
        Placement(stages, (0,)),
        slots,
    )


EAGER = one_direction(
    "F0.0 F0.1 F0.2 I0.0 W0.0 F0.3 I0.1 I0.2 W0.1 W0.2 I0.3 W0.3",
    "F0.0 I0.0 F0.1 I0.1 W0.0 W0.1 F0.2 I0.2 F0.3 I0.3 W0.2 W0.3",
)


def torch_name(schedule: Schedule, rank: int, text: str) -> str:
    (action,) = parse_slot(text)
    return (
        f"PP:{schedule.stage(rank, action.direction)}{action.operation.value}{action.micro_batch}"
    )


def write(build, folder: Path, steps: list[Schedule], name_of=torch_name, early=(0, 0)) -> Path:
    """GPU traces of a simulated step after the other; rank 1 runs `early[1]` us too early."""
    runs = [simulated_run(schedule, COSTS) for schedule in steps]
    length = 2 * max(int(run.slots["end_ns"].max()) for run in runs) // 1000 + 100
    for rank in range(steps[0].pp):
        kernel, events = type(build.kernel)(), []
        for number, run in enumerate(runs):
            base = 100 + number * length
            slots = run.slots[run.slots["rank"] == rank].sort_values("start_ns")
            events.append(build.step(number, base - (early[1] if rank == 1 else 0), length - 1))
            for place, slot in enumerate(slots.itertuples()):
                shift = early[1] if rank == 1 else 0
                at, late = base + 0.1 * place - shift, base + 50 - shift
                begin, end = (late + ns // 1000 for ns in (slot.start_ns, slot.end_ns))
                events.append(build.annotation(name_of(steps[0], rank, slot.slot), at, 0.1))
                events.append(kernel("gemm", at + 0.05, begin, end - begin))
            events.append(
                kernel("ncclDevKernel_SendRecv", at + 0.07, base + length - 9, 1, stream=9)
            )
        info = {"rank": rank, "world_size": steps[0].pp}
        build.write(folder / f"rank{rank}.json", events, distributedInfo=info)
    return folder


def counted_name(schedule: Schedule, rank: int, text: str) -> str:
    return COUNTED[text[0]]


@pytest.mark.parametrize("schedule", [EAGER, interleaved(2, 4, 3)])
def test_an_order_of_its_own(build, tmp_path: Path, schedule: Schedule) -> None:
    run = load_run(write(build, tmp_path, [schedule, schedule]))
    assert run.schedule == schedule
    assert [tuple(one.stages) for one in run.places] == list(schedule.placement.stages)
    assert [one for one in run.warnings if "taken as it ran" in one]
    report = analyze(run)
    assert (report.schedule, report.pp) == (AS_RUN, 2)
    assert report.micro_batches == schedule.micro_batches
    simulated = simulated_run(schedule, COSTS)
    assert report.ideal.window_ns == 2 * int(simulated.slots["end_ns"].max())
    assert (report.ideal.closed_form_ns, report.ideal.steps) == (None, 2)


def test_known_orders_keep_their_names(build, tmp_path: Path) -> None:
    run = load_run(write(build, tmp_path, [make_schedule("zb1p", 3, 6)]))
    assert run.schedule == make_schedule("zb1p", 3, 6)
    assert not [one for one in run.warnings if "taken as it ran" in one]


def swapped(schedule: Schedule, rank: int, one: int, other: int) -> Schedule:
    slots = list(schedule.ranks[rank])
    slots[one], slots[other] = slots[other], slots[one]
    ranks = list(schedule.ranks)
    ranks[rank] = tuple(slots)
    return replace(schedule, ranks=tuple(ranks))


def test_no_schedule_where_steps_differ(build, tmp_path: Path) -> None:
    write(build, tmp_path, [EAGER, swapped(EAGER, 0, 8, 9)])
    assert load_run(tmp_path).schedule is None
    assert load_run(tmp_path, steps="0").schedule == EAGER
    assert load_run(tmp_path, steps="1").schedule == swapped(EAGER, 0, 8, 9)
    assert load_run(tmp_path / "rank0.json").schedule is None  # a rank alone is no pipeline


def test_no_schedule_where_a_slot_is_missing(build, tmp_path: Path) -> None:
    write(build, tmp_path, [EAGER, EAGER])
    file = tmp_path / "rank1.json"
    file.write_text(file.read_text().replace("PP:1W3", "nothing"))
    assert load_run(tmp_path).schedule is None


def test_no_schedule_where_time_contradicts_it(build, tmp_path: Path) -> None:
    """Rank 1 would be done before rank 0 has given it anything."""
    run = load_run(write(build, tmp_path, [EAGER, EAGER], early=(0, 1000)))
    assert run.schedule is None
    assert len(run.slots)


@pytest.mark.parametrize(("pp", "micro_batches", "chunks"), [(2, 4, 2), (4, 8, 2), (3, 6, 3)])
def test_megatrons_chunks(build, tmp_path: Path, pp: int, micro_batches: int, chunks: int) -> None:
    schedule = interleaved(pp, micro_batches, chunks)
    run = load_run(write(build, tmp_path, [schedule, schedule], counted_name))
    if chunks == 2:
        schedule = make_schedule("interleaved-1f1b", pp, micro_batches)
    assert run.schedule == schedule
    assert [tuple(one.stages) for one in run.places] == list(schedule.placement.stages)
    for rank, slots in enumerate(schedule.ranks):
        found = run.slots[(run.slots["rank"] == rank) & (run.slots["step"] == 0)]
        assert found["slot"].tolist() == list(map(slot_text, slots))
        events = run.events[(run.events["rank"] == rank) & (run.events["step"] == 0)]
        gemm = events[events["name"] == "gemm"]
        assert gemm["slot"].tolist() == list(map(slot_text, slots))
        assert gemm["direction"].tolist() == [slot[0].direction for slot in slots]
        assert gemm["micro_batch"].tolist() == [slot[0].micro_batch for slot in slots]
        assert gemm["stage"].tolist() == [schedule.stage(rank, s[0].direction) for s in slots]
    assert analyze(run).ideal is not None


def test_chunks_are_not_made_up(build, tmp_path: Path) -> None:
    """As many forwards ahead, but in another order: each micro-batch goes once over the ranks."""
    order = "F0.0 F0.1 F0.2 F0.3 F0.4 B0.0 F0.5 B0.1 F0.6 B0.2 F0.7 B0.3 B0.4 B0.5 B0.6 B0.7"
    first = "F0.0 F0.1 F0.2 F0.3 F0.4 F0.5 F0.6 B0.0 F0.7 B0.1 B0.2 B0.3 B0.4 B0.5 B0.6 B0.7"
    run = load_run(write(build, tmp_path, [one_direction(first, order)], counted_name))
    assert run.schedule.placement.stages == ((0,), (1,))
