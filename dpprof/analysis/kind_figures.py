"""The shape of what ``dpprof analyze --explain-kinds`` writes."""

from __future__ import annotations

import msgspec

KINDS_SCHEMA_VERSION = 1


class ExplainedKind(msgspec.Struct, frozen=True, kw_only=True):
    """Activities with the same evidence and verdict; "" where there is no such evidence.

    `matched` is false where no rule knew them and they are taken for computation; `suspect` where
    any of these ran on a lane that mostly communicates. `ranks` lists the ranks that have any.
    """

    kind: str
    rule: str
    matched: bool
    suspect: bool
    category: str
    name: str
    collective: str
    group: str
    annotation: str
    call: str
    activities: int
    total_ns: int
    ranks: list[int]


class KindReport(msgspec.Struct, frozen=True, kw_only=True):
    """What ``analyze --explain-kinds --format json`` writes; most time first."""

    schema_version: int = KINDS_SCHEMA_VERSION
    name: str
    ranks: list[int]
    kinds: list[ExplainedKind]
