"""Shared output manners of the verbs: ``--format``, ``-o FILE``, ``--force``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from dpprof.commands._elsewhere import check_address, made_here, shown_output
from dpprof.commands._inputs import spare_inputs
from dpprof.commands._streams import write_result
from dpprof.config.load import load_config
from dpprof.errors import DpprofError
from dpprof.store.remote import address_of
from dpprof.system.inputs import plain_text
from dpprof.system.whole import write_whole

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


@dataclass(frozen=True)
class Output:
    """Where a report goes and in what format; checked before the long work starts."""

    path: Path | None
    format: str
    width: int | None = None  # characters per line, where it is configured

    @property
    def color(self) -> bool:
        """Whether the text may hold colours: a terminal that has not asked for none."""
        plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
        return self.path is None and sys.stdout.isatty() and not plain

    def write(self, text: str) -> None:
        """Write the report, whole or not at all; says where on stderr."""
        text = plain_text(text if text.endswith("\n") else text + "\n")
        if self.path is None:
            write_result(text, color=self.color)
            return
        with made_here(self.path, force=True) as place:
            try:
                write_whole(place, text.encode())
            except OSError as error:
                raise DpprofError(
                    f"{place}: cannot be written ({error.strerror or error})"
                ) from error
        if place != self.path or self.path.is_file():
            click.echo(f"Wrote {shown_output(self.path)}", err=True)


def output_options(formats: Sequence[str]) -> Callable[[_Decorated], _Decorated]:
    """Add ``--format``, ``-o`` and ``--force``; turn them into one `Output` with `make_output`."""

    def decorate(function: _Decorated) -> _Decorated:
        for option in (
            click.option("--force", is_flag=True, help="Overwrite the output file."),
            click.option(
                "-o",
                "--output",
                "output_path",
                type=click.Path(dir_okay=False, path_type=Path),
                help="Write to FILE ('-' is stdout); its ending picks the format.",
            ),
            click.option(
                "--format",
                "output_format",
                type=click.Choice(list(formats)),
                help=f"Format of the result [default: by the ending of -o, configured, or "
                f"{formats[0]}].",
            ),
        ):
            function = option(function)
        return function

    return decorate


def make_output(
    formats: Sequence[str], output_format: str | None, output_path: Path | None, force: bool
) -> Output:
    """Check the options of `output_options`; raises `DpprofError` before anything is computed.

    An input of the command line is never an output, with `force` or without.
    What no option says, the configuration may; a format that this verb does not have is left.
    """
    configured = load_config().output
    path = None if output_path is None or str(output_path) == "-" else output_path
    spare_inputs(path)
    address = None if path is None else address_of(path)
    if address is not None:
        check_address(address, force=force)
    elif path is not None and (path.is_file() or not path.exists()):
        if path.exists() and not force:
            raise DpprofError(f"{path}: exists already; choose another file or add --force")
        if not path.parent.is_dir():
            raise DpprofError(f"{path.parent}: no such folder; create it first")
        if not os.access(path.parent, os.W_OK):
            raise DpprofError(f"{path.parent}: not writable; choose another folder")
    said = (output_format, _guess(path), configured.format)
    chosen = next((choice for choice in said if choice and choice in formats), "")
    if not chosen and path is not None and path.suffix:
        raise DpprofError(
            f"{path}: no format that this verb writes has the ending {path.suffix}; say which "
            f"with --format ({', '.join(formats)})"
        )
    return Output(path, chosen or formats[0], configured.width)


def _guess(path: Path | None) -> str:
    """The format that the ending of a file says; empty where it says none."""
    from dpprof.reporters.formats.registry import format_of_ending

    if path is None:
        return ""
    suffix = path.suffix.lower()
    return "junit" if suffix == ".xml" else format_of_ending(suffix)
