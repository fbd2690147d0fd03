"""Overlapped pairs of one GPU under wires that cost what a link costs, without a profiler.

    python tests/benchmarks/bench_gpu_wire.py [--model NAME] [--seconds 110] [--json FILE]

One rank runs DualPipeV; its all-to-all has no peer, so the wire is emulated (bytes moved by N
multiprocessors at R GB/s), a loop through the host's memory by copy engines, or the copy inside
the card that NCCL makes of an exchange with itself. For each wire:

- ``pair_over_stay``: an overlapped pair over the same pair with rows that stay where they are
- ``effective_hidden``: 1 - (what the wire adds to the pair) / (what its exchanges take alone)
- ``hidden_limits_paid``: the same over a pair whose products take all multiprocessors
- ``pair_over_apart``: the pair over its forward and backward run one after the other, same wire
- ``loss``: the same for all, or something is wrong

Whatever an exchange costs the computing beside it counts as exposed, whatever the spans of kernels
say. A figure is null, with the reason, where the GPU had run out of work as a pair began (the pair
is then as long as the host takes to launch it), or where pairs scatter by more than their exchanges
take. Each result is written as it is there; what does not fit into the seconds is left out, in the
order of its value. A case that breaks CUDA, dies or hangs ends its process, and another one goes on
behind it; where memory does not suffice, with half the layers. The last lines say what
torch.profiler adds to a pair and to launching, and which predictions of `docs/reference.md` held.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import isclose
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from apart import End, Tell, run_apart

from dpprof.reference.dispatchers.contract import Dispatcher, ExchangePlace
from dpprof.reference.dispatchers.loopback import make_loopback
from dpprof.reference.executors.model import ModelExecutor
from dpprof.reference.model.config import ModelConfig
from dpprof.reference.model.presets import preset, with_sizes
from dpprof.reference.runtime.channels import Channels, ProcessGroupWire
from dpprof.reference.runtime.cuda_process import prepare_cuda
from dpprof.reference.runtime.lanes import make_lane
from dpprof.reference.runtime.mesh import Groups, Mesh, make_groups
from dpprof.reference.runtime.multiprocessors import leave_multiprocessors
from dpprof.reference.runtime.runtime import Runtime
from dpprof.schedules.actions import Slot
from dpprof.schedules.components import slot_program
from dpprof.schedules.registry import make_schedule
from dpprof.schedules.schedule import Schedule

EXCHANGES = 4
"""Of a layer in a pair: dispatch and combine of the forward, and of the backward."""


Results = dict[str, dict[str, Any]]


class Pairs(NamedTuple):
    """The pairs of a step: their milliseconds, how many found the GPU idle, the step's loss."""

    times: list[float]
    late: int
    loss: float

    @property
    def ms(self) -> float:
        """The median."""
        return median(self.times)

    def why_not(self, exchanges_ms: float | None) -> str:
        """Why the figures of these pairs are not those of the GPU; "" where they are."""
        spread = max(self.times) - min(self.times)
        if self.late:
            return (
                f"the GPU had no work left as {self.late} of {len(self.times)} pairs began: the "
                "host is late; give the GPU more to do (--set micro_batch=4)"
            )
        if exchanges_ms is not None and spread > exchanges_ms:
            return f"pairs scatter by {spread:.2f} ms, their exchanges take {exchanges_ms:.2f}"
        return ""


@dataclass(frozen=True)
class Case:
    """A wire, and how many multiprocessors products leave it."""

    wire: str
    sms: int = 8
    rate: float = 160.0
    left: int = 0

    def config(self, config: ModelConfig) -> ModelConfig:
        """The configuration that says so."""
        return replace(config, wire=self.wire, communication_sms=self.sms, wire_rate=self.rate)


STAY = Case("stay")
CASES = (
    STAY,
    Case("paced"),
    Case("paced", 8, 50.0),
    Case("paced", 20),
    Case("stay", left=20),
    Case("paced", 20, left=20),
    Case("self-copy"),
    Case("engines"),
    Case("paced", 4),
    Case("paced", 16),
    Case("paced", 24),
    Case("stay", left=8),
    Case("paced", 8, left=8),
)
"""In the order of their value: the headline first."""

EXPECTED = (
    ("8 multiprocessors at 160 GB/s", Case("paced"), 0.94),
    ("20 multiprocessors, limits", Case("paced", 20, left=20), 0.83),
    ("20 multiprocessors, no limits", Case("paced", 20), 0.0),
    ("8 multiprocessors at 50 GB/s", Case("paced", 8, 50.0), 0.97),
)
"""Effective hidden shares that were predicted before any GPU was at hand."""


class Bench:
    """One rank's model, its pairs and the same actions one after the other."""

    def __init__(self, config: ModelConfig, micro_batches: int) -> None:
        self.config = config
        self.launch_ms = 0.0  # the host's, for the first slot of the last step: nothing holds it up
        self._device = torch.device("cuda", torch.cuda.current_device())
        self._schedule = make_schedule("dualpipev", 1, micro_batches)
        mesh = Mesh(1, 1, 0)
        self._groups = make_groups(
            mesh, self._schedule, "nccl", config.communication_sms, loop=True
        )
        plain = replace(config, wire="self-copy")
        self.executor = ModelExecutor(plain, self._schedule, mesh, self._groups, self._device)
        self._self_copy = self.executor.exchanger.dispatcher
        self.pairs = self._runtime(self._schedule, mesh, self._groups)
        self.apart = self._runtime(one_by_one(self._schedule), mesh, self._groups)

    def use(self, case: Case) -> None:
        """Have rows go over the wire of `case`."""
        leave_multiprocessors(case.left, self._device)
        self.executor.exchange_by(self._dispatcher(case))

    def alone_ms(self, repeats: int = 5) -> float:
        """Milliseconds of one exchange with nothing beside it."""
        config = self.config
        rows = torch.randn(config.rows_sent, config.hidden, device=self._device)
        rows = rows.to(self.executor.message.dtype)
        exchanger = self.executor.exchanger
        assert exchanger.known is not None
        exchanger.dispatcher.send(rows, exchanger.known)
        with Span() as span:
            for _ in range(repeats):
                exchanger.dispatcher.send(rows, exchanger.known)
        return span.milliseconds() / repeats

    def step(self, runtime: Runtime, schedule: Schedule) -> list[tuple[Slot, float, bool]]:
        """Each slot, its milliseconds, and whether the GPU had nothing left to do as it began.

        Parameters stay as they are.
        """
        slots = schedule.ranks[0]
        self.executor.begin_step(0)
        spans: list[Span] = []
        late = []
        torch.cuda.synchronize()
        begun = time.perf_counter()
        for slot, following in zip(slots, (*slots[1:], ()), strict=True):
            late.append(bool(spans) and spans[-1].is_past())
            with Span() as span:
                runtime.run_slot(slot, following)
            if not spans:
                self.launch_ms = (time.perf_counter() - begun) * 1e3
            spans.append(span)
        torch.cuda.synchronize()
        times = [span.milliseconds() for span in spans]
        return list(zip(slots, times, late, strict=True))

    def run_pairs(self) -> Pairs:
        """A step of overlapped pairs."""
        pairs = [one for one in self.step(self.pairs, self._schedule) if len(one[0]) == 2]
        times, late = [ms for _, ms, _ in pairs], sum(late for *_, late in pairs)
        return Pairs(times, late, self.executor.own_loss)

    def apart_ms(self) -> float:
        """The median of what were pairs, their two actions one after the other."""
        actions = [slot for slot in self._schedule.ranks[0] if len(slot) == 2]
        slots = self.step(self.apart, one_by_one(self._schedule))
        own = {slot[0]: ms for slot, ms, _ in slots}
        return median(sum(own[action] for action in pair) for pair in actions)

    def _dispatcher(self, case: Case) -> Dispatcher:
        if case.wire == "self-copy":
            return self._self_copy
        config, dtype = self.config, self.executor.message.dtype
        place = ExchangePlace(
            self._groups.ep, config.rows_sent, config.hidden, dtype, self._device, case.sms
        )
        return make_loopback(case.wire, place, case.rate)

    def _runtime(self, schedule: Schedule, mesh: Mesh, groups: Groups) -> Runtime:
        lane = partial(make_lane, self._device)
        wire = ProcessGroupWire(self.executor.message, self._device, groups)
        channels = Channels(schedule, mesh, wire, lane)
        program = partial(slot_program, layers=self.executor.layers)
        return Runtime(schedule, mesh, self.executor, channels, lane, program)


class Span:
    """Time on the current stream, by its own clock."""

    def __enter__(self) -> Span:
        self._start, self._end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self._start.record()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.record()

    def is_past(self) -> bool:
        """Whether the stream has come to its end."""
        return bool(self._end.query())

    def milliseconds(self) -> float:
        """To be asked when the stream may be waited for."""
        self._end.synchronize()
        return float(self._start.elapsed_time(self._end))


def one_by_one(schedule: Schedule) -> Schedule:
    """The same actions with none overlapped: each pair's forward, then its backward."""
    ranks = tuple(tuple((action,) for slot in slots for action in slot) for slots in schedule.ranks)
    return replace(schedule, ranks=ranks)


def measure(bench: Bench, case: Case, stay: Mapping[int, float]) -> dict[str, Any]:
    """The figures of one case; `stay`: pairs' times with rows that stay, by what products leave."""
    bench.use(case)
    bench.run_pairs()
    alone, pairs, apart = bench.alone_ms(), bench.run_pairs(), bench.apart_ms()
    pair, whole = pairs.ms, EXCHANGES * bench.executor.layers * alone
    words = case.config(bench.config).wire_words
    limit = f"; products leave {case.left} multiprocessors" if case.left else ""
    figures: dict[str, Any] = {"wire": words + limit, "loss": pairs.loss}
    figures |= {"pair_ms": pair, "exchange_alone_ms": alone, "pair_over_apart": pair / apart}
    if case.left in stay and case.wire != "stay":
        figures["pair_over_stay"] = pair / stay[case.left]
        figures["effective_hidden"] = 1 - (pair - stay[case.left]) / whole
        if case.left and 0 in stay:
            figures["hidden_limits_paid"] = 1 - (pair - stay[0]) / whole
    reason = pairs.why_not(None if case.wire == "stay" else whole)
    if reason:
        figures |= dict.fromkeys(RATIOS & figures.keys()) | {"not_known": reason}
    return figures


RATIOS = {"pair_over_apart", "pair_over_stay", "effective_hidden", "hidden_limits_paid"}


def profiled(bench: Bench, stay_ms: float) -> dict[str, Any]:
    """What torch.profiler, as a capture sets it, adds to a pair, and to what launching costs."""
    from torch.profiler import ProfilerActivity, profile

    bench.use(STAY)
    plain = _least_launch_ms(bench)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA], profile_memory=True):
        launch = _least_launch_ms(bench)
        pair = bench.run_pairs().ms
    return {
        "pair_over_unprofiled": pair / stay_ms,
        "launch_ms": plain,
        "launch_over_unprofiled": launch / plain,
    }


def _least_launch_ms(bench: Bench) -> float:
    """The host's time for a first slot; the least of three, as others use its cores too."""
    times = []
    for _ in range(3):
        bench.run_pairs()
        times.append(bench.launch_ms)
    return min(times)


PROFILER = "profiler"
NAMES = (*map(str, CASES), PROFILER)


def figures_of(bench: Bench, name: str, stay: Mapping[int, float]) -> dict[str, Any]:
    """Those of a case, or of the profiler."""
    if name != PROFILER:
        return measure(bench, CASES[NAMES.index(name)], stay)
    if 0 not in stay:
        return {"not_known": "pairs without a profiler were not measured"}
    return profiled(bench, stay[0])


def tell_figures(bench: Bench, names: Sequence[str], results: Results, tell: Tell) -> None:
    """The figures of one case after the other; raises where CUDA does nothing more after one."""
    known = dict(results)
    for name in names:
        try:
            known[name] = figures_of(bench, name, stay_of(known))
        except Exception as error:  # noqa: BLE001 - one wire must not cost the others theirs
            known[name] = {"error": f"{type(error).__name__}: {str(error)[:400]}"}
        tell(name, known[name])
        if "error" in known[name]:
            torch.cuda.synchronize()


def stay_of(results: Results) -> dict[int, float]:
    """A pair's milliseconds with rows that stay, by what its products leave."""
    found = {case.left: results.get(str(case), {}) for case in CASES if case.wire == "stay"}
    return {
        left: one["pair_ms"]
        for left, one in found.items()
        if "pair_ms" in one and "not_known" not in one
    }


def work(options: argparse.Namespace, layers: int, results: Results, tell: Tell) -> None:
    """What one process does: a bench of `layers` layers, and what is not there yet."""
    os.environ.setdefault("NCCL_SOCKET_IFNAME", "lo")
    torch.cuda.set_device(0)
    tell("device", {"name": torch.cuda.get_device_name(), "layers": layers})
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group("nccl", f"file://{folder}/store", rank=0, world_size=1)
        config = replace(preset(options.model), layers=layers, optimizer="none")
        try:
            bench = Bench(with_sizes(config, options.sizes), options.micro_batches)
            bench.use(STAY)  # which asks nothing of NCCL nor of Triton
            bench.run_pairs()
        except torch.OutOfMemoryError as error:
            tell(NO_MEMORY, {"error": str(error)[:400]})
            return
        gc.collect()
        gc.disable()
        tell_figures(bench, [name for name in NAMES if name not in results], results, tell)
        dist.destroy_process_group()


NO_MEMORY = "memory"
PATIENCE = 40.0
"""Seconds of a case, before it is taken for hung; the start of CUDA and the model's included."""


def measure_all(options: argparse.Namespace, save: Callable[[Results], None]) -> Results:
    """All cases for which there is time, in as many processes as it takes."""
    until = time.monotonic() + options.seconds
    results: Results = {}
    layers = options.layers
    while layers >= 2 and time.monotonic() < until and not results.keys() >= set(NAMES):
        before = len(results)
        job = partial(work, options, layers, dict(results))
        for told in run_apart(job, min(PATIENCE, until - time.monotonic())):
            if isinstance(told, End):
                blame(results, told)
            elif told[0] == NO_MEMORY:
                layers //= 2
                results = {}
            else:
                results[told[0]] = told[1]
            save(results)
            if time.monotonic() > until:
                break
        if len(results) == before and results:
            break
    return results


def blame(results: Results, end: End) -> None:
    """The case that had begun and did not end; one that told its own error has been blamed."""
    last = [one for name, one in results.items() if name in NAMES][-1:]
    if not end.words or (last and "error" in last[0]):
        return
    open_ones = [name for name in NAMES if name not in results]
    for name in open_ones[:1]:
        results[name] = {"error": end.words}
    if end.code is None:  # a hang costs its patience: no other case of that wire is tried
        for name in open_ones[1:]:
            if _wire_of(name) == _wire_of(open_ones[0]):
                results[name] = {"error": f"not tried, as {open_ones[0]} hung"}


def _wire_of(name: str) -> str:
    return PROFILER if name == PROFILER else CASES[NAMES.index(name)].wire


def verdicts(results: dict[str, dict[str, Any]]) -> list[str]:
    """Which predictions held, and whether all losses are the same."""
    lines = []
    for words, case, share in EXPECTED:
        found = results.get(str(case), {}).get("effective_hidden")
        text = "not measured" if found is None else f"{found:.1%}"
        lines.append(f"predicted hidden {share:.0%} ({words}): {text}")
    losses = [figures["loss"] for figures in results.values() if "loss" in figures]
    same = all(isclose(loss, losses[0], rel_tol=1e-4, abs_tol=1e-9) for loss in losses)
    computed = any(loss > 1e-3 for loss in losses)
    text = "equal" if same else str(losses)
    lines.append(f"losses: {text if computed else 'zero: nothing was computed here'}")
    return lines


def main() -> int:
    """Measure, write each result as it comes, print; 1 where anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="deepseek-v3-layer")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--micro-batches", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=110)
    parser.add_argument("--set", action="append", default=[], dest="sizes")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    prepare_cuda()

    def save(results: Results) -> None:
        if results:
            print(*list(results.items())[-1], flush=True)
        if options.json:
            options.json.write_text(json.dumps(results, indent=1) + "\n")

    results = measure_all(options, save)
    print("\n".join(verdicts(results)))
    return int(not results or any("error" in one for one in results.values()))


if __name__ == "__main__":
    raise SystemExit(main())
