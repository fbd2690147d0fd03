"""Which calls wait for the GPU in the steady phase, on traces made by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from dpprof.trace.rank.host_waits import COLUMNS, host_waits
from dpprof.trace.read.parse import parse_trace


def waits_of(build, events):
    return host_waits(parse_trace(build.encode(events), Path("rank0.json")))


def call(build, name, ts, dur=1, correlation=0):
    return build.span("cuda_runtime", name, ts, dur, correlation=correlation)


def slot(build, text, ts, dur):
    return build.annotation(f"dpprof:slot slot={text}", ts, dur)


def operator_slot(build, text, ts, dur):
    """As torch's fast ranges are written."""
    return build.operator(f"dpprof:slot slot={text}", ts, dur)


def table(*rows):
    return pd.DataFrame(list(rows), columns=list(COLUMNS)).astype(COLUMNS)


@pytest.mark.parametrize("label", [slot, operator_slot])
def test_only_the_steady_phase_of_every_step_counts(build, label):
    step = [("F0.0", 0), ("F0.1", 10), ("F0.2&B0.0", 20), ("B0.1", 30), ("B0.2", 40)]
    events = [label(build, text, base + at, 9) for base in (0, 100) for text, at in step]
    events += [
        call(build, "cudaStreamSynchronize", at, 2) for at in (5, 15, 22, 35, 45, 99, 128, 131)
    ]
    events += [call(build, "cudaLaunchKernel", 23), call(build, "cudaMemcpyAsync", 24)]
    pd.testing.assert_frame_equal(
        waits_of(build, events),
        table(
            ("cudaStreamSynchronize", 22_000, 24_000, "F0.2&B0.0"),
            ("cudaStreamSynchronize", 128_000, 130_000, "F0.2&B0.0"),
        ),
    )


def test_copies_that_block(build):
    """A plain copy always does, an asynchronous one where the host's memory is pageable."""
    gpu = {"device": 0, "stream": 7}
    events = [
        call(build, "cudaMemcpy", 1, correlation=1),
        call(build, "cudaMemcpyAsync", 2, correlation=2),
        call(build, "cudaMemcpyAsync", 3, correlation=3),
        build.span("gpu_memcpy", "Memcpy DtoH (Device -> Pageable)", 5, 1, 7, correlation=2, **gpu),
        build.span("gpu_memcpy", "Memcpy DtoH (Device -> Pinned)", 6, 1, 7, correlation=3, **gpu),
    ]
    pd.testing.assert_frame_equal(
        waits_of(build, events),
        table(("cudaMemcpy", 1000, 2000, ""), ("cudaMemcpyAsync", 2000, 3000, "")),
    )


def test_nothing_waits(build):
    events = [slot(build, "F0.0", 0, 9), slot(build, "B0.0", 10, 9), call(build, "cudaFree", 3)]
    pd.testing.assert_frame_equal(waits_of(build, events), table())


def test_readers_are_warned_of_waits_within_a_pipeline(build):
    """Loops without slots synchronise as they please."""
    events = [
        build.step(1, 0, 100),
        call(build, "cudaStreamSynchronize", 22, 2),
        call(build, "cudaEventSynchronize", 25, 3),
        build.kernel("gemm", 30, 31, 5),
    ]
    plain = build.tables(events)
    pair = build.tables([*events, slot(build, "F0.1&B0.0", 20, 30)])
    assert not any("waits" in warning for warning in plain.warnings)
    assert [warning for warning in pair.warnings if "waits" in warning] == [
        "the host waits for the GPU 2 times in the steady phase, 0.01 ms in all, "
        "longest in F0.1&B0.0 (cudaEventSynchronize): launches after it come late; see "
        "docs/reference.md"
    ]


def test_threads_beside_the_one_with_the_slots_may_wait(build):
    """Messages through the host: their lanes wait for copies, and hold up nobody."""
    wait = build.span("cuda_runtime", "cudaStreamSynchronize", 22, 2, tid=99)
    events = [
        *(slot(build, text, at, 9) for text, at in [("F0.0", 0), ("F0.1&B0.0", 20)]),
        wait,
        call(build, "cudaStreamSynchronize", 25, 1),
    ]
    pd.testing.assert_frame_equal(
        waits_of(build, events), table(("cudaStreamSynchronize", 25_000, 26_000, "F0.1&B0.0"))
    )
