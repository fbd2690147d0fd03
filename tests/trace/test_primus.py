"""Primus' dumps: a pipeline of known times gives these bubbles, and nothing is said of messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.errors import DpprofError
from dpprof.trace.load import load_run

SHARED = Path(__file__).parents[3] / "shared" / "data" / "primus_pp8"
MS = 1_000_000


def write(folder: Path, ranks: list[dict[str, Any]], **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    sizes = {"pp_size": len(ranks), "world_size": len(ranks), "vp_size": 1}
    (folder / "config.json").write_text(json.dumps(sizes | config))
    for rank, iteration in enumerate(ranks):
        (folder / f"pp_rank_{rank}.json").write_text(json.dumps({"1": iteration, "2": iteration}))
    return folder


def iteration(total: float, forward: list[Any], backward: list[Any]) -> dict[str, Any]:
    return {
        "total": total,
        "fwd_start": [begin for begin, _ in forward],
        "fwd_end": [end for _, end in forward],
        "bwd_start": [begin for begin, _ in backward],
        "bwd_end": [end for _, end in backward],
    }


# 1F1B of two ranks, two micro-batches; F takes 10 and B 20.
TWO = [
    iteration(70, [(0, 10), (10, 20)], [(40, 60), (60, 80)]) | {"total": 80},
    iteration(70, [(10, 20), (40, 50)], [(20, 40), (50, 70)]),
]


def test_a_pipeline_of_known_times(tmp_path: Path) -> None:
    report = analyze(load_run(write(tmp_path / "dump", TWO)))
    assert (report.schedule, report.pp, report.micro_batches) == ("1f1b", 2, 2)
    assert report.step_ns == 80 * MS
    assert [rank.bubble_ns for rank in report.ranks] == [2 * 20 * MS, 2 * 20 * MS]
    first = report.ranks[0].states_ns
    assert (first["compute_only"], first["bubble.dependency"]) == (2 * 60 * MS, 2 * 20 * MS)
    second = report.ranks[1].states_ns
    assert (second["bubble.warmup"], second["bubble.cooldown"]) == (2 * 10 * MS, 2 * 10 * MS)


def test_nothing_is_claimed_of_communication(tmp_path: Path) -> None:
    report = analyze(load_run(write(tmp_path / "dump", TWO)))
    touched = {name for one in report.evidence for name in one.touches}
    assert {"communication_ns", "exposed_ns", "hidden_share"} <= touched
    assert report.total.hidden_share is None


@pytest.mark.parametrize(
    ("ranks", "config", "words"),
    [
        ([iteration(70, [(10, 5)], [])], {}, "F0 from 10.0 to 5.0 ms cannot be"),
        ([iteration(-1, [], [])], {}, "a total of -1.0 ms cannot be"),
        ([TWO[0] | {"fwd_end": [1.0]}], {}, "fwd_start and fwd_end differ"),
        ([TWO[0] | {"total": "long"}], {}, "no dump of Primus' pp_data"),
        (TWO, {"vp_size": 2}, "vp_size is 2"),
    ],
)
def test_what_cannot_be_is_refused_with_the_file(
    ranks: Any, config: Any, words: str, tmp_path: Path
) -> None:
    with pytest.raises(DpprofError, match=words) as caught:
        load_run(write(tmp_path / "dump", ranks, **config))
    assert str(tmp_path) in str(caught.value)


@pytest.mark.skipif(not SHARED.exists(), reason="the public dumps are not here")
def test_bubbles_of_a_real_pipeline_equal_a_count_by_hand() -> None:
    report = analyze(load_run(SHARED, steps="10"))
    assert (report.schedule, report.pp, report.micro_batches) == ("1f1b", 8, 16)
    for rank in report.ranks:
        plain = json.loads((SHARED / f"pp_rank_{rank.rank}.json").read_text())["10"]
        times = [sum(plain[f"{one}_end"]) - sum(plain[f"{one}_start"]) for one in ("fwd", "bwd")]
        own_ns = plain["total"] * MS  # the rank's own iteration; the window is that of the longest
        idle_of_own = rank.bubble_ns - (rank.window_ns - own_ns)
        assert idle_of_own / own_ns == pytest.approx(1 - sum(times) / plain["total"], abs=1e-6)
    (slower,) = report.slower_ranks  # the last stage: 2,269.5 ms, the others 2,040 to 2,112
    assert (slower.pp_rank, slower.stages, round(slower.excess_ns / MS)) == (7, [7], 197)


def test_a_changed_configuration_or_peer_is_seen(tmp_path: Path) -> None:
    folder = write(tmp_path / "dump", TWO)
    assert between_steps(folder) == 80 * MS
    write(folder, [TWO[0], TWO[1] | {"total": 100}])
    assert between_steps(folder) == 100 * MS
    write(folder, [TWO[0], TWO[1] | {"total": 100}], vp_size=2)
    with pytest.raises(DpprofError, match="vp_size"):
        load_run(folder)


def between_steps(folder: Path) -> int:
    first, second = analyze(load_run(folder)).per_step
    return second.start_ns - first.start_ns
