"""Rows as other writers have them: begun and ended apart, broken, of call stacks, of Paddle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.trace.read import parse
from dpprof.trace.read.columns import Category, TraceColumns
from dpprof.trace.read.engines import has_compiled
from dpprof.trace.read.parse import parse_trace

FILE = Path("rank0.json")
ENGINES = [True, False] if has_compiled() else [False]


def read(data: bytes, compiled: bool) -> TraceColumns:
    with pytest.MonkeyPatch.context() as patch:
        if not compiled:
            patch.setattr(parse, "has_compiled", lambda: False)
        return parse_trace(data, FILE)


def rows(trace: TraceColumns) -> list[tuple[str, int, int]]:
    names = [trace.names[code] for code in trace.name]
    return sorted(zip(names, trace.start_ns.tolist(), trace.end_ns.tolist(), strict=True))


def document(events: list[Any]) -> bytes:
    return json.dumps({"traceEvents": events}).encode()


def half(phase: str, ts: int, tid: int = 7, **more: Any) -> dict[str, Any]:
    return {"ph": phase, "pid": 0, "tid": tid, "ts": ts, **more}


@st.composite
def nested_spans(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[tuple[str, int, int]]]:
    """Properly nested spans of several threads, some of a category that is not read, and truth."""
    events, truth = [], []
    for tid in range(draw(st.integers(1, 3))):
        clock, open_spans = 0, []
        for number in range(draw(st.integers(1, 12))):
            clock += draw(st.integers(1, 5))
            if open_spans and draw(st.booleans()):
                name, start, category = open_spans.pop()
                more = {"name": name} if draw(st.booleans()) else {}
                events.append(half("E", clock, tid, **more))
                truth += [(name, start * 1000, clock * 1000)] if category == "kernel" else []
            else:
                span = (f"{tid}.{number}", clock, draw(st.sampled_from(["kernel", "other"])))
                open_spans.append(span)
                args = {"stream": tid, "device": 0}
                events.append(half("B", clock, tid, name=span[0], cat=span[2], args=args))
    return events, sorted(truth)


@pytest.mark.parametrize("compiled", ENGINES)
@given(nested_spans())
@settings(deadline=None)
def test_beginnings_and_ends_are_spans(compiled: bool, case: tuple[Any, Any]) -> None:
    events, truth = case
    assert rows(read(document(events), compiled)) == truth


@pytest.mark.parametrize("compiled", ENGINES)
def test_halves_without_another_are_counted(compiled: bool) -> None:
    events = [
        half("B", 1, name="a", cat="kernel"),
        half("B", 2, name="lost", cat="kernel"),
        half("E", 3, name="a"),
        half("E", 4, name="late", cat="kernel"),
    ]
    trace = read(document(events), compiled)
    assert rows(trace) == [("a", 1000, 3000)]
    assert "1 begin and do not end and 1 end and did not begin" in trace.damage[0]


BAD = st.sampled_from(['b"c', 'q"', "d\\", 'x" "y'])


@pytest.mark.parametrize("compiled", ENGINES)
@pytest.mark.parametrize("form", ['{"traceEvents": [\n%s\n], "z": 1}', "[%s]"])
@given(st.lists(st.one_of(st.just("good"), BAD), min_size=1, max_size=9))
@settings(deadline=None)
def test_a_bad_name_loses_its_own_row_only(compiled: bool, form: str, names: list[str]) -> None:
    row = '{"ph":"X","cat":"kernel","name":"%s","pid":0,"tid":7,"ts":%d,"dur":1}'
    data = form % ",\n".join(row % (name, number) for number, name in enumerate(names))
    trace = read(data.encode(), compiled)
    good = [number * 1000 for number, name in enumerate(names) if name == "good"]
    assert [start for _, start, _ in rows(trace)] == good
    said = any(f"{len(names) - len(good)} in all" in one for one in trace.damage)
    assert said == (len(good) < len(names))


@pytest.mark.parametrize("compiled", ENGINES)
def test_a_second_document_is_named(compiled: bool) -> None:
    one = document([half("X", 1, name="a", cat="kernel", dur=2)])
    trace = read(one + b"\n" + one, compiled)
    assert rows(trace) == [("a", 1000, 3000)]
    assert f"a second document begins at byte {len(one) + 1}" in trace.damage[0]


@pytest.mark.parametrize("compiled", ENGINES)
def test_call_stacks_give_the_calls_of_the_schedule(compiled: bool) -> None:
    names = [
        "megatron/core/pipeline_parallel/schedules.py(302): forward_step",
        "megatron/core/pipeline_parallel/schedules.py(419): backward_step",
        "pretrain_gpt.py(160): forward_step",
        "megatron/core/pipeline_parallel/schedules.py(500): forward_backward_no_pipelining",
    ]
    spans = [half("X", 1, name=name, cat="python_function", dur=2) for name in names]
    trace = read(document(spans), compiled)
    assert [trace.names[code] for code in trace.name] == names[:2]
    assert set(trace.category.tolist()) == {Category.ANNOTATION}


@pytest.mark.parametrize("compiled", ENGINES)
def test_rows_of_paddle_have_their_launch(compiled: bool) -> None:
    events = [
        half("X", 1, name="ProfileStep#3[9.1 ms]", cat="ProfileStep", dur=9),
        half("X", 2, name="cudaLaunchKernel", cat="CudaRuntime", dur=1, args={"correlation id": 5}),
        half("X", 3, name="gemm", cat="Kernel", dur=1, args={"correlation id": 5, "stream": 7}),
    ]
    trace = read(document(events), compiled)
    assert trace.correlation.tolist() == [-1, 5, 5]
    assert trace.category.tolist() == [Category.ANNOTATION, Category.LAUNCH, Category.KERNEL]


@pytest.mark.parametrize("compiled", ENGINES)
def test_processes_keep_their_names(compiled: bool) -> None:
    names = [
        {"ph": "M", "name": "process_name", "pid": pid, "args": {"name": name}}
        for pid, name in ((1, "python"), ("[TP00] 1", "python"), (1, "rank 3"))
    ]
    trace = read(document(names), compiled)
    assert trace.process_names == {"1": ("python", "rank 3"), "[TP00] 1": ("python",)}


@pytest.mark.parametrize("category", ["cpu_op", "user_annotation"])
def test_spans_of_gloo_communicate_whatever_their_category(build: Any, category: str) -> None:
    made = build.tables(
        [
            build.step(0, 0, 100),
            build.operator("aten::mm", 10, 20),
            build.span(category, "gloo:all_reduce", 40, 30),
        ]
    )
    events = made.events.sort_values("start_ns")
    assert events["kind"].tolist() == ["compute", "all_reduce"]
    assert (events["end_ns"] - events["start_ns"]).tolist() == [20_000, 30_000]


def test_marks_of_paddle_are_steps(build: Any) -> None:
    mark = build.span("ProfileStep", "ProfileStep#3[9.1 ms]", 0, 100)
    work = build.span("Kernel", "gemm[2.0 us]", 10, 20, device=0, stream=7)
    assert build.tables([mark, work]).marked == (3,)


def test_calls_of_megatron_s_schedule_are_slots(build: Any) -> None:
    name = "megatron/core/pipeline_parallel/schedules.py(302): forward_step"
    calls = [build.span("python_function", name, at, 20) for at in (0, 50)]
    work = [build.kernel("gemm", at + 5, at + 10, 5) for at in (0, 50)]
    assert build.tables([*calls, *work]).events["slot"].tolist() == ["F0.0", "F0.1"]
