"""Parts of a run to entries of the cache, and back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pandas as pd

from dpprof.evidence.evidence import Evidence
from dpprof.store.contents import Look, code_digest, digest, look, sample
from dpprof.store.entries import About, CacheEntry, Damaged, open_entry, write_entry
from dpprof.store.parquet import from_parquet, to_parquet
from dpprof.store.place import CacheLocation
from dpprof.trace.activities.kind_rules import KindRule
from dpprof.trace.activities.package_tables import tables_digest
from dpprof.trace.activities.unknown_kernels import UnknownKernel
from dpprof.trace.file_formats import companions
from dpprof.trace.file_names import rank_in_name
from dpprof.trace.rank.identity import TraceIdentity
from dpprof.trace.rank.rank_part import RankPart, make_part
from dpprof.trace.rank.read_file import read_file
from dpprof.trace.rank.tables import RankTables

_TABLES = ("communications", "spans", "slots", "memory", "steps", "host_spans", "waits")
_EVENTS, _EXPLAINED = "events", "explained"
_POSITION, _NO_WAIT, _COUNTED = "position", "no_wait", "counted"
_PARTS, _REST = "parts", "rest"
_READER = ("trace", "evidence", "tables", "runs", "schedules", "store")


@dataclass(frozen=True)
class ReadRequest:
    """A trace to read: `rank` is used where nothing says one, `patterns` are the user's rules.

    With `given`, `rank` is what the user says, whatever else says. `step_range` is the pattern of
    the ranges that are steps, if the user gives one.
    """

    file: Path
    rank: int | None = None
    patterns: Sequence[KindRule] = ()
    given: bool = False
    step_range: str = ""

    def read(self) -> list[RankTables]:
        """Read the trace, one part per rank and device; raises `DpprofError`."""
        return read_file(
            self.file, self.rank, self.patterns, given=self.given, step_range=self.step_range
        )

    def key(self, part: int = 0) -> str:
        """The key of a part's entry: what is in the file, how it is read. Raises OSError."""
        named = rank_in_name(self.file) is not None and not self.given
        how = (self.file.name, None if named else self.rank, [repr(one) for one in self.patterns])
        about = f"{how!r} {'given ' if self.given else ''}{code_digest(*_READER)}".encode()
        about += f" part {part}".encode() if part else b""
        about += f" steps {self.step_range!r}".encode() if self.step_range else b""
        about += tables_digest().encode()
        about += b"".join(f" {digest(one):08x}".encode() for one in companions(self.file))
        return hashlib.sha256(sample(self.file) + about).hexdigest()[:40]


class Rest(msgspec.Struct, frozen=True, kw_only=True):
    """What a part has besides tables."""

    rank: int
    identity: TraceIdentity
    on_gpu: bool
    count: int
    marked: tuple[int, ...]
    warnings: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    unknown: tuple[UnknownKernel, ...]
    knows_waits: bool


class PackedPart(NamedTuple):
    """One rank, or one of its devices, as an entry would hold it: `contents` are Parquet files."""

    contents: Mapping[str, bytes]
    rest: Rest


@dataclass(frozen=True)
class Packed:
    """A trace that was read; `digest` is of its bytes, `look` None where it changed meanwhile."""

    parts: tuple[PackedPart, ...]
    digest: int
    look: Look | None


def pack(request: ReadRequest) -> Packed:
    """Read a trace and pack its tables; raises `DpprofError`."""
    before = look_at(request.file)
    tables = request.read()
    return pack_tables(request, tables, before)


def pack_tables(request: ReadRequest, tables: Sequence[RankTables], before: Look | None) -> Packed:
    """Pack the tables of a trace that looked like `before` when reading it began."""
    parts = tuple(_pack_part(one, request.file) for one in tables)
    try:
        checksum = digest(request.file)
    except OSError:
        before, checksum = None, 0
    after = look_at(request.file)
    same = before is not None and after is not None and before.stamp == after.stamp
    return Packed(parts, checksum, before if same else None)


def _pack_part(tables: RankTables, file: Path) -> PackedPart:
    part = make_part(tables, file)
    frames = {name: getattr(part, name) for name in _TABLES}
    frames["communications"] = part.communications.copy(deep=False)
    frames["communications"][_POSITION] = part.positions
    frames["communications"][_NO_WAIT] = part.no_wait.astype(np.int8)
    frames["communications"][_COUNTED] = part.counted.astype(np.int8)
    frames |= {_EVENTS: tables.events, _EXPLAINED: tables.explained}
    rest = Rest(**{name: getattr(part, name) for name in Rest.__struct_fields__})
    return PackedPart({name: to_parquet(frame) for name, frame in frames.items()}, rest)


def unpack(request: ReadRequest, packed: Packed) -> list[RankPart]:
    """The parts of a packed trace; their events stay packed until they are asked for."""
    parts = []
    for contents, rest in packed.parts:
        tables = {name: from_parquet(contents[name]) for name in _TABLES}
        later = {name: _PackedTable(contents[name]) for name in (_EVENTS, _EXPLAINED)}
        parts.append(_part(request, tables, rest, later))
    return parts


def keep(place: CacheLocation, request: ReadRequest, packed: Packed) -> bool:
    """Store a packed trace; False where it changed meanwhile. Raises OSError."""
    if packed.look is None:
        return False
    for number, (contents, rest) in enumerate(packed.parts):
        about = About(
            source=str(request.file.absolute()),
            digest=packed.digest,
            stamps=[packed.look.stamp] if packed.look.settled else [],
            files={},
            rest={_PARTS: len(packed.parts), _REST: msgspec.to_builtins(rest)},
        )
        write_entry(place, request.key(number), contents, about)
    return True


def find_parts(place: CacheLocation, request: ReadRequest) -> list[RankPart] | None:
    """The parts that are stored for this very content; None where one is not, or is damaged."""
    try:
        parts: list[RankPart] = []
        count = 1
        while len(parts) < count:
            entry = open_entry(place, request.key(len(parts)))
            if entry is None or not _is_right(entry, request.file):
                return None
            count = int(entry.about.rest[_PARTS])
            parts.append(_stored(place, request, len(parts), entry))
            entry.touch()
    except (OSError, Damaged, msgspec.ValidationError, KeyError, TypeError, ValueError):
        return None
    return parts


def _stored(place: CacheLocation, request: ReadRequest, number: int, entry: CacheEntry) -> RankPart:
    tables = {name: entry.table(name) for name in _TABLES}
    rest = msgspec.convert(entry.about.rest[_REST], Rest)
    later = {}
    for name in (_EVENTS, _EXPLAINED):
        entry.check(name)
        later[name] = StoredTable(place, request.key(number), request, name, number)
    return _part(request, tables, rest, later)


def _is_right(entry: CacheEntry, file: Path) -> bool:
    now = look(file)
    if entry.knows(now.stamp):
        return True
    if digest(file) != entry.about.digest:
        return False
    if now.settled:
        entry.remember(now.stamp)
    return True


def look_at(file: Path) -> Look | None:
    """How the file looks now; None where there is none to be seen."""
    try:
        return look(file)
    except OSError:
        return None


@dataclass(frozen=True)
class StoredTable:
    """Gets a table of a rank from its entry, or once more from the trace where that is gone."""

    place: CacheLocation
    key: str
    request: ReadRequest
    name: str
    part: int = 0

    def __call__(self) -> pd.DataFrame:
        """The table."""
        entry = open_entry(self.place, self.key)
        if entry is not None:
            with suppress(Damaged):
                return entry.table(self.name)
        packed = pack(self.request)
        with suppress(OSError):
            keep(self.place, self.request, packed)
        return from_parquet(packed.parts[self.part].contents[self.name])


@dataclass(frozen=True)
class _PackedTable:
    content: bytes = field(repr=False)

    def __call__(self) -> pd.DataFrame:
        return from_parquet(self.content)


def _part(
    request: ReadRequest,
    tables: dict[str, pd.DataFrame],
    rest: Rest,
    later: Mapping[str, StoredTable | _PackedTable],
) -> RankPart:
    communications = tables.pop("communications")
    positions = communications.pop(_POSITION).to_numpy(np.intp)
    no_wait = communications.pop(_NO_WAIT).to_numpy(bool)
    counted = communications.pop(_COUNTED).to_numpy(bool)
    fields: dict[str, Any] = {name: getattr(rest, name) for name in Rest.__struct_fields__}
    return RankPart(
        file=request.file,
        communications=communications,
        positions=positions,
        no_wait=no_wait,
        counted=counted,
        load=later[_EVENTS],
        explained=later[_EXPLAINED],
        **fields | tables,
    )
