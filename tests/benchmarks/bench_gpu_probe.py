"""What a card and its image can do of what the other benchmarks need, each in a process of its own.

    python tests/benchmarks/bench_gpu_probe.py [--json FILE]

Seconds, run first: where something fails or hangs, this says what, and nothing else is lost by it.
``environment`` in the JSON file is what made NCCL work, for what runs after (`run_all.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from apart import Answer, End, Tell, run_apart

PATIENCE = 25.0
"""Seconds of one probe, CUDA's start and a compiler's run included."""

PLAINER_NCCL = {
    "NCCL_CUMEM_ENABLE": "0",
    "NCCL_CUMEM_HOST_ENABLE": "0",
    "NCCL_NVLS_ENABLE": "0",
}
"""Without what NCCL needs of a driver beyond plain memory."""


def card() -> Answer:
    """What it is."""
    told = torch.cuda.get_device_properties(0)
    free, total = torch.cuda.mem_get_info()
    return {
        "name": told.name,
        "multiprocessors": told.multi_processor_count,
        "capability": f"{told.major}.{told.minor}",
        "free_gib": free / 2**30,
        "total_gib": total / 2**30,
    }


def image() -> Answer:
    """Versions and tools; the host's own cores and shared memory."""
    import triton

    tools = ("gcc", "cc", "nvcc", "nvidia-smi", "ptxas")
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "nccl": torch.cuda.nccl.version(),
        "cudnn": torch.backends.cudnn.version(),
        "triton": triton.__version__,
        "tools": [tool for tool in tools if shutil.which(tool)],
        "cores": len(os.sched_getaffinity(0)),
        "shared_memory_gib": shutil.disk_usage("/dev/shm").free / 2**30,
    }


def clocks() -> Answer:
    """What nvidia-smi says of clocks, power and sharing; settings are left as they are."""
    asked = "clocks.sm,clocks.max.sm,clocks.mem,power.draw,temperature.gpu,mig.mode.current"
    command = ["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return dict(zip(asked.split(","), done.stdout.strip().split(", "), strict=True))


def _milliseconds(work: Callable[[], Any], repeats: int = 5) -> float:
    work()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(repeats):
        work()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / repeats


def _rows() -> torch.Tensor:
    return torch.randn(8192, 7168, device="cuda").to(torch.bfloat16)


def paced(sms: int, rate: float) -> Answer:
    """Whether our copy kernel copies, and its GB/s; needs Triton and its C compiler."""
    from dpprof.reference.dispatchers.copy_kernel import paced_copy

    source = _rows()
    to = torch.zeros_like(source)
    took = _milliseconds(lambda: paced_copy(to, source, sms, rate))
    return {"gbs": source.nbytes / took / 1e6, "equal": torch.equal(to, source)}


def engines() -> Answer:
    """GB/s to pinned memory and back by copy engines."""
    from dpprof.reference.dispatchers.loopback import CopyEngines

    source, move = _rows(), CopyEngines(torch.device("cuda", 0))
    took = _milliseconds(lambda: move(source))
    return {"gbs": source.nbytes / took / 1e6, "equal": torch.equal(move(source), source)}


def nccl(environment: dict[str, str]) -> Answer:
    """Whether NCCL comes up with one rank and sends to itself."""
    os.environ.update(environment)
    torch.cuda.set_device(0)
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group("nccl", f"file://{folder}/store", rank=0, world_size=1)
        source = _rows()
        to = torch.zeros_like(source)
        took = _milliseconds(lambda: dist.all_to_all_single(to, source))
        return {"gbs": source.nbytes / took / 1e6, "equal": torch.equal(to, source)}


def profiler() -> Answer:
    """Kernels that torch.profiler sees of one product."""
    from torch.profiler import ProfilerActivity, profile

    rows = _rows()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        _ = rows[:1024] @ rows[:1024].T
        torch.cuda.synchronize()
    kernels = [event.name for event in seen.events() or [] if event.device_type.name == "CUDA"]
    if not kernels:
        raise RuntimeError("torch.profiler sees no kernel: CUPTI gives nothing here")
    return {"kernels": kernels[:5]}


def grouped() -> Answer:
    """Milliseconds of a grouped product of DeepSeek-V3's experts."""
    rows = _rows()
    weight = torch.randn(4, 4096, 7168, device="cuda").to(torch.bfloat16)
    ends = torch.tensor([2048, 4096, 6144, 8192], device="cuda", dtype=torch.int32)
    return {"ms": _milliseconds(lambda: torch._grouped_mm(rows, weight.mT, offs=ends))}


def attention() -> Answer:
    """Whether torch's choice computes DeepSeek-V3's shapes, forth and back."""
    from dpprof.reference.model.attention_kernels import default_works

    shapes = ((1, 128, 512, 192), (1, 128, 512, 192), (1, 128, 512, 128))
    device = torch.device("cuda", 0)
    return {"default_works": default_works(shapes, torch.bfloat16, device)}


def limits() -> Answer:
    """A product's milliseconds with all multiprocessors, and leaving 20."""
    from dpprof.reference.runtime.multiprocessors import leave_multiprocessors

    rows = _rows()
    answer = {}
    for left in (0, 20):
        leave_multiprocessors(left, torch.device("cuda", 0))
        answer[f"ms_leaving_{left}"] = _milliseconds(lambda: rows @ rows.T)
    return answer


PROBES: dict[str, Callable[[], Answer]] = {
    "card": card,
    "image": image,
    "clocks": clocks,
    "paced 8 SMs 160 GB/s": partial(paced, 8, 160.0),
    "paced 8 SMs unpaced": partial(paced, 8, 0.0),
    "paced 20 SMs unpaced": partial(paced, 20, 0.0),
    "nccl": partial(nccl, {}),
    "profiler": profiler,
    "limits": limits,
    "engines": engines,
    "grouped": grouped,
    "attention": attention,
}


def probe(work: Callable[[], Answer]) -> Answer:
    """What it answers, or what went wrong."""
    answer: Answer = {}

    def tell(report: Tell) -> None:
        try:
            report("", work())
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            report("", {"error": f"{type(error).__name__}: {str(error)[:400]}"})

    for told in run_apart(tell, PATIENCE):
        if not isinstance(told, End):
            answer = told[1]
        elif told.words and not answer:
            answer = {"error": told.words}
    return answer


def probe_all(save: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Each probe's answer, saved as it is there."""
    results: dict[str, Any] = {"environment": {}}
    for name, work in PROBES.items():
        results[name] = probe(work)
        if name == "nccl" and "error" in results[name]:
            results["nccl, plainer"] = probe(partial(nccl, PLAINER_NCCL))
            if "error" not in results["nccl, plainer"]:
                results["environment"] = PLAINER_NCCL
        print(name, results[name], flush=True)
        save(results)
    return results


def main() -> int:
    """Probe, write, say whether anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ.setdefault("NCCL_SOCKET_IFNAME", "lo")

    def save(results: dict[str, Any]) -> None:
        if options.json:
            options.json.write_text(json.dumps(results, indent=1) + "\n")

    results = probe_all(save)
    return int(any("error" in one or one.get("equal") is False for one in results.values()))


if __name__ == "__main__":
    raise SystemExit(main())
