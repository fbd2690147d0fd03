"""JSON Schemas of everything that dpprof writes as JSON, made from the types that it is made of."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from dpprof.analysis.diff.model import Diff
from dpprof.analysis.model import KindReport, Report
from dpprof.costs.profile import CostProfile
from dpprof.gate.result import GateResult
from dpprof.gate.snapshot import FigureSnapshot
from dpprof.reporters.brief import BriefReport
from dpprof.reporters.findings import FindingsJson
from dpprof.reporters.plan import PlanJson
from dpprof.reporters.search import SearchJson
from dpprof.runs.manifest import Manifest
from dpprof.schedules.form import ScheduleForm

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Reports(msgspec.Struct, frozen=True, kw_only=True):
    """Several runs analyzed in one command, in the given order."""

    schema_version: int
    runs: list[Report]


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    return schema


def _with_devices(schema: dict[str, Any]) -> dict[str, Any]:
    """Rows of a rank that drives several devices say which."""
    for definition in schema["$defs"].values():
        if "rank" in definition.get("properties", {}):
            definition["properties"].setdefault("device", {"type": ["integer", "null"]})
    return schema


def _with_sentences(schema: dict[str, Any]) -> dict[str, Any]:
    """A gate's result says itself in words too."""
    definitions = schema["$defs"]
    for name, key in (
        ("GateResult", "headline"),
        ("RuleResult", "message"),
        ("GateFinding", "message"),
    ):
        definitions[name]["properties"][key] = {"type": "string"}
    return schema


def _marked(schema: dict[str, Any]) -> dict[str, Any]:
    """A baseline says what it is."""
    schema["$defs"]["FigureSnapshot"]["properties"]["file"] = {"const": "dpprof baseline"}
    return schema


_Mend = Callable[[dict[str, Any]], dict[str, Any]]

_DOCUMENTS: dict[str, tuple[str, Any, _Mend]] = {
    "report": ("dpprof analyze RUN, dpprof simulate", Report, _with_devices),
    "reports": ("dpprof analyze RUN RUN...", Reports, _with_devices),
    "brief": ("dpprof analyze --brief", BriefReport, _plain),
    "kinds": ("dpprof analyze --explain-kinds", KindReport, _plain),
    "findings": ("dpprof advise", FindingsJson, _plain),
    "diff": ("dpprof diff", Diff, _plain),
    "gate": ("dpprof gate", GateResult, _with_sentences),
    "baseline": ("dpprof baseline save", FigureSnapshot, _marked),
    "plan": ("dpprof plan", PlanJson, _plain),
    "search": ("dpprof search", SearchJson, _plain),
    "schedule": ("dpprof schedule, dpprof search -o FILE", ScheduleForm, _plain),
    "costs": ("a cost profile, for --costs", CostProfile, _plain),
    "run": ("run.json of a run folder", Manifest, _plain),
}

DOCUMENTS: dict[str, str] = {name: where for name, (where, _, _) in _DOCUMENTS.items()}
"""What there are schemas of: name -> what writes or reads it."""

TYPES: dict[str, Any] = {name: type_ for name, (_, type_, _) in _DOCUMENTS.items()}
"""Name -> the type that the document is of."""


def schema_of(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a document; raises `KeyError` for a name not in `DOCUMENTS`."""
    where, type_, mend = _DOCUMENTS[name]
    schema = mend(msgspec.json.schema(type_))
    return {"$schema": _DIALECT, "title": f"dpprof {name}: {where}"} | schema


def schema_text(name: str) -> str:
    """The schema as it is published, one line for each thing that it says."""
    return json.dumps(schema_of(name), indent=1, sort_keys=True) + "\n"
