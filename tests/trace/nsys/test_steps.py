"""Which NVTX ranges are steps, as Megatron-Bridge, NeMo-RL and verl write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpprof.errors import DpprofError
from dpprof.trace.file_names import rank_in_name
from dpprof.trace.load import load_run
from dpprof.trace.source.read_ranks import Reading
from tests.trace.nsys.conftest import Export

WINDOW = "what is from a cudaProfilerStart to the next cudaProfilerStop counts as one"


def in_a_window(export: Export, names: tuple[str, ...], rounds: int = 3) -> Export:
    """Ranges of 10 ns each, round after round, in one window of the profiler."""
    export.call(21, "cudaProfilerStart_v4000", 0)
    for number in range(rounds * len(names)):
        begin = 10 + 20 * number
        export.range(21, names[number % len(names)].format(number), begin, begin + 10)
        export.kernel(21, "gemm", begin + 2, begin + 5, launched=begin + 1)
    export.call(21, "cudaProfilerStop_v4000", 1000)
    return export


def test_the_steps_of_megatron_bridge_are_marked_behind_their_place(
    export: Export, tmp_path: Path
) -> None:
    for step in (10, 11):
        begin = 100 * step
        name = f"megatron.bridge.training.train.train.training_step_{step}"
        export.range(21, name, begin, begin + 90)
        inner = "megatron.bridge.training.train.train_step.optimizer_step"
        export.range(21, inner, begin + 50, begin + 60)
        export.kernel(21, "gemm", begin + 20, begin + 30, launched=begin + 15)
    run = load_run(export.write(tmp_path / "rank0.sqlite"))
    assert run.steps["step"].tolist() == [10, 11]


def test_a_window_of_several_steps_says_what_to_type(export: Export, tmp_path: Path) -> None:
    names = ("megatron_policy_worker/get_logprobs", "megatron_policy_worker/train")
    file = in_a_window(export, names).write(tmp_path / "rank0.sqlite")
    run = load_run(file)
    assert run.steps["step"].tolist() == [0]
    (word,) = [one for one in run.warnings if WINDOW in one]
    pattern = word.split("--step-range '")[1].rstrip("'")
    assert pattern in names
    assert f"each of the 3 ranges like '{pattern}'" in word
    assert len(load_run(file, reading=Reading(step_range=pattern)).steps) == 3


def test_a_window_of_one_step_says_that_it_is_one(export: Export, tmp_path: Path) -> None:
    names = ("compute_log_prob", "update_actor")  # verl's
    run = load_run(in_a_window(export, names, rounds=1).write(tmp_path / "rank0.sqlite"))
    (word,) = [one for one in run.warnings if WINDOW in one]
    assert "--step-range" not in word


def test_ranges_that_come_again_are_proposed_where_nothing_marks_steps(
    export: Export, tmp_path: Path
) -> None:
    export.range(21, "fit", 0, 5000)
    for number in range(4):
        begin = 100 + 1000 * number
        export.range(21, f"batch [{number}]", begin, begin + 900)
        export.range(21, "loss", begin + 10, begin + 20)
        export.kernel(21, "gemm", begin + 20, begin + 30, launched=begin + 15)
    file = export.write(tmp_path / "rank0.sqlite")
    (word,) = [one for one in load_run(file).warnings if "nothing marks steps" in one]
    pattern = word.split("--step-range '")[1].rstrip("'")
    assert load_run(file, reading=Reading(step_range=pattern)).steps["step"].tolist() == [*range(4)]


def test_files_of_processes_are_proposed_in_their_order(tmp_path: Path) -> None:
    for process in (4711, 4712, 999):
        export = Export()
        export.kernel(21, "gemm", 0, 10)
        export.write(tmp_path / f"policy_worker_2:5_{process}.sqlite")
    with pytest.raises(DpprofError, match="if they are in the order of their ranks") as caught:
        load_run(tmp_path)
    typed = str(caught.value).split("'")[1]
    assert [one[-11:] for one in typed.split(",")] == ["_999.sqlite", "4711.sqlite", "4712.sqlite"]
    assert len(load_run(typed).places) == 3


def test_the_steps_that_nemo_rl_writes_into_a_name_are_no_rank() -> None:
    assert rank_in_name(Path("dtensor_policy_worker_2:5_4711.sqlite")) is None
    assert rank_in_name(Path("worker_2_5.sqlite")) == 2
