"""Who is named: planted faults in simulated runs, and hand-made corner cases."""

from __future__ import annotations

import pytest

from dpprof.gate.attribution import ComparedSides, find_culprits, largest_bubble
from dpprof.gate.gate import Baseline, gate
from dpprof.gate.measure import take_snapshot
from dpprof.gate.snapshot import Waiting
from dpprof.reporters.gate.sentences import finding_words, largest_bubble_words
from dpprof.statistics.figure import Figure

MS = 10**6


@pytest.fixture(scope="module")
def plain(make_simulated):
    return take_snapshot([make_simulated()])


def gated(plain, measured):
    base = Baseline(name="base.json", snapshot=plain)
    return gate(take_snapshot([measured]), [], base)


@pytest.mark.parametrize(
    ("fault", "ranks", "kind", "cause", "says"),
    [
        ("compute@2=1.2x", [2], "compute", "computes_longer", "rank 2 (stages 1, 2): compute"),
        ("compute@0,3=1.2x", [0, 3], "compute", "computes_longer", "ranks 0, 3: compute takes"),
        ("serial=dispatch", [0, 1, 2, 3], "dispatch", "less_hidden", "dispatch exposed, less of"),
        ("serial@1=combine", [1], "combine", "less_hidden", "combine exposed, less of it hidden"),
        ("dispatch=1.5x", [0, 1, 2, 3], "dispatch", "transfers_longer", "transfers take longer"),
        ("message=20x", [0, 1, 2, 3], "p2p", "transfers_longer", "p2p transfers take longer"),
    ],
)
def test_a_planted_fault_is_named(
    plain, make_simulated, fault: str, ranks: list[int], kind: str, cause: str, says: str
) -> None:
    result = gated(plain, make_simulated(fault))
    assert not result.passed
    first = result.findings[0]
    assert (first.ranks, first.kind, first.cause) == (ranks, kind, cause)
    assert says in finding_words(first)


def test_the_victims_of_a_slow_rank_are_no_culprits(plain, make_simulated) -> None:
    first = gated(plain, make_simulated("compute@2=1.2x")).findings[0]
    assert first.affected_ranks == [0, 1, 3]
    assert first.affected_wait_ns > 0
    assert first.relative == pytest.approx(0.2)
    assert "ranks 0, 1, 3 wait" in finding_words(first)


def test_larger_activations_are_a_finding_of_memory_alone(plain, make_simulated) -> None:
    result = gated(plain, make_simulated("activations=1.2x"))
    (finding,) = result.findings
    assert (finding.ranks, finding.kind, finding.cause) == ([0, 1, 2, 3], "memory", "holds_more")
    assert finding.part == "activation"
    assert "memory peak larger, the largest part activations: +" in finding_words(finding)


def test_an_unchanged_simulated_run_passes(plain, make_simulated) -> None:
    result = gated(plain, make_simulated())
    assert (result.passed, result.findings) == (True, [])


def noisy(values: list[int]) -> list[Figure]:
    return [Figure(value * MS, step_sd=MS) for value in values]


def test_a_late_host_is_named_although_messages_shift_more(make_snapshot) -> None:
    base = make_snapshot(
        {}, {"bubble.host_ns": noisy([4, 4, 4]), "exposed.p2p_ns": noisy([20, 20, 20])}
    )
    run = make_snapshot(
        {}, {"bubble.host_ns": noisy([4, 24, 4]), "exposed.p2p_ns": noisy([20, 45, 45])}
    )
    found = find_culprits(ComparedSides(run, base), times=True, memory=False)
    assert [(one.ranks, one.kind) for one in found] == [([1], "host"), ([1, 2], "p2p")]
    assert finding_words(found[0]).startswith(
        "rank 1 (stage 1): host late, the device idle with its inputs there (a synchronisation?): "
        "+20 ms (+500.0 %) a step"
    )


def test_what_is_small_or_not_significant_is_not_told(make_snapshot) -> None:
    base = make_snapshot({}, {"compute_ns": noisy([500, 500])})
    small = make_snapshot({}, {"compute_ns": noisy([502, 502])})
    assert find_culprits(ComparedSides(small, base), times=True, memory=False) == []
    wild = [Figure(540 * MS, step_sd=60 * MS)] * 2
    unsure = make_snapshot({}, {"compute_ns": wild})
    assert find_culprits(ComparedSides(unsure, base), times=True, memory=False) == []


def test_where_nobody_does_more_who_waits_is_told(make_snapshot) -> None:
    before, after = noisy([50, 50]), noisy([80, 50])
    base = make_snapshot({}, {"bubble.dependency_ns": before, "bubble_ns": before})
    run = make_snapshot({}, {"bubble.dependency_ns": after, "bubble_ns": after})
    (finding,) = find_culprits(ComparedSides(run, base), times=True, memory=False)
    assert (finding.ranks, finding.cause, finding.change) == ([0], "waits", 30 * MS)
    assert finding_words(finding).startswith("rank 0 (stage 0): waits longer for other ranks; no ")


def test_where_nobody_does_more_for_certain_the_rank_most_waited_for_is_named(
    make_snapshot,
) -> None:
    def snapshot(*bubble: int, waits: dict[int, int]):
        own = {"bubble.dependency_ns": noisy(bubble), "bubble_ns": noisy(bubble)}
        held = [Waiting(rank=0, waits_for=rank, bubble_ns=ns) for rank, ns in waits.items()]
        return make_snapshot({}, own, waits=[*held, Waiting(rank=1, waits_for=0, bubble_ns=90)])

    base = snapshot(50, 50, 50, waits={1: 40, 2: 10})
    run = snapshot(80, 50, 50, waits={1: 45, 2: 35})
    (finding,) = find_culprits(ComparedSides(run, base), times=True, memory=False)
    assert (finding.ranks, finding.waits_for) == ([0], 2)
    assert "waits longer, most of it for rank 2; no rank's own work" in finding_words(finding)


@pytest.mark.parametrize(
    ("longer", "cause"), [(0.001, "less_hidden"), (4, "less_hidden"), (6, "transfers_longer")]
)
def test_transfers_are_longer_where_that_is_most_of_what_is_exposed(
    make_snapshot, longer: float, cause: str
) -> None:
    def ranks(exposed: float, total: float) -> dict[str, list[Figure]]:
        hidden = noisy([total - exposed])
        return {
            "exposed.dispatch_ns": noisy([exposed]),
            "dispatch.total_ns": noisy([total]),
            "dispatch.hidden_ns": hidden,
        }

    sides = ComparedSides(
        make_snapshot({}, ranks(20, 50 + longer)), make_snapshot({}, ranks(10, 50))
    )
    (finding,) = find_culprits(sides, times=True, memory=False)
    assert (finding.kind, finding.cause) == ("dispatch", cause)


def test_a_rank_that_the_baseline_does_not_have_is_left_out(make_snapshot) -> None:
    base = make_snapshot({}, {"compute_ns": noisy([500])})
    run = make_snapshot({}, {"compute_ns": noisy([600, 900])})
    (finding,) = find_culprits(ComparedSides(run, base), times=True, memory=False)
    assert finding.ranks == [0]


def test_without_a_baseline_the_rank_that_idles_most_is_blamed(make_snapshot) -> None:
    run = make_snapshot(
        {},
        {"bubble_ns": [10 * MS, 30 * MS], "bubble.dependency_ns": [4 * MS, 25 * MS]},
        waits=[
            Waiting(rank=1, waits_for=0, bubble_ns=9),
            Waiting(rank=1, waits_for=2, bubble_ns=20),
            Waiting(rank=0, waits_for=1, bubble_ns=90),
        ],
    )
    found = largest_bubble(run)
    assert found is not None
    assert (found.rank, found.state, found.waits_for) == (1, "bubble.dependency", 2)
    assert found.waits_for_ns == 20
    assert largest_bubble_words(found).startswith(
        "rank 1 (stage 1) idles most: 30.00 ms a step, of it 25.00 ms bubble.dependency; it waits "
        "longest for rank 2, "
    )
    assert largest_bubble(make_snapshot({}, {"bubble_ns": [0, 0]})) is None


def test_what_is_sure_on_one_rank_is_believed_of_a_noisy_one(make_snapshot) -> None:
    base = make_snapshot({}, {"exposed.dispatch_ns": noisy([100, 100, 100])})
    disturbed = Figure(190 * MS, step_sd=80 * MS)
    calm = Figure(200 * MS, step_sd=MS)
    wild = Figure(190 * MS, step_sd=900 * MS)
    run = make_snapshot({}, {"exposed.dispatch_ns": [calm, disturbed, wild]})
    (finding,) = find_culprits(ComparedSides(run, base), times=True, memory=False)
    assert finding.ranks == [0, 1]
    alone = make_snapshot({}, {"exposed.dispatch_ns": [noisy([100])[0], disturbed, wild]})
    assert find_culprits(ComparedSides(alone, base), times=True, memory=False) == []
