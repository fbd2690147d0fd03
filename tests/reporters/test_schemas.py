"""Every JSON that dpprof writes is what its published schema says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dpprof.cli import cli
from dpprof.reporters.schemas import DOCUMENTS, schema_of, schema_text

PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas"
RUNS = Path(__file__).parents[2] / "traces"
_TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
_KNOWN = {
    *("$defs", "$ref", "$schema", "additionalProperties", "anyOf", "const", "default", "enum"),
    *("description", "items", "properties", "required", "title", "type", "maxItems", "minItems"),
    "prefixItems",
}


def faults(value, schema, root, at="$"):
    """Where a value is not what a schema says; knows the keywords that our schemas use."""
    assert schema.keys() <= _KNOWN, schema.keys() - _KNOWN
    if "$ref" in schema:
        return faults(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, at)
    found = []
    if "anyOf" in schema:
        tried = [faults(value, one, root, at) for one in schema["anyOf"]]
        found += [] if [] in tried else min(tried, key=len)
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    right = any(isinstance(value, _TYPES[one]) for one in types)
    if isinstance(value, bool) and types and "boolean" not in types:
        right = False
    if types and not right:
        return [f"{at}: {value!r} is no {types}"]
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{at}: {value!r} is none of {schema['enum']}")
    if "const" in schema and value != schema["const"]:
        found.append(f"{at}: {value!r} is not {schema['const']!r}")
    if isinstance(value, dict):
        found += [f"{at}: no {key}" for key in schema.get("required", []) if key not in value]
        more = schema.get("additionalProperties", True)
        for key, one in value.items():
            inner = schema.get("properties", {}).get(key, more)
            if inner is False:
                found.append(f"{at}: unknown {key}")
            elif isinstance(inner, dict):
                found += faults(one, inner, root, f"{at}.{key}")
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        for number, one in enumerate(value):
            found += faults(one, schema["items"], root, f"{at}[{number}]")
    return found


def unknown_keys(value, schema, root, at="$"):
    """Keys of objects that the schema has no word for: each is missing from what is published."""
    if "$ref" in schema:
        return unknown_keys(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, at)
    if "anyOf" in schema:
        return min((unknown_keys(value, one, root, at) for one in schema["anyOf"]), key=len)
    found = []
    if isinstance(value, dict) and "properties" in schema:
        for key, one in value.items():
            inner = schema["properties"].get(key)
            found += [f"{at}.{key}"] if inner is None else unknown_keys(one, inner, root, key)
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        for one in value:
            found += unknown_keys(one, schema["items"], root, at)
    return found


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """What the verbs write, by the name of the document."""
    folder = tmp_path_factory.mktemp("written")

    def run(*words, codes=(0,)):
        result = CliRunner().invoke(cli, list(map(str, words)))
        assert result.exit_code in codes, result.output
        return json.loads(result.stdout) if result.stdout.strip() else None

    base, new = RUNS / "1f1b", RUNS / "dualpipe"
    costs, sizes = ["--costs", "deepseek-v3"], ["--micro-batches", "8"]
    as_json = ["--format", "json"]
    run("baseline", "save", new, "-o", folder / "baseline.json")
    found = ["search", "--pp", "4", *sizes, *costs, "--seconds", "0.3"]
    return {
        "report": run("analyze", new, *as_json),
        "reports": run("analyze", new, base, *as_json),
        "brief": run("analyze", new, "--brief"),
        "kinds": run("analyze", new, "--explain-kinds", *as_json),
        "findings": run("advise", base, *as_json),
        "diff": run("diff", base, new, *as_json),
        "gate": run("gate", new, "--fail-if", "bubble_share > 90%", *as_json, codes=(0, 2)),
        "baseline": json.loads((folder / "baseline.json").read_text()),
        "plan": run("plan", new, "--memory", "80GiB", *as_json),
        "search": run(*found, "-o", folder / "found.json", *as_json),
        "schedule": run("schedule", "dualpipe", "--pp", "4", *sizes, *as_json),
        "costs": json.loads((RUNS.parent / "dpprof/costs/deepseek-v3.json").read_text()),
        "run": json.loads((new / "run.json").read_text()),
        "found": json.loads((folder / "found.json").read_text()),
    }


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_is_written_is_what_the_schema_says(name, written):
    schema = schema_of(name)
    assert faults(written[name], schema, schema) == []
    assert unknown_keys(written[name], schema, schema) == []
    if name != "costs":  # all of a profile's keys but its name may be left out
        assert faults({}, schema, schema) != []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_is_published_is_so_now(name):
    """Where it fails: python tests/reporters/test_schemas.py writes them anew."""
    assert (PUBLISHED / f"{name}.json").read_text() == schema_text(name)


def test_a_found_schedule_has_the_form_of_any(written):
    schema = schema_of("schedule")
    assert faults(written["found"], schema, schema) == []


def test_a_wrong_document_has_faults():
    schema = schema_of("plan")
    assert faults({"schema_version": "1", "rows": [{}], "check": None}, schema, schema)
    assert faults({"schema_version": 1, "rows": [], "check": 3, "left_out": []}, schema, schema)


def test_the_brief_report_fits_two_thousand_tokens(written):
    text = json.dumps(written["brief"])
    assert len(text) < 2_000 * 3  # three characters a token is what numbers and keys take
    assert written["brief"]["step_ns"] == written["report"]["step_ns"]


if __name__ == "__main__":
    for document in DOCUMENTS:
        (PUBLISHED / f"{document}.json").write_text(schema_text(document))
