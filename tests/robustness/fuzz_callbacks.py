"""Callbacks that no browser of ours sends: each is answered, or refused with 400, in peace.

``python tests/robustness/fuzz_callbacks.py [COUNT [SEED]]`` gives the counts.
"""

from __future__ import annotations

import copy
import json
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from dpprof.dashboards.app.app import make_app
from dpprof.dashboards.app.serve import guard
from dpprof.dashboards.data.library import Library
from dpprof.trace.load import load_run

TRACES = Path(__file__).parents[2] / "traces"
PATH = "/_dash-update-component"
BUG = "bug in dpprof"
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**63, 1e300, "", "x", "\ud800", "9" * 400, "a\0b"),
    *([], [[]], {}, {"x": []}, [None], {"layout": 1}, {"layout": {"meta": 1}}),
    *("?step=99999999999999999999", "?t=5-1&runs=nobody", "?t=0-99999999999999999999", "?select=x"),
    *(
        "/memory",
        "/what_if",
        "/critical_path?x",
        "/..",
        "?o.lanes=x&color=%00",
        "/timeline/timeline",
    ),
    *({"xaxis.range[0]": "x", "xaxis.range[1]": 1}, {"xaxis.range[0]": 1e308}),
    *({"width": "x"}, {"width": -5, "dark": 1}, {"width": 1e15}, {"act": []}, {"x": "a", "y": {}}),
    *({"act": "click", "x": 1e15, "y": -1e15}, {"t": [1]}, {"select": {"a": 1}}, {"count": "x"}),
)


def bodies(dependencies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A sound body of each callback."""
    values = {
        ("url", "pathname"): "/timeline",
        ("url", "search"): "?step=1",
        ("screen", "data"): {"width": 1200, "dark": False},
        ("change", "data"): {"t": "0-500", "count": 1},
        ("timeline-pointer", "data"): {"x": 100, "y": 60},
        ("timeline-act", "data"): {"act": "click", "x": 100, "y": 60},
    }
    figure = {"layout": {"meta": {"nanoseconds": 1000, "window_ns": 10**9}}}
    zoom = {"xaxis.range[0]": 0.5, "xaxis.range[1]": 1.5}
    values |= {("", "figure"): figure, ("", "relayoutData"): zoom, ("", "value"): "rank"}

    def one(place: dict[str, Any]) -> Any:
        identity, name = place["id"], place["property"]
        if not identity.startswith("{"):
            return {"id": identity, "property": name, "value": values.get((identity, name))}
        filled = {key: 1000 if key == "unit" else "color" for key in json.loads(identity)}
        filled["type"] = json.loads(identity)["type"]
        return [{"id": filled, "property": name, "value": values["", name]}]

    def changed(given: Any) -> list[str]:
        first = given[0] if isinstance(given, list) else given
        identity = first["id"]
        text = identity if isinstance(identity, str) else json.dumps(identity, sort_keys=True)
        return [f"{text}.{first['property']}"]

    made = []
    for known in dependencies:
        inputs = [one(place) for place in known["inputs"]]
        output = known["output"]
        outputs = _places(output.strip(".").split("...") if ".." in output else [output])
        made.append(
            {
                "output": output,
                "outputs": outputs if ".." in output else outputs[0],
                "inputs": inputs,
                "state": [one(place) for place in known["state"]],
                "changedPropIds": changed(inputs[0]),
            }
        )
    return made


def _places(names: list[str]) -> list[dict[str, Any]]:
    split = [name.rpartition(".") for name in names]
    return [
        {"id": json.loads(id) if id.startswith("{") else id, "property": name}
        for id, _, name in split
    ]


def mutated(body: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """The body with one to three odd values: mostly of inputs, sometimes of its own parts."""
    body = copy.deepcopy(body)
    for _ in range(chance.randint(1, 3)):
        parts = [one for one in [*body["inputs"], *body["state"]] if isinstance(one, dict | list)]
        inner = [one for part in parts for one in (part if isinstance(part, list) else [part])]
        target: Any = chance.choice([one for one in inner if isinstance(one, dict)] or [body])
        match chance.randrange(12):
            case 0:
                body[chance.choice(sorted(body))] = copy.deepcopy(chance.choice(ODD))
                return body
            case 1:
                body["inputs"] = body["inputs"][1:]
            case 2:
                body["changedPropIds"] = [chance.choice(("x.data", "{.value", "", "change.data"))]
            case 3 if isinstance(target.get("id"), dict):
                target["id"][chance.choice(sorted(target["id"]))] = copy.deepcopy(
                    chance.choice(ODD)
                )
            case 4 if isinstance(target.get("value"), dict) and target["value"]:
                target["value"][chance.choice(sorted(target["value"]))] = copy.deepcopy(
                    chance.choice(ODD)
                )
            case _:
                target["value"] = copy.deepcopy(chance.choice(ODD))
    return body


def fuzz(count: int, seed: int) -> Counter[int]:
    """How many of the answers have which code; raises for one that is no answer of ours."""
    library = Library.of_runs([load_run(TRACES / name) for name in ("dualpipe", "1f1b")], "1f1b")
    app = make_app(library)
    guard(app.server, "127.0.0.1")
    client = app.server.test_client()
    client.get("/")
    sound = bodies(json.loads(client.get("/_dash-dependencies").data))
    for body in sound:
        answer = client.post(PATH, json=body)
        assert answer.status_code in (200, 204), (answer.text, body)
    chance = random.Random(seed)
    found: Counter[int] = Counter()
    for _ in range(count):
        body = mutated(chance.choice(sound), chance)
        answer = client.post(PATH, json=body)
        found[answer.status_code] += 1
        assert answer.status_code in (200, 204, 400), (answer.status_code, body)
        assert BUG not in answer.text, (answer.text, body)
    return found


def main() -> None:
    """Print the counts."""
    given = [int(one) for one in sys.argv[1:]]
    count, seed = (*given, *(2000, 0)[len(given) :])
    for code, number in sorted(fuzz(count, seed).items()):
        print(f"{code}: {number}")


if __name__ == "__main__":
    main()
