"""Waits for modules to be imported: a finder that finds nothing itself, and looks who is found."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

Then = Callable[[ModuleType], None]


class ImportWatch(importlib.abc.MetaPathFinder):
    """Calls what waits for a module once it is imported. Has state: who waits for what."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Then]] = {}

    def wait_for(self, name: str, then: Then) -> None:
        """Have `then` called with the module `name` when it has been imported."""
        self._waiting.setdefault(name, []).append(then)
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec that the other finders give, whose loader tells when it is done."""
        waiting = self._waiting.pop(name, None)
        if waiting is None:
            return None
        spec = _found_by_others(self, name, path, target)
        loader = None if spec is None else spec.loader
        if spec is None or loader is None or not hasattr(loader, "__dict__"):
            self._waiting[name] = waiting
            return spec
        run = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module  # the loader is as it was
            run(module)
            for then in waiting:
                then(module)

        loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _found_by_others(
    own: ImportWatch, name: str, path: Sequence[str] | None, target: ModuleType | None
) -> importlib.machinery.ModuleSpec | None:
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        if finder is own or find is None:
            continue
        spec: importlib.machinery.ModuleSpec | None = find(name, path, target)
        if spec is not None:
            return spec
    return None


watch = ImportWatch()
"""The one of this process."""
