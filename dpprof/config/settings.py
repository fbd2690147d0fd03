"""What can be configured: frozen values, built in one place (`dpprof.config.load`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class KindPattern:
    """A user's own rule for kinds: what matches `pattern` (searched, regex) is of `kind`.

    `where` is one of `dpprof.tables.kinds.EVIDENCE_FIELDS`; `origin` says where the rule is
    written, for messages.
    """

    name: str
    pattern: str
    kind: str
    where: str = "name"
    origin: str = ""


@dataclass(frozen=True, kw_only=True)
class OutputSettings:
    """How reports look where no option says; None: the verb's own default."""

    format: str | None = None
    width: int | None = None  # characters per line


@dataclass(frozen=True, kw_only=True)
class CacheSettings:
    """Where parsed traces are kept, and how much of them; None: the cache's own default."""

    enabled: bool = True
    folder: Path | None = None
    limit_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class GateSettings:
    """What a gate checks where no option says: rules as text, and a baseline (file or run).

    `run_spread` is how much runs are taken to vary, as a part of the step time.
    """

    fail_if: tuple[str, ...] = ()
    baseline: Path | None = None
    repeat: int | None = None
    run_spread: float | None = None


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that is configured; `file` is where it was read from, None where nowhere."""

    kinds: tuple[KindPattern, ...] = ()
    output: OutputSettings = field(default_factory=OutputSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    gate: GateSettings = field(default_factory=GateSettings)
    file: Path | None = None
