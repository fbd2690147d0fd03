"""Imported first by the process that ranks are forked from: ties it to the launcher.

That process imports torch, which takes seconds. It must not outlive a launcher that was
interrupted meanwhile, nor hold the launcher's output open: whoever reads that waits for its end.
"""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing import forkserver

from dpprof.system.processes import die_with_parent


def follow_launcher() -> None:
    """Die when the launcher does, and let go of its output; ranks print to files of their own."""
    die_with_parent(signal.SIGKILL)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)


if getattr(sys.modules["__main__"], "main", None) is forkserver.main:  # we are that process
    follow_launcher()
