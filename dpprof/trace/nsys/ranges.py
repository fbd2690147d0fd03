"""NVTX ranges as annotations, operators, step marks and NCCL's calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dpprof.trace.nsys.database import MISSING, Integers, NsysTables
from dpprof.trace.nsys.nccl import (
    Communicator,
    Schemas,
    call_of,
    collective_of,
    communicators,
    fields_of,
    read_schemas,
    world_of,
)
from dpprof.trace.nsys.pith_train import Setup, setup_of, titles
from dpprof.trace.read.columns import Category, Collective

_TABLE = "NVTX_EVENTS"
_PUSH_POP, _START_END, _DOMAIN = 59, 60, 75
_NCCL_DOMAIN = "NCCL"
_EMIT_NVTX = re.compile(r"(?P<name>.+?)(?:, seq = \d+)?, op_id = \d+(?:, .*)?", re.DOTALL)
"""How ``torch.autograd.profiler.emit_nvtx`` writes an operator."""

_STEP = re.compile(
    r"(?:[\w.]{1,200}\.)?(?:train(?:ing)?[ _-]?)?(?:iteration|iter|step)[ _#:-]*(\d{1,9})",
    re.IGNORECASE,
)
"""``iteration12``, or behind a place in the code, as Megatron writes: ``a.b.training_step_12``."""


@dataclass(frozen=True)
class Ranges:
    """NVTX ranges of one process; `collective` is a position in `collectives`, -1 for none.

    `sized` says whether any of NCCL's calls has a payload, `calls` whether there are any; `setup`
    is what pith-train says of the process.
    """

    thread: Integers  # globalTid
    start_ns: Integers
    end_ns: Integers
    category: Integers
    name: Integers  # a position in `names`
    collective: Integers
    names: tuple[str, ...]
    collectives: tuple[Collective, ...]
    communicators: Mapping[int, Communicator]
    calls: bool
    sized: bool
    setup: Setup | None = None

    @property
    def world(self) -> Communicator | None:
        """The communicator whose ranks are the job's, if it is certain."""
        return world_of(self.communicators)


@dataclass(frozen=True)
class RangeRows:
    """The rows of ``NVTX_EVENTS`` of all processes, by start; texts and payloads as codes."""

    numbers: Integers  # a row each: start, end, globalTid, eventType, domainId
    text: Integers
    texts: list[str]
    payload: Integers
    payloads: list[object]
    schemas: Schemas
    setups: dict[int, Setup]  # by text


def read_rows(tables: NsysTables) -> RangeRows:
    """The rows of all processes; those without a start or a thread are left out."""
    columns = ("start", "end", "globalTid", "eventType", "domainId", "textId")
    *numbers, registered = tables.integers(_TABLE, columns)
    inline = tables.coded(_TABLE, "start", "text")
    payload = tables.coded(_TABLE, "start", "binaryData")
    texts = [one if isinstance(one, str) else "" for one in inline.values]
    ids = np.unique(registered[(inline.codes < 0) & (registered >= 0)])
    known = tables.strings(ids)
    place = np.append(np.searchsorted(ids, registered) + len(texts), -1)[: len(registered)]
    text = np.where(inline.codes >= 0, inline.codes, np.where(registered >= 0, place, -1))
    texts += [known.get(one, "") for one in ids.tolist()]
    text = np.where(text >= 0, text, len(texts))
    rows = np.stack(numbers, axis=1)
    with_thread = np.flatnonzero(rows[:, 2] != MISSING)
    tables.skipped += len(rows) - len(with_thread)
    order = with_thread[np.argsort(rows[with_thread, 0], kind="stable")]
    return RangeRows(
        rows[order],
        text[order],
        [*texts, ""],
        payload.codes[order],
        payload.values,
        read_schemas(tables),
        {code: found for code, one in enumerate(texts) if (found := setup_of(one))},
    )


def ranges_of(rows: RangeRows, process: int) -> Ranges:
    """The ranges that threads of `process` (a globalPid) pushed or started, and that ended."""
    own = np.flatnonzero(rows.numbers[:, 2] >> 24 == process >> 24)
    text, payload = rows.text[own], rows.payload[own]
    start, end, thread, kind, domain = rows.numbers[own].T
    fields = {
        code: fields_of(rows.payloads[code], rows.schemas)
        for code in np.unique(payload[payload >= 0]).tolist()
    }
    known = communicators(fields.values())
    calls = np.array([call_of(one) is not None for one in rows.texts], dtype=bool)[text]
    inside = np.flatnonzero(calls & np.isin(domain, _nccl_domains(rows, calls, domain, payload)))
    table: dict[Collective, int] = {}
    codes = np.full(len(own), MISSING, dtype=np.int64)
    for row in inside.tolist():
        said = collective_of(rows.texts[text[row]], fields.get(int(payload[row]), {}), known)
        codes[row] = table.setdefault(said, len(table))
    shown = np.isin(kind, (_PUSH_POP, _START_END)) & (end >= start)
    said = np.intersect1d(text, [*rows.setups]).tolist() if rows.setups else []
    setup = rows.setups[said[0]] if said else None
    texts, text = _as_pipelining(rows.texts, text, setup)
    used, name = np.unique(text, return_inverse=True)
    called = [_title(texts[one]) for one in used.tolist()]
    names = {title: code for code, title in enumerate(sorted({one for one, _ in called}))}
    category = np.array([int(one) for _, one in called], dtype=np.int64)[name]
    return Ranges(
        thread=thread[shown],
        start_ns=start[shown],
        end_ns=end[shown],
        category=np.where(codes >= 0, int(Category.OPERATOR), category)[shown],
        name=np.array([names[one] for one, _ in called], dtype=np.int64)[name][shown],
        collective=codes[shown],
        names=tuple(names),
        collectives=tuple(table),
        communicators=known,
        calls=bool(len(inside)),
        sized=any(fields.values()),
        setup=setup,
    )


def _as_pipelining(
    texts: list[str], text: Integers, setup: Setup | None
) -> tuple[list[str], Integers]:
    """Texts and their codes, those of pith-train's chunks as torch names its own."""
    if setup is None:
        return texts, text
    found, codes = np.unique(
        titles([texts[one] for one in text.tolist()], setup), return_inverse=True
    )
    return found.tolist(), codes


def _nccl_domains(
    rows: RangeRows, calls: Integers, domain: Integers, payload: Integers
) -> list[int]:
    """The domains that NCCL made: by their name, else by the calls that stand in them."""
    named = np.array([one == _NCCL_DOMAIN for one in rows.texts], dtype=bool)[rows.text]
    made = rows.numbers[named & (rows.numbers[:, 3] == _DOMAIN), 4].tolist()
    if made:
        return sorted(set(made))
    return sorted(set(domain[calls.astype(bool) & ((payload >= 0) | (domain > 0))].tolist()))


def _title(text: str) -> tuple[str, Category]:
    """What a range is called here, and what it is."""
    if found := _EMIT_NVTX.fullmatch(text):
        return found["name"], Category.OPERATOR
    if found := _STEP.fullmatch(text):
        return f"ProfilerStep#{int(found[1])}", Category.ANNOTATION
    return text, Category.ANNOTATION
