"""``with dpprof.capture(folder) as capture: ...``: a trace per rank, and ``run.json``."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dpprof.errors import DpprofError
from dpprof.instrument.options import read_options
from dpprof.instrument.session import Capture
from dpprof.instrument.world import find_world


@contextmanager
def capture(folder: str | os.PathLike[str], **options: Any) -> Iterator[Capture]:
    """Capture `warmup` + `steps` training steps of this rank into `folder`.

    Options are the fields of `CaptureOptions`. Each rank writes its own ``rank<r>.json.gz``, and
    the lowest one ``run.json``; no rank waits for another. Where `folder` holds a run already, the
    next free one beside it is taken (``x-2``). Steps that are complete are written whatever ends
    the block: an exception, `sys.exit`, Ctrl-C, SIGTERM. Raises `DpprofError` on entering for
    everything that can be known to be wrong by then; later, warnings (`CaptureWarning`).
    """
    if importlib.util.find_spec("torch") is None:
        raise DpprofError("capturing needs torch: pip install 'dpprof[profile]'")
    world = find_world()
    session = Capture(Path(folder), read_options(options, world), world)
    try:
        session.start()
        yield session
    finally:
        session.close()
