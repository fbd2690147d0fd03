"""What a run's own traces say, counted without dpprof: steps, and when nothing was computed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

NO_WORK = ("c10d::", "record_param_comms", "dpprof:", "gloo:", "autograd::engine::")


def spans(folder: Path, rank: int):
    events = json.loads(gzip.decompress((folder / f"rank{rank}.json.gz").read_bytes()))
    return [event for event in events["traceEvents"] if event.get("ph") == "X"]


def computing(events) -> list[tuple[float, float]]:
    """When operators ran on the thread that marks the steps, but for those that communicate."""
    main = {event["tid"] for event in events if event["name"].startswith("ProfilerStep#")}
    return sorted(
        (event["ts"], event["ts"] + event["dur"])
        for event in events
        if event.get("cat") == "cpu_op"
        and not event["name"].startswith(NO_WORK)
        and event["tid"] in main
    )


def covered(spans, begin: float, end: float) -> float:
    """How long any of the sorted spans is under way between two instants."""
    busy, reach = 0.0, begin
    for start, stop in spans:
        start, stop = max(start, reach), min(stop, end)
        if stop > start:
            busy, reach = busy + stop - start, stop
    return busy


def shares(folder: Path) -> tuple[float, float]:
    """Length of the job's step in ms, and the share of it in which a rank did not compute.

    A step of the job begins when its last rank has ended the step before. Means over the ranks and
    the measured steps.
    """
    manifest = json.loads((folder / "run.json").read_bytes())
    ranks = [spans(folder, rank) for rank in range(manifest["world_size"])]
    ends: dict[int, float] = {}
    for event in (event for events in ranks for event in events):
        if event["name"].startswith("ProfilerStep#"):
            number = int(event["name"].partition("#")[2])
            ends[number] = max(ends.get(number, 0.0), event["ts"] + event["dur"])
    windows = [(ends[step - 1], ends[step]) for step in manifest["steps"]["measured"]]
    length = sum(end - begin for begin, end in windows)
    busy = sum(
        covered(work, *window) for work in map(computing, ranks) for window in windows
    ) / len(ranks)
    return length / len(windows) / 1e3, 1 - busy / length
