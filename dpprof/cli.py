"""The command line: finds the verbs in `dpprof.commands` and turns errors into exit codes."""

from __future__ import annotations

import difflib
import errno
import importlib
import os
import pkgutil
import sys
import traceback

import click

import dpprof
from dpprof import commands
from dpprof.commands._streams import drop_output, flushed, make_sound, say
from dpprof.errors import EXIT_BUG, EXIT_INTERRUPTED, EXIT_OK, EXIT_WRONG_USE, DpprofError
from dpprof.system.processes import sigterm_as_interrupt


class VerbGroup(click.Group):
    """A verb is a module ``dpprof/commands/<verb>.py`` with a click command named `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every module of `dpprof.commands` that is not private."""
        modules = pkgutil.iter_modules(commands.__path__)
        return sorted(module.name for module in modules if not module.name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module; None where there is no such verb."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"dpprof.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; raises `DpprofError` with the nearest where there is none of that name."""
        verbs = self.list_commands(ctx)
        if args[0].startswith("-") or args[0] in verbs:
            return super().resolve_command(ctx, args)
        nearest = difflib.get_close_matches(args[0].lower(), verbs, n=1)
        meant = f"did you mean {nearest[0]!r}?" if nearest else f"the verbs are {', '.join(verbs)}"
        raise DpprofError(f"there is no verb {args[0]!r}; {meant}")


@click.group(cls=VerbGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(dpprof.__version__, prog_name="dpprof")
def cli() -> None:
    """Profile pipeline-parallel MoE training: see bubbles, overlap and memory of every rank."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point: runs a verb and exits with 0, 1, 2, 3 or 130 (see `dpprof.errors`)."""
    make_sound()
    with sigterm_as_interrupt():
        code = flushed(run(arguments))
    sys.exit(code)


def run(arguments: list[str] | None = None) -> int:
    """Run a verb and give the exit code; results go to stdout, everything else to stderr."""
    try:
        result = cli.main(args=arguments, prog_name="dpprof", standalone_mode=False)
        sys.stdout.flush()
    except DpprofError as error:
        click.echo(f"{_paint('error:')} ", nl=False, err=True)
        say(str(error))
        return error.exit_code
    except click.ClickException as error:
        _show(error)
        return EXIT_WRONG_USE
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        drop_output()  # the reader (head, less) has gone; an error at exit would only confuse
        return EXIT_OK
    except Exception as error:  # noqa: BLE001 - the one place that may catch everything
        return _failed(error)
    return result if isinstance(result, int) else EXIT_OK


def _show(error: click.ClickException) -> None:
    """What is wrong with the options and arguments, and where they are told."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    click.echo(f"{_paint('error:')} ", nl=False, err=True)
    help_of = f"; see `{context.command_path} --help`" if context is not None else ""
    say(error.format_message().rstrip(".") + help_of)


def _failed(error: Exception) -> int:
    """Say what no verb has expected: the machine lacks something, or dpprof is wrong."""
    lacking = _lacking(error)
    if lacking:
        click.echo(f"{_paint('error:')} ", nl=False, err=True)
        say(lacking)
        return EXIT_WRONG_USE
    traceback.print_exception(error)
    click.echo(
        f"{_paint('bug in dpprof:')} please report the lines above with the command", err=True
    )
    return EXIT_BUG


_REMEDIES = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EFBIG: "allow larger files (ulimit -f)",
    errno.EMFILE: "allow more open files (ulimit -n 256)",
    errno.ENFILE: "close other programs",
    errno.ENOMEM: "free memory, or read fewer steps",
    errno.EAGAIN: "allow more processes (ulimit -u)",
    errno.EROFS: "choose another folder",
    errno.EACCES: "allow it, or choose another place",
    errno.EPERM: "allow it, or choose another place",
    errno.EIO: "look after the disk",
    errno.EBADF: "open the standard streams",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ESTALE: "try again",
    errno.ELOOP: "put the link right",
}
"""What the machine may lack, whatever is being done, and what helps."""


def _lacking(error: BaseException | None) -> str:
    """What the machine lacks, where that is behind the error; else nothing."""
    short_of_memory = isinstance(error, ImportError) and "failed to map" in str(error)
    if short_of_memory or isinstance(error, MemoryError):
        return "out of memory; free some, or read fewer steps or ranks"
    if isinstance(error, OSError) and error.errno in _REMEDIES:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{os.strerror(error.errno)}; {_REMEDIES[error.errno]}"
    if isinstance(error, ImportError) and os.strerror(errno.EMFILE) in str(error):
        return f"{os.strerror(errno.EMFILE)}; {_REMEDIES[errno.EMFILE]}"
    return _lacking(error.__cause__) if error is not None else ""


def _paint(text: str) -> str:
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return text if plain or not sys.stderr.isatty() else click.style(text, fg="red", bold=True)
