"""Compiles our kernels for GPUs that are not here: ``compile_kernels.py CAPABILITY``, as JSON."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from dpprof.reference.dispatchers import copy_kernel
from dpprof.reference.dispatchers.copy_kernel import BLOCK, WARPS

ROWS, START, COUNT = "*bf16", "*i64", "i32"
KERNELS = {
    "_copy_kernel": (
        {
            "to": ROWS,
            "to_row": START,
            "source": ROWS,
            "source_row": START,
            "width": COUNT,
            "count": COUNT,
            "BLOCK": "constexpr",
        },
        {"BLOCK": BLOCK},
    ),
    "_paced_copy": (
        {
            "to": ROWS,
            "source": ROWS,
            "count": COUNT,
            "ns_per_block": COUNT,
            "BLOCK": "constexpr",
            "PACED": "constexpr",
        },
        {"BLOCK": BLOCK, "PACED": True},
    ),
}
ALIGNED = [["tt.divisibility", 16]]


def compile_kernel(name: str, capability: int) -> dict[str, int]:
    """Registers of a thread, bytes that it spills, and bytes that it loads at a time."""
    signature, constants = KERNELS[name]
    kernel = getattr(copy_kernel, name)
    positions = {(kernel.arg_names.index(key),): value for key, value in constants.items()}
    aligned = {
        (kernel.arg_names.index(key),): ALIGNED
        for key, kind in signature.items()
        if kind != "constexpr" and key != "ns_per_block"
    }
    source = ASTSource(kernel, signature, positions, aligned)
    target = GPUTarget("cuda", capability, 32)
    compiled = triton.compile(source, target=target, options={"num_warps": WARPS})
    said = assemble(compiled.asm["ptx"])
    loads = re.findall(r"ld\.global(?:\.\w+)*\.v(\d)\.b32", compiled.asm["ptx"])
    return {
        "registers": int(re.search(r"Used (\d+) registers", said)[1]),
        "spilled": sum(map(int, re.findall(r"(\d+) bytes spill", said))),
        "in_flight": sum(map(int, loads)) * 4 * 32 * WARPS,
    }


def assemble(ptx: str) -> str:
    """What ptxas says of a kernel."""
    tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    architecture = re.search(r"\.target (sm_\w+)", ptx)[1]
    newest = tools / "ptxas-blackwell"
    tool = newest if architecture.startswith("sm_1") and newest.exists() else tools / "ptxas"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.ptx"
        file.write_text(ptx)
        command = [tool, "-v", "--gpu-name", architecture, file, "-o", Path(folder) / "cubin"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stderr


if __name__ == "__main__":
    capability = int(sys.argv[1])
    print(json.dumps({name: compile_kernel(name, capability) for name in KERNELS}))
