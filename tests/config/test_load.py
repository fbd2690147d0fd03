"""Where configuration is found, what beats what, and what wrong input is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpprof.config.format_names import format_names
from dpprof.config.load import VARIABLES, load_config
from dpprof.config.settings import CacheSettings, Config, GateSettings, KindPattern, OutputSettings
from dpprof.errors import DpprofError
from dpprof.reporters import FORMATS as REPORT_FORMATS

EVERYTHING = """
[output]
format = "markdown"
width = 120
[cache]
folder = "parsed"
limit = "20 GiB"
[gate]
fail_if = ["bubble_share > 12%", "ranks == 8"]
baseline = "baselines/dualpipe.json"
repeat = 3
[[kinds]]
name = "my exchange"
pattern = "^my_exchange"
kind = "all_to_all"
[[kinds]]
pattern = "shuffle"
kind = "dispatch"
where = "annotation"
"""


def write(folder: Path, text: str, name: str = "dpprof.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(text)
    return file


def test_without_anything_the_defaults(tmp_path: Path) -> None:
    assert load_config(tmp_path, {}) == Config()


def test_the_whole_file_from_a_folder_below(tmp_path: Path) -> None:
    file = write(tmp_path, EVERYTHING)
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert load_config(tmp_path / "a" / "b", {}) == Config(
        kinds=(
            KindPattern(
                name="my exchange",
                pattern="^my_exchange",
                kind="all_to_all",
                origin=f"{file}: kinds[0]",
            ),
            KindPattern(
                name="shuffle",
                pattern="shuffle",
                kind="dispatch",
                where="annotation",
                origin=f"{file}: kinds[1]",
            ),
        ),
        output=OutputSettings(format="markdown", width=120),
        cache=CacheSettings(folder=tmp_path / "parsed", limit_bytes=20 * 2**30),
        gate=GateSettings(
            fail_if=("bubble_share > 12%", "ranks == 8"),
            baseline=tmp_path / "baselines" / "dualpipe.json",
            repeat=3,
        ),
        file=file,
    )


def test_the_nearest_file_counts_and_a_project_only_with_our_table(tmp_path: Path) -> None:
    write(tmp_path, "[output]\nwidth = 50")
    inner = tmp_path / "inner"
    write(inner, "[project]\nname = 'x'", "pyproject.toml")
    assert load_config(inner, {}).output.width == 50
    project = write(inner, "[tool.dpprof.output]\nwidth = 60", "pyproject.toml")
    assert load_config(inner, {}).output.width == 60
    assert load_config(inner, {}).file == project
    write(inner, "[output]\nwidth = 70")
    assert load_config(inner, {}).output.width == 70


def test_the_environment_beats_the_file_key_by_key(tmp_path: Path) -> None:
    write(tmp_path, EVERYTHING)
    environment = {"DPPROF_OUTPUT_WIDTH": "80", "DPPROF_CACHE_LIMIT": "5MB", "HOME": "/"}
    config = load_config(tmp_path, environment | {"DPPROF_OUTPUT_FORMAT": ""})
    assert config.output == OutputSettings(format="markdown", width=80)
    assert config.cache == CacheSettings(folder=tmp_path / "parsed", limit_bytes=5_000_000)


def test_rules_from_the_environment_stand_apart_by_semicolons(tmp_path: Path) -> None:
    environment = {"DPPROF_GATE_FAIL_IF": "bubble_share > 12% ; ranks == 8;"}
    assert load_config(tmp_path, environment).gate.fail_if == ("bubble_share > 12%", "ranks == 8")


@pytest.mark.parametrize(("text", "share"), [("0.01", 0.01), ("'0.5%'", 0.005), ("'0'", 0)])
def test_how_much_runs_vary(tmp_path: Path, text: str, share: float) -> None:
    write(tmp_path, f"[gate]\nrun_spread = {text}")
    assert load_config(tmp_path, {}).gate.run_spread == share
    assert load_config(tmp_path, {"DPPROF_GATE_RUN_SPREAD": "2%"}).gate.run_spread == 0.02


def test_the_variables_are_named_after_section_and_key() -> None:
    assert sorted(VARIABLES) == [
        "DPPROF_CACHE",
        "DPPROF_CACHE_DIR",
        "DPPROF_CACHE_LIMIT",
        "DPPROF_GATE_BASELINE",
        "DPPROF_GATE_FAIL_IF",
        "DPPROF_GATE_REPEAT",
        "DPPROF_GATE_RUN_SPREAD",
        "DPPROF_OUTPUT_FORMAT",
        "DPPROF_OUTPUT_WIDTH",
    ]


def test_the_formats_are_those_of_reports() -> None:
    assert format_names() == REPORT_FORMATS


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("0", 0),
        ("'7'", 7),
        ("'1 kB'", 1000),
        ("'2K'", 2000),
        ("'2KiB'", 2048),
        ("'3 TiB'", 3 << 40),
    ],
)
def test_sizes(tmp_path: Path, text: str, bytes_: int) -> None:
    write(tmp_path, f"[cache]\nlimit = {text}")
    assert load_config(tmp_path, {}).cache.limit_bytes == bytes_


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "[outptu]",
            "unknown section 'outptu'; did you mean 'output'? known: cache, gate, kinds, output",
        ),
        (
            "[gate]\nfail_iff = []",
            "gate: unknown key 'fail_iff'; did you mean 'fail_if'? known: base",
        ),
        ("[gate]\nfail_if = 3", "gate.fail_if: is a list of at most 1000 rules"),
        ("[gate]\nfail_if = ['']", "gate.fail_if[0]: '' is not a text"),
        ("[gate]\nrepeat = 0", "gate.repeat: 0 is not a number of repeats, 1 to 100"),
        ("[gate]\nrun_spread = '5'", "gate.run_spread: '5' is not a part of the step time; write"),
        ("[gate]\nrun_spread = -0.1", "gate.run_spread: -0.1 is not a part of the step time"),
        ("[gate]\nrun_spread = true", "gate.run_spread: True is not a part of the step time"),
        ("[gate]\nrepeat = true", "gate.repeat: True is not a number of repeats"),
        ("[output]\nwitdh = 9", "output: unknown key 'witdh'; did you mean 'width'? known: format"),
        ("[output]\nwidth = true", "output.width: True is not a width; give characters, 40 to"),
        ("[output]\nwidth = 39", "output.width: 39 is not a width"),
        ("[output]\nformat = 'jsn'", "output.format: no 'jsn'; did you mean 'json'? choose from"),
        ("[output]\nformat = 1", "output.format: 1 is not a text"),
        ("output = 3", "output: 3 is not a table"),
        ("[cache]\nlimit = -1", "cache.limit: -1 is not a size"),
        ("[cache]\nlimit = '1 XB'", "cache.limit: '1 XB' is not a size"),
        ("[cache]\nfolder = ''", "cache.folder: '' is not a text"),
        ("[kinds]\nname = 'x'", "kinds: is a list; write each pattern under [[kinds]]"),
        ("kinds = [3]", "kinds[0]: 3 is not a table with name, pattern"),
        ("[[kinds]]\nkind = 'p2p'", "kinds[0]: 'pattern' is missing"),
        ("[[kinds]]\npattern = 'x'", "kinds[0]: 'kind' is missing"),
        ("[[kinds]]\npatern = 'x'", "kinds[0]: unknown key 'patern'; did you mean 'pattern'?"),
        ("[[kinds]]\npattern='x'\nkind='p3p'", "kinds[0].kind: no 'p3p'; did you mean 'p2p'?"),
        ("[[kinds]]\npattern='('\nkind='p2p'", "kinds[0].pattern: '(' is not a regular expression"),
        (f"[[kinds]]\npattern='{'x' * 501}'\nkind='p2p'", "kinds[0].pattern: 501 characters, more"),
        ("[[kinds]]\npattern='x'\nkind='p2p'\nwhere='nam'", "kinds[0].where: no 'nam'; did you"),
        ("[output", "not valid TOML"),
        ("x = " + "[" * 5000, "not valid TOML"),
    ],
)
def test_wrong_files_are_told_the_key(tmp_path: Path, text: str, says: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(DpprofError) as error:
        load_config(tmp_path, {})
    assert str(error.value).startswith(f"{file}: {says}")


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"DPPROF_OUTPUT_WITDH": "80"}, "environment: unknown variable 'DPPROF_OUTPUT_WITDH'; did"),
        ({"DPPROF_OUTPUT_WIDTH": "wide"}, "DPPROF_OUTPUT_WIDTH: 'wide' is not a width"),
    ],
)
def test_wrong_variables_are_told(tmp_path: Path, variables: dict[str, str], says: str) -> None:
    with pytest.raises(DpprofError) as error:
        load_config(tmp_path, variables)
    assert str(error.value).startswith(says)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "dpprof.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(DpprofError, match="not valid TOML"):
        load_config(tmp_path, {})
