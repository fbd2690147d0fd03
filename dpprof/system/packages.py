"""What other packages bring: objects that they declare as entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import TypeVar

from dpprof.errors import DpprofError

_T = TypeVar("_T")


def load_declared(what: str, entry: EntryPoint, form: type[_T], form_name: str) -> _T:
    """The object of an entry; raises `DpprofError` where it cannot be loaded or is no `form`.

    `what` is what such objects are called (``"format"``), `form_name` what they have to be.
    """
    try:
        found = entry.load()
    except (ImportError, AttributeError) as error:
        raise DpprofError(
            f"{what} {entry.name!r}: {entry.value} cannot be loaded ({error}); mend or remove the "
            "package that declares it"
        ) from error
    if not isinstance(found, form):
        raise DpprofError(f"{what} {entry.name!r}: {entry.value} is no {form_name}")
    return found
