"""Cases that run where torch finds the pretended GPU: ``worker.py CASE [ARGUMENT ...]``."""

from __future__ import annotations

import ctypes
import json
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).parent))

from stream_races import StreamRaces

from dpprof.errors import DpprofError
from dpprof.reference.executors.model import ModelExecutor
from dpprof.reference.model import wires
from dpprof.reference.model.config import ModelConfig
from dpprof.reference.model.presets import preset, with_sizes
from dpprof.reference.runtime import lanes
from dpprof.reference.runtime.channels import Channels, ProcessGroupWire
from dpprof.reference.runtime.lanes import make_lane
from dpprof.reference.runtime.mesh import Groups, Mesh, make_groups
from dpprof.reference.runtime.runtime import Runtime
from dpprof.schedules.components import slot_program
from dpprof.schedules.registry import make_schedule

GPU = torch.device("cuda", 0)
SIZES = replace(preset("small"), layers=4, sequence=64, dtype="bfloat16", routing="balanced")


class LoopWire:
    """A rank of a pipeline by itself: takes what is sent, gives tensors of its own."""

    def __init__(self, message):
        self._message = message

    def send(self, tensor, edge):
        lanes_keep(tensor)
        tensor.clone()

    def receive(self, edge, lane, label, after=()):
        shape, dtype = self._message
        return lane.submit(label, lambda: torch.ones(shape, dtype=dtype, device=GPU), after)


def lanes_keep(tensor):
    """As a real wire says it; looked up late, as mutants replace it."""
    wires.keep_for_current_stream(tensor)


def start_world():
    torch.cuda.set_device(GPU)
    store = tempfile.mktemp()
    dist.init_process_group("nccl", f"file://{store}", rank=0, world_size=1)


def make_runtime(config: ModelConfig, pp: int, rank: int, micro_batches: int):
    schedule = make_schedule("dualpipev" if pp == 1 else "dualpipe", pp, micro_batches)
    mesh = Mesh(pp, 1, rank)
    if pp == 1:
        groups = make_groups(mesh, schedule, "nccl", config.communication_sms, loop=True)
    else:
        groups = Groups(ep=dist.group.WORLD, mirror=None, edges={})
    executor = ModelExecutor(config, schedule, mesh, groups, GPU)
    lane = partial(make_lane, GPU)
    wire = LoopWire(executor.message)
    if pp == 1:
        wire = ProcessGroupWire(executor.message, GPU, groups)
    channels = Channels(schedule, mesh, wire, lane)
    program = partial(slot_program, layers=executor.layers)
    return executor, Runtime(schedule, mesh, executor, channels, lane, program)


# Cases.


def races(mutant: str, pp: str, rank: str) -> dict:
    """Races of two steps through the real lanes, with a bug planted or "none"."""
    start_world()
    MUTANTS[mutant]()
    config = replace(SIZES, layers=2 * int(pp), looped_ep=2, optimizer="none")
    _, runtime = make_runtime(config, int(pp), int(rank), 6 if pp == "1" else 8)
    detector = StreamRaces()
    with detector.watching():
        for step in range(2):
            runtime.run_step(step)
    return {"races": len(detector.found), "crossings": detector.crossings}


def _forget_the_allocator():
    torch.Tensor.record_stream = lambda tensor, stream: None
    from dpprof.reference.model import streams

    for module in (streams, wires):
        module.keep_for_current_stream = lambda tensor: tensor


def _wait_for_nothing():
    lanes.StreamCompletion.wait = lambda completion: completion._value


def _record_too_early():
    plain = lanes.StreamLane.submit

    def submit(lane, label, work, after=()):
        stream = lane._stream or torch.cuda.current_stream()
        early = stream.record_event()
        done = plain(lane, label, work, after)
        done._event = early
        return done

    lanes.StreamLane.submit = submit


MUTANTS = {
    "none": lambda: None,
    "keep": _forget_the_allocator,
    "wait": _wait_for_nothing,
    "early": _record_too_early,
}


def wire(*changes: str) -> dict:
    """A step under a wire: its loss, and what an exchange takes, in ms and by whom."""
    start_world()
    config = with_sizes(replace(preset("medium"), layers=4, routing="balanced"), changes)
    try:
        executor, runtime = make_runtime(config, 1, 0, 4)
    except DpprofError as error:
        return {"error": str(error)}
    loss = runtime.run_step(0)
    rows = torch.zeros(config.rows_sent, config.hidden, dtype=torch.bfloat16, device=GPU)
    dispatcher, plan = executor.exchanger.dispatcher, executor.exchanger.known
    dispatcher.send(rows, plan)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    back = dispatcher.send(rows, plan)
    end.record()
    torch.cuda.synchronize()
    same = back.data_ptr() == rows.data_ptr()
    return {
        "loss": loss,
        "ms": start.elapsed_time(end),
        "bytes": rows.nbytes,
        "same": same,
        "words": config.wire_words,
    }


def moves(wire: str) -> dict:
    """Whether rows that go over a wire and back are the same rows, each in its place."""
    start_world()
    config = replace(SIZES, looped_ep=2, wire=wire)
    executor, _ = make_runtime(config, 1, 0, 4)
    dispatcher, plan = executor.exchanger.dispatcher, executor.exchanger.known
    shape = (config.rows_sent, config.hidden)
    rows = torch.arange(shape[0] * shape[1]).remainder(251).view(shape).to(torch.bfloat16)
    there = dispatcher.send(rows.to(GPU), plan)
    back = dispatcher.bring_back(there, plan)
    return {"bytes": rows.nbytes, "there": same(there, rows), "back": same(back, rows)}


def same(on_gpu, rows):
    return torch.equal(on_gpu.cpu(), rows)


def limits(sm_limits: str) -> dict:
    """What a model's products were told, and how many blocks they took, where 20 may be left."""
    start_world()
    count = ctypes.CDLL(None).pretended_count
    sizes = replace(SIZES, sm_limits=sm_limits, communication_sms=20, looped_ep=2)
    _, runtime = make_runtime(sizes, 1, 0, 4)
    runtime.run_step(0)
    return {
        "products": {
            f"{kind}{blocks}": count(f"{kind}products of {blocks} blocks".encode())
            for kind in ("", "grouped ")
            for blocks in (112, 132)
        },
        "cublas": count(b"cublasSetSmCountTarget 112"),
        "carveout": torch._C._get_sm_carveout_experimental(),
        "library": str(torch.backends.cuda.preferred_blas_library()),
    }


if __name__ == "__main__":
    case, *rest = sys.argv[1:]
    print(json.dumps(globals()[case](*rest)), flush=True)
