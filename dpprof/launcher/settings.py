"""What ``dpprof run`` tells the processes that it starts, through their environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import msgspec

from dpprof.errors import DpprofError
from dpprof.instrument.world import RUN_ID

VARIABLE = "DPPROF_RUN"
NOTES_VARIABLE = "DPPROF_RUN_NOTES"
NOTES = ".dpprof-notes"
"""Folder inside the run folder in which a job's processes and its launcher meet."""

HOOK = Path(__file__).with_name("hook")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a run; an empty `when` is one window after `skip` steps."""

    folder: str
    notes: str
    steps: int = 3
    warmup: int = 2
    skip: int = 1
    adapters: list[str] = []
    memory: bool = False
    when: str = ""


def environment_for(settings: Settings, before: Mapping[str, str]) -> dict[str, str]:
    """The environment of the command: as it was, with the hook before all else on Python's path."""
    path = [str(HOOK), *filter(None, [before.get("PYTHONPATH", "")])]
    return {
        # Kineto writes lines of its own to the job's output.
        "KINETO_LOG_LEVEL": "99",
        **before,
        "PYTHONPATH": os.pathsep.join(path),
        VARIABLE: msgspec.json.encode(settings).decode(),
        NOTES_VARIABLE: settings.notes,
        RUN_ID: uuid4().hex,
    }


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings of this process; raises `DpprofError` where they cannot be read."""
    try:
        return msgspec.json.decode(environment.get(VARIABLE, ""), type=Settings)
    except msgspec.DecodeError as error:
        raise DpprofError(f"{VARIABLE} cannot be read ({error}); start with dpprof run") from error
