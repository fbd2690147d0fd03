"""Several recordings of the same ranks in one folder, as profilers that go on leave them.

torch's TensorBoard handler writes ``HOST_PID.TIME.pt.trace.json`` (vLLM ``...rank-0.TIME...``,
SGLang ``TIME-TP-0.trace.json.gz``), verl ``prof_start_1_end_2_rank_0.json``. Each recording is a
run of its own.
"""

from __future__ import annotations

import glob
import re
from collections import defaultdict
from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path

from dpprof.trace.file_names import name_without_rank, rank_in_name

_TIME_DIGITS = 9
_TIME = re.compile(rf"(?<!\d)\d{{{_TIME_DIGITS},}}(?:\.\d+)?(?!\d)")
_NUMBERS = re.compile(r"(\d+)")
_CAPTURE = re.compile(r"(.+)\.(\d{1,4})(\.sqlite.*)")
"""``worker_process_4711.2.sqlite``: nsys numbers what one process recorded at several times."""
_MOST_SHOWN = 6


def recordings(files: Sequence[Path]) -> list[list[Path]]:
    """The files of one folder as recordings, each of other files of the same ranks, by time.

    One where every file is another rank's, as far as names tell.
    """
    for split in (_by_time, _by_name):
        found = split(files)
        if len(found) > 1:
            return found
    return [list(files)]


def _by_time(files: Sequence[Path]) -> list[list[Path]]:
    """The first of each writer, the second, ...: times differ a little from rank to rank."""
    writers: dict[str, list[tuple[float, Path]]] = defaultdict(list)
    for file in files:
        time = _TIME.search(file.name)
        if time is None:
            return []
        writer = file.name[: time.start()] + file.name[time.end() :]
        writers[writer].append((float(time[0]), file))
    counts = {len(one) for one in writers.values()}
    if len(counts) != 1:
        return []
    in_time = [[file for _, file in sorted(one)] for one in writers.values()]
    return [sorted(group) for group in zip(*in_time, strict=True)]


def _by_name(files: Sequence[Path]) -> list[list[Path]]:
    """Files whose names are alike but for the rank; nothing where no rank comes twice."""
    groups: dict[str, list[Path]] = defaultdict(list)
    ranks = [rank_in_name(file) for file in files]
    if None in ranks or len(set(ranks)) == len(ranks):
        return []
    for file in files:
        groups[name_without_rank(file)].append(file)
    alike = {tuple(sorted(str(rank_in_name(file)) for file in one)) for one in groups.values()}
    return [sorted(one) for one in groups.values()] if len(alike) == 1 else []


def or_one_of(files: Sequence[Path]) -> str:
    """What to add to an error of traces that are no run: that they may be several recordings.

    "" where names do not tell so: files of a process by the number of its capture (nsys), or those
    whose names differ in a word and have the same numbers (SGLang's ``EXTEND`` and ``DECODE``).
    """
    unique = sorted(set(files))
    if len({file.parent for file in unique}) != 1:
        return ""
    for split in (_by_capture, _by_words):
        found = split(unique)
        if len(found) > 1:
            count = f"{len(found)} recordings of {_traces(len(found[0]))} each"
            return f"; if they are {count}, give one of them: {_typed(unique[0].parent, found)}"
    return ""


def _by_capture(files: Sequence[Path]) -> list[list[Path]]:
    matches = [_CAPTURE.fullmatch(file.name) for file in files]
    groups: dict[str, list[Path]] = defaultdict(list)
    writers: dict[str, set[str]] = defaultdict(set)
    for file, match in zip(files, matches, strict=True):
        if match is None:
            return []
        groups[match[2]].append(file)
        writers[match[2]].add(match[1] + match[3])
    same = all(one == writers[next(iter(writers))] for one in writers.values())
    return list(groups.values()) if same else []


def _by_words(files: Sequence[Path]) -> list[list[Path]]:
    groups: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    numbers: dict[tuple[str, ...], list[list[str]]] = defaultdict(list)
    for file in files:
        parts = _NUMBERS.split(file.name)
        groups[tuple(parts[::2])].append(file)
        numbers[tuple(parts[::2])].append(parts[1::2])
    same = all(one == numbers[next(iter(numbers))] != [[]] for one in numbers.values())
    return list(groups.values()) if same else []


def what_to_type(folder: Path, found: Sequence[Sequence[Path]]) -> str:
    """A message that lists recordings of a folder, each as it can be given."""
    return (
        f"{folder}: has several traces of the same ranks, and "
        f"holds {len(found)} recordings of {_traces(len(found[0]))} each; "
        f"give one of them: {_typed(folder, found)}"
    )


def _traces(number: int) -> str:
    return f"{number} {'trace' if number == 1 else 'traces'}"


def _typed(folder: Path, found: Sequence[Sequence[Path]]) -> str:
    """The last recordings of a folder as they can be given, and how many more there are."""
    everything = [file.name for group in found for file in group]
    typed = [f"'{folder / _pattern(group, everything)}'" for group in found]
    shown = ", ".join(typed[-_MOST_SHOWN:])
    return (f"{len(typed) - _MOST_SHOWN} earlier ones and " if typed[_MOST_SHOWN:] else "") + shown


def _pattern(group: Sequence[Path], everything: Sequence[str]) -> str:
    """A pattern that means the files of a recording and no other; else the first of them.

    Numbers in which the names differ become wildcards, times keep what they have in common.
    """
    wanted = sorted(file.name for file in group)
    parts = [_NUMBERS.split(name) for name in wanted]
    if len({len(one) for one in parts}) != 1:
        return glob.escape(wanted[0])
    pattern = "".join(map(_common, zip(*parts, strict=True)))
    found = sorted(name for name in everything if fnmatchcase(name, pattern))
    return pattern if found == wanted else glob.escape(wanted[0])


def _common(column: Sequence[str]) -> str:
    if len(set(column)) == 1:
        return glob.escape(column[0])
    is_time = min(map(len, column)) >= _TIME_DIGITS
    same = takewhile(lambda digits: len(set(digits)) == 1, zip(*column, strict=False))
    return "".join(digits[0] for digits in same if is_time) + "*"
