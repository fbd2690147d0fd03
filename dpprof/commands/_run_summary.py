"""What ``dpprof run`` prints: a line for each window, a summary at the end, and what went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from dpprof.commands._config import user_patterns
from dpprof.commands._streams import say
from dpprof.errors import DpprofError
from dpprof.launcher.notes import Note

LOG_SCHEMA_VERSION = 1


class WindowLine(msgspec.Struct, frozen=True):
    """What a window's line says, as ``--log`` writes it; shares are 0..1, or null where n/a."""

    schema_version: int
    folder: str
    schedule: str | None
    step_ns: int | None
    bubble_share: float | None
    hidden_share: float | None
    exposed_ns: dict[str, int]  # per step, mean of the ranks
    worst_rank: int | None

    def scalars(self) -> dict[str, float]:
        """What is a number of it, for trackers: times in ms."""
        exposed = {f"exposed_ms/{kind}": ns / 1e6 for kind, ns in self.exposed_ns.items()}
        step_ms = None if self.step_ns is None else self.step_ns / 1e6
        figures = {
            "step_ms": step_ms,
            "bubble_share": self.bubble_share,
            "hidden_share": self.hidden_share,
            **exposed,
        }
        return {name: value for name, value in figures.items() if value is not None}

    def words(self) -> str:
        """The line for people."""
        step = "n/a" if self.step_ns is None else f"{self.step_ns / 1e6:.2f} ms"
        exposed = [f"{kind} {ns / 1e6:.2f} ms" for kind, ns in self.exposed_ns.items()]
        parts = [
            f"step {step}",
            f"bubble {_percent(self.bubble_share)}",
            f"hidden {_percent(self.hidden_share)}",
            f"exposed {', '.join(exposed) or 'nothing'}",
        ]
        if self.worst_rank is not None:
            parts.append(f"worst rank {self.worst_rank}")
        return f"{'; '.join(parts)}; more: dpprof analyze {self.folder}"


class Summary:
    """Listens to a job and prints; has state as it says each thing once."""

    def __init__(self, quiet: bool, log: Path | None) -> None:
        self._quiet, self._log = quiet, log
        self._lined: set[Path] = set()
        if log is not None:
            _check(log)

    def wrote(self, folder: Path, *, tracked: bool = False) -> Mapping[str, float]:
        """Print and log the line of a window; its figures as scalars."""
        if folder in self._lined or (self._quiet and self._log is None and not tracked):
            return {}
        self._lined.add(folder)
        try:
            line = window_line(folder)
        except DpprofError as error:
            say(f"dpprof: {error}")
            return {}
        if not self._quiet:
            say(f"dpprof: {line.words()}")
        if self._log is not None:
            with self._log.open("ab") as log:
                log.write(msgspec.json.encode(line) + b"\n")
        return line.scalars()

    def ended(self, folders: Sequence[Path], notes: Sequence[Note]) -> None:
        """Print what was written, or why nothing was."""
        for text in dict.fromkeys(note.text for note in notes if note.text):
            say(f"dpprof: {text}")
        if not folders:
            say(f"dpprof: {_why_nothing(notes)}")
            return
        for folder in folders:
            self.wrote(folder)
        if not self._quiet:
            _report(folders[-1])


def window_line(folder: Path) -> WindowLine:
    """The figures of a run that go into one line."""
    from dpprof.analysis.report.analyze import analyze
    from dpprof.trace.load import load_run

    report = analyze(load_run(folder, patterns=user_patterns()))
    count = max(len(report.per_step) * len(report.ranks), 1)
    by_kind = {kind: one.exposed_ns // count for kind, one in report.total.by_kind.items()}
    worst = max(report.ranks, key=lambda one: one.bubble_ns, default=None)
    return WindowLine(
        schema_version=LOG_SCHEMA_VERSION,
        folder=str(folder),
        schedule=report.schedule,
        step_ns=report.step_ns,
        bubble_share=report.total.bubble_share,
        hidden_share=report.total.hidden_share,
        exposed_ns={kind: ns for kind, ns in by_kind.items() if ns},
        worst_rank=None if worst is None else worst.rank,
    )


def _report(folder: Path) -> None:
    from dpprof.commands._report import report_on_stderr

    say(f"dpprof: wrote {folder}")
    try:
        report_on_stderr(folder)
    except DpprofError as error:
        say(f"dpprof: {error}")


def _percent(share: float | None) -> str:
    return "n/a" if share is None else f"{share:.1%}"


def _check(log: Path) -> None:
    try:
        log.open("ab").close()
    except OSError as error:
        raise DpprofError(
            f"{log}: cannot be written to ({error.strerror}); choose another file for --log"
        ) from error


def _why_nothing(notes: Sequence[Note]) -> str:
    adapters = sorted({note.adapter for note in notes if note.adapter})
    if any(note.what == "failed" for note in notes):
        return "nothing was recorded, for what is said above"
    if any(note.what == "recorded" for note in notes):
        return (
            "nothing was written: steps were recorded, but the process that trains ended before "
            "it had written them (killed, or by os._exit?)"
        )
    if adapters:
        return (
            f"nothing was recorded: the job trains ({', '.join(adapters)}), but ended before the "
            "steps to record; choose fewer with --skip, --warmup and --num-steps"
        )
    return (
        "nothing was recorded: no training step was seen; a step is an optimizer's step or that "
        "of a framework with an adapter (and Python must not be started with -I, -E or -S)"
    )
