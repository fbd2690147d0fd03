"""Keeps matrix products off some multiprocessors, so that communication finds them free.

Products on Hopper are persistent: one block for each multiprocessor, with its tiles dealt out
beforehand. Where an exchange holds a few, the blocks that find none run as a second wave, and the
product takes up to twice as long (pytorch issue 143988). Told to take fewer, they run in one.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch

from dpprof.errors import DpprofError


def leave_multiprocessors(count: int, device: torch.device) -> None:
    """Have this process's products leave `count` multiprocessors of `device` free; 0: none.

    bfloat16 grouped products and cuBLASLt ask torch's carve-out; what goes through cuBLAS is told
    by its handle. Raises `DpprofError` where cuBLAS cannot be told.
    """
    total = torch.cuda.get_device_properties(device).multi_processor_count
    if not 0 <= count < total:
        raise DpprofError(
            f"communication_sms {count}: the GPU has {total} multiprocessors; leave some to compute"
        )
    torch.backends.cuda.preferred_blas_library("cublaslt" if count else "default")
    torch._C._set_sm_carveout_experimental(count or None)
    _tell_cublas(total - count if count else 0)


def _tell_cublas(multiprocessors: int) -> None:
    """``cublasSetSmCountTarget`` on torch's handle; 0 means all."""
    name = f"libcublas.so.{str(torch.version.cuda).partition('.')[0]}"
    try:
        set_target = _function(name, "cublasSetSmCountTarget")
    except (OSError, AttributeError) as error:
        raise DpprofError(
            f"{name} cannot be told how many multiprocessors to use ({error}); "
            "use --set sm_limits=none"
        ) from error
    code = set_target(ctypes.c_void_p(torch.cuda.current_blas_handle()), multiprocessors)
    if code:
        raise DpprofError(f"cublasSetSmCountTarget failed ({code}); use --set sm_limits=none")


def _function(library: str, name: str) -> Any:
    """What the process calls by that name, else the library's own."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except AttributeError:
        return getattr(ctypes.CDLL(library), name)
