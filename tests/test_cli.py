"""The command line's surface: verbs, options, exit codes, what `--help` imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from dpprof import cli as module
from dpprof.errors import DpprofError

RUN = Path(__file__).resolve().parent.parent / "traces" / "1f1b"

OPTIONS = {
    "advise": {
        "--steps",
        "--executor",
        "--scheduler",
        "--step-range",
        "--format",
        "--output",
        "--force",
    },
    "analyze": {
        *(
            "--format",
            "--output",
            "--force",
            "--steps",
            "--whole-trace",
            "--explain-kinds",
            "--baseline",
            "--brief",
        ),
        *("--executor", "--scheduler", "--step-range", "--memory-snapshot"),
    },
    "baseline": set(),
    "cache": {"--format", "--output", "--force"},
    "dashboard": {
        *("--baseline", "--host", "--port", "--no-browser", "--watch", "--steps", "--whole-trace"),
        *("--executor", "--scheduler", "--step-range"),
    },
    "diff": {
        *("--steps", "--base-steps", "--whole-trace", "--executor", "--scheduler", "--step-range"),
        *("--format", "--output", "--force"),
    },
    "export": {
        *("--to", "--output", "--force", "--steps", "--whole-trace", "--memory-snapshot"),
        *("--baseline", "--executor", "--scheduler", "--step-range"),
    },
    "gate": {
        *(
            "--baseline",
            "--fail-if",
            "--allow-mismatch",
            "--allow-missing",
            "--profile",
            "--baseline-profile",
        ),
        *(
            "--repeat",
            "--run-spread",
            "--keep",
            "--steps",
            "--whole-trace",
            "--report",
            "--executor",
        ),
        *("--scheduler", "--step-range", "--format", "--output", "--force"),
    },
    "mcp": set(),
    "plan": {
        *("--recompute", "--write-schedule", "--row", "--ep"),
        *("--costs", "--ranks", "--memory", "--pp", "--vpp", "--micro-batches", "--schedule"),
        *("--layers", "--rows", "--format", "--output", "--force"),
    },
    "profile": {
        *("--schedule", "--pp", "--ep", "--micro-batches", "--device", "--costs", "--num-steps"),
        *("--warmup", "--model", "--layers", "--seed", "--inject", "--dp", "--set"),
        *("--expert-load", "--redundant-experts", "--share-gpus", "--memory-history"),
        *("--output", "--force", "--rank-timeout"),
    },
    "run": {
        *("--output", "--num-steps", "--warmup", "--skip", "--adapters", "--memory", "--when"),
        *("--quiet", "--log"),
    },
    "schedule": {"--pp", "--micro-batches", "--format", "--output", "--force"},
    "search": {
        *("--pp", "--micro-batches", "--costs", "--layers", "--memory", "--schedule", "--seconds"),
        *("--seed", "--format", "--output", "--force"),
    },
    "simulate": {
        *("--pp", "--micro-batches", "--costs", "--communication", "--layers"),
        *("--format", "--output", "--force"),
    },
    "trigger": set(),
}


def test_verbs_and_options_are_these():
    context = click.Context(module.cli)
    found = {
        verb: {
            option
            for parameter in module.cli.get_command(context, verb).params
            for option in parameter.opts
            if option.startswith("--")
        }
        for verb in module.cli.list_commands(context)
    }
    assert found == OPTIONS


def test_help_and_import_need_no_heavy_library():
    script = (
        "import sys, dpprof\n"
        "from dpprof.cli import run\n"
        "assert run(['--help']) == 0\n"
        "heavy = {'torch', 'dash', 'plotly', 'hta', 'dask', 'pandas'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(verb in done.stdout for verb in OPTIONS)


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [
        (DpprofError("run.json: broken; do this"), 2, "error: run.json: broken; do this"),
        (click.UsageError("no such option"), 2, "no such option"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError("oops"), 3, "bug in dpprof"),
    ],
)
def test_exit_codes(monkeypatch, capsys, raised, code, words):
    def fail(**_):
        raise raised

    monkeypatch.setattr(module.cli, "main", fail)
    assert module.run([]) == code
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["nonsense"], ["analyze", "--nonsense"], ["profile", "x"]])
def test_wrong_use_is_exit_code_2(arguments, capsys):
    assert module.run(arguments) == 2
    assert capsys.readouterr().err


def test_public_names_resolve():
    import dpprof

    assert dpprof.__version__
    assert issubclass(dpprof.DpprofError, Exception)
    with pytest.raises(AttributeError, match="nonsense"):
        dpprof.nonsense  # noqa: B018 - the look-up is the test


def test_no_verbs_help_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    assert module.run(["--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands:")[2].splitlines()
    assert len(listed) > 15
    assert [line for line in listed if line.endswith("...")] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["analize"], "error: there is no verb 'analize'; did you mean 'analyze'?\n"),
        (["gate", "--fail-on", "x"], "'--fail-if'?; see `dpprof gate --help`\n"),
        (["analyze"], "error: Missing argument 'RUN...'; see `dpprof analyze --help`\n"),
    ],
)
def test_wrong_use_is_said_like_every_error(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert module.run(arguments) == 2
    words = capsys.readouterr().err
    assert words.startswith("error: ")
    assert words.endswith(said)


def test_an_ending_of_no_format_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "report.xyz"
    arguments = ["analyze", str(RUN), "-o", str(output)]
    assert module.run(arguments) == 2
    assert "no format that this verb writes has the ending .xyz" in capsys.readouterr().err
    assert not output.exists()
    assert module.run([*arguments, "--format", "markdown"]) == 0
    assert output.read_text().startswith("#")
