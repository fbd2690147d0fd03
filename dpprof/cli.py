"""The command line: finds the verbs in `dpprof.commands` and turns errors into exit codes."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
import traceback

import click

import dpprof
from dpprof import commands
from dpprof.errors import EXIT_BUG, EXIT_INTERRUPTED, EXIT_OK, EXIT_WRONG_USE, DpprofError


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


@click.group(cls=VerbGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(dpprof.__version__, prog_name="dpprof")
def cli() -> None:
    """Profile pipeline-parallel MoE training: see bubbles, overlap and memory of every rank."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point: runs a verb and exits with 0, 1, 2, 3 or 130 (see `dpprof.errors`)."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run a verb and give the exit code; results go to stdout, everything else to stderr."""
    try:
        result = cli.main(args=arguments, prog_name="dpprof", standalone_mode=False)
        sys.stdout.flush()
    except DpprofError as error:
        click.echo(f"{_paint('error:')} {error}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return EXIT_WRONG_USE
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has gone; a second error at exit would only confuse.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except Exception:  # noqa: BLE001 - the one place that may catch everything
        traceback.print_exc()
        click.echo(
            f"{_paint('bug in dpprof:')} please report the lines above with the command", err=True
        )
        return EXIT_BUG
    return result if isinstance(result, int) else EXIT_OK


def _paint(text: str) -> str:
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return text if plain or not sys.stderr.isatty() else click.style(text, fg="red", bold=True)
