"""Makes the dispatcher of a name."""

from __future__ import annotations

import importlib

from dpprof.errors import DpprofError
from reference_impl.dispatchers.contract import Dispatcher, ExchangePlace
from reference_impl.dispatchers.names import DISPATCHERS


def make_dispatcher(name: str, place: ExchangePlace) -> Dispatcher:
    """The dispatcher called `name`; raises `DpprofError` where it is unknown or cannot run here."""
    if name not in DISPATCHERS:
        raise DpprofError(f"no dispatcher {name!r}; use one of {', '.join(DISPATCHERS)}")
    module = importlib.import_module(f"reference_impl.dispatchers.{name.replace('-', '_')}")
    dispatcher: Dispatcher = module.make(place)
    return dispatcher
