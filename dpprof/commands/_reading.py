"""The options on how traces are read, and the progress of it, for verbs that read runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dpprof.errors import DpprofError

if TYPE_CHECKING:
    from dpprof.trace.source.read_ranks import Reading

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])

EXECUTORS = ("local", "dask")


def reading_options(function: _Decorated) -> _Decorated:
    """Add the options of `ReadingOptions`."""
    for option in (
        click.option(
            "--step-range",
            metavar="PATTERN",
            default="",
            help="Ranges that are the steps, by name: 'iteration*'. [default: the trace's marks]",
        ),
        click.option(
            "--scheduler", metavar="ADDRESS", help="Address of the Dask cluster: tcp://HOST:8786."
        ),
        click.option(
            "--executor",
            type=click.Choice(EXECUTORS),
            default=EXECUTORS[0],
            show_default=True,
            help="Read traces in processes here, or on a Dask cluster that sees the same files.",
        ),
    ):
        function = option(function)
    return function


@dataclass(frozen=True)
class ReadingOptions:
    """What the options of `reading_options` say, checked."""

    executor: str = EXECUTORS[0]
    scheduler: str | None = None
    step_range: str = ""

    def __post_init__(self) -> None:
        if self.executor == "dask" and self.scheduler is None:
            raise DpprofError("--executor dask needs an address; add --scheduler tcp://HOST:8786")
        if self.executor != "dask" and self.scheduler is not None:
            raise DpprofError("--scheduler is the address of a Dask cluster; add --executor dask")

    @contextmanager
    def shown(self) -> Iterator[Reading]:
        """How to read; while it is open, the progress is shown, on a terminal only."""
        from dpprof.trace.source.read_ranks import Reading

        if not sys.stderr.isatty():
            yield Reading(scheduler=self.scheduler, step_range=self.step_range)
            return
        from rich.console import Console
        from rich.progress import Progress

        # Refreshed by no thread of its own: what has threads must not fork to read.
        console = Console(stderr=True)
        with Progress(console=console, transient=True, auto_refresh=False) as bar:
            task = bar.add_task("Reading ranks", total=None)

            def show(done: int, total: int) -> None:
                said = "Reading ranks"
                bar.update(task, description=said, completed=done, total=total, refresh=True)

            def show_copying(done: int, total: int) -> None:
                said = f"Copying {done / 1e6:.0f} of {total / 1e6:.0f} MB"
                bar.update(task, description=said, completed=done, total=total, refresh=True)

            yield Reading(
                scheduler=self.scheduler,
                progress=show,
                fetched=show_copying,
                step_range=self.step_range,
            )


LOCAL = ReadingOptions()
