"""Primus' ``pp_data`` dumps: when each forward and backward of a pipeline began and ended.

AMD-AGI/Primus writes ``config.json`` and a ``pp_rank_<r>.json`` per pipeline rank; each iteration
lists ``fwd_start``, ``fwd_end``, ``bwd_start`` and ``bwd_end`` by micro-batch, in milliseconds
from a start that all ranks share. Nothing in it communicates, so that figures of communication are
not known. Source: Primus' ``pp_vis`` example.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from dpprof.errors import DpprofError
from dpprof.tables.labels import Label
from dpprof.trace.file_formats import PRIMUS_CONFIG, PRIMUS_DUMP, primus_dumps
from dpprof.trace.read.columns import Category, TraceColumns, no_memory

_LARGEST_BYTES = 256 << 20
_MOST_MS = 1e9
_NS_PER_MS = 1_000_000
_MAIN = ("0", "0")
_OPERATIONS = (("F", "fwd_start", "fwd_end"), ("B", "bwd_start", "bwd_end"))


class Iteration(msgspec.Struct):
    """One iteration of one rank; times in milliseconds, memory in GB."""

    total: float
    fwd_start: list[float]
    fwd_end: list[float]
    bwd_start: list[float]
    bwd_end: list[float]
    memory: float | None = None


class _Config(msgspec.Struct):
    pp_size: int
    world_size: int = 0
    vp_size: int = 1


class _Span(NamedTuple):
    name: str
    start_ns: int
    end_ns: int


def read_primus(file: Path) -> TraceColumns:
    """The dump of one rank as a labelled trace: a step mark per iteration, a slot per operation.

    Iterations follow each other, each as long as on the rank where it took longest. Raises
    `DpprofError` that names the file where it has another form, several chunks a rank, or times
    that cannot be.
    """
    config = _decoded(file.parent / PRIMUS_CONFIG, _Config)
    if config.vp_size != 1:
        raise DpprofError(
            f"{file.parent / PRIMUS_CONFIG}: vp_size is {config.vp_size}; dumps of interleaved "
            "schedules do not say which chunk an operation is of, and are not read"
        )
    own = _iterations(file)
    every = [_iterations(one) for one in primus_dumps(file.parent)]
    rank = int(_rank_of(file))
    spans = list(_spans(own, every, rank, file))
    return _columns(spans, rank, config)


def _rank_of(file: Path) -> str:
    found = PRIMUS_DUMP.fullmatch(file.name)
    assert found is not None
    return found[1]


def _iterations(file: Path) -> Mapping[int, Iteration]:
    plain = _decoded(file, dict[str, Iteration])
    if not plain or not all(name.isdecimal() and len(name) < 10 for name in plain):
        raise DpprofError(f"{file}: holds no numbered iterations; give a dump of Primus' pp_data")
    return {int(name): one for name, one in plain.items()}


def _decoded(file: Path, type: Any) -> Any:
    try:
        if file.stat().st_size > _LARGEST_BYTES:
            raise DpprofError(f"{file}: over {_LARGEST_BYTES} bytes, so no dump of Primus' pp_data")
        return msgspec.json.decode(file.read_bytes(), type=type)
    except OSError as error:
        raise DpprofError(f"{file}: cannot be read ({error.strerror})") from error
    except (msgspec.MsgspecError, RecursionError) as error:
        raise DpprofError(f"{file}: no dump of Primus' pp_data ({error})") from error


def _spans(
    own: Mapping[int, Iteration], every: list[Mapping[int, Iteration]], rank: int, file: Path
) -> Iterator[_Span]:
    start_ms = 0.0
    for number, iteration in sorted(own.items()):
        length_ms = max(other[number].total for other in every if number in other)
        if not 0 < length_ms < _MOST_MS:
            raise DpprofError(f"{file}: iteration {number}: a total of {length_ms} ms cannot be")
        mark = (_ns(start_ms), _ns(start_ms + length_ms))
        yield _Span(f"ProfilerStep#{number}", *mark)
        for operation, begins, ends in _OPERATIONS:
            times = zip(getattr(iteration, begins), getattr(iteration, ends), strict=False)
            if len(getattr(iteration, begins)) != len(getattr(iteration, ends)):
                raise DpprofError(f"{file}: iteration {number}: {begins} and {ends} differ")
            for micro_batch, (begin, end) in enumerate(times):
                if not 0 <= begin <= end < _MOST_MS:
                    raise DpprofError(
                        f"{file}: iteration {number}: {operation}{micro_batch} from {begin} to "
                        f"{end} ms cannot be"
                    )
                span = (_ns(start_ms + begin), _ns(start_ms + end))
                slot = f"{operation}0.{micro_batch}"
                yield _Span(str(Label(kind="slot", slot=slot)), *span)
                label = Label(kind="compute", slot=slot, action=slot, part=operation, stage=rank)
                yield _Span(str(label), *span)
        start_ms += length_ms


def _ns(time_ms: float) -> int:
    return round(time_ms * _NS_PER_MS)


def _columns(spans: list[_Span], rank: int, config: _Config) -> TraceColumns:
    names = list(dict.fromkeys(span.name for span in spans))
    code = {name: number for number, name in enumerate(names)}
    count = len(spans)
    none = np.full(count, -1, dtype=np.int64)
    return TraceColumns(
        category=np.full(count, int(Category.ANNOTATION), dtype=np.uint8),
        name=np.array([code[span.name] for span in spans], dtype=np.int32),
        thread=np.zeros(count, dtype=np.int32),
        start_ns=np.array([span.start_ns for span in spans], dtype=np.int64),
        end_ns=np.array([span.end_ns for span in spans], dtype=np.int64),
        correlation=none,
        stream=none.astype(np.int32),
        device=none.astype(np.int32),
        bytes=none,
        collective=none.astype(np.int32),
        names=tuple(names),
        threads=(_MAIN,),
        streams=(),
        collectives=(),
        thread_names={_MAIN: ("compute",)},
        process_names={},
        memory=no_memory(),
        distributed={"rank": rank, "world_size": config.world_size or config.pp_size},
        host_name="primus",
        dpprof={"rank": rank, "pp_rank": rank, "source": "captured"},
        skipped=0,
    )
