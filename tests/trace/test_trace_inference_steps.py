"""Steps of inference servers are known by SGLang's and vLLM's own marks of batches."""

from __future__ import annotations

import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.trace.activities.inference_steps import phase_of
from dpprof.trace.load import load_run


@pytest.mark.parametrize(
    ("name", "phase"),
    [
        ("step[DECODE bs=16]", "decode"),
        ("step[EXTEND bs=2 toks=812]", "prefill"),
        ("step[MIXED bs=2]", "mixed"),
        ("step[TARGET_VERIFY bs=2]", "target_verify"),
        ("execute_context_2(512)_generation_0(0)", "prefill"),
        ("execute_context_0(0)_generation_9(9)", "decode"),
        ("execute_context_1(64)_generation_9(9)", "mixed"),
        ("execute_17_context_3(sq128sk256sqsq1sqsk1)_generation_2(sq1sk300)", "mixed"),
        ("step[0]", ""),
        ("step[decode]", ""),
        ("my step[DECODE bs=16]", ""),
        ("execute_context", ""),
        ("train_step", ""),
    ],
)
def test_what_a_mark_says(name, phase):
    assert phase_of(name) == phase


def _batches(build, names):
    return [
        [build.annotation(name, 100 * n, 80), build.kernel("gemm", 100 * n + 5, 100 * n + 10, 60)]
        for n, name in enumerate(names)
    ]


def test_batches_are_steps_and_kinds_are_told(build, tmp_path):
    names = ["step[EXTEND bs=1 toks=900]", "step[DECODE bs=4]", "step[DECODE bs=4]"]
    run = load_run(build.write(tmp_path / "rank0.json", _batches(build, names)))
    report = analyze(run)
    assert [one.step for one in report.per_step] == [0, 1, 2]
    said = [word for word in run.warnings if "inference server" in word]
    assert len(said) == 1
    assert "(2 decode, 1 prefill)" in said[0]


def test_of_one_kind_nothing_is_to_be_said(build, tmp_path):
    names = ["execute_context_0(0)_generation_4(4)"] * 3
    run = load_run(build.write(tmp_path / "rank0.json", _batches(build, names)))
    assert len(run.used_steps) == 3
    assert not [word for word in run.warnings if "inference server" in word]


def test_marks_of_a_profiler_come_first(build, tmp_path):
    events = [build.step(7, 0, 300), *_batches(build, ["step[DECODE bs=4]"] * 3)]
    run = load_run(build.write(tmp_path / "rank0.json", events))
    assert list(run.used_steps) == [7]
