"""One name for one thing: no two classes of the packages are called alike."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_no_class_name_stands_for_two_things() -> None:
    places = defaultdict(list)
    for folder in ("dpprof", "dashboards", "reference_impl"):
        for file in (ROOT / folder).rglob("*.py"):
            if not any(part.is_symlink() for part in file.parents):
                for node in ast.parse(file.read_text()).body:
                    if isinstance(node, ast.ClassDef):
                        places[node.name].append(str(file.relative_to(ROOT)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}
