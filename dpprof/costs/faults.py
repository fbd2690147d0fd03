"""What-if faults: a slower rank, a serialised exchange, an extra synchronisation, in a profile."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from dpprof.costs.check import COMPONENTS, LONGEST_NS
from dpprof.costs.profile import CostProfile, LayerCost, MemoryCost, MessageCost
from dpprof.errors import DpprofError
from dpprof.schedules.components import COMMUNICATION_COMPONENTS

FORM = "NAME[@RANK,...]=AMOUNT, as in compute@2=1.2x, serial=dispatch, sync@1=300us"

_COMPUTING = tuple(one for one in COMPONENTS if one not in COMMUNICATION_COMPONENTS)
_COMMUNICATING = tuple(one for one in COMPONENTS if one in COMMUNICATION_COMPONENTS)
_FACTORS = ("compute", *COMPONENTS, "message", "activations")
NAMES = (*_FACTORS, "serial", "sync")
"""What can be injected: times and bytes by a factor, serialised components, synchronisations."""

_SHAPE = re.compile(r"(?P<name>[a-z_]+)(@(?P<ranks>[0-9]+(,[0-9]+)*))?=(?P<amount>\S+)")
_NUMBER = r"([0-9]{1,12}(?:\.[0-9]{1,9})?)"
_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}
_LARGEST_FACTOR = 1000.0


@dataclass(frozen=True, kw_only=True)
class InjectedFault:
    """One injected fault on the pipeline ranks `ranks` (None: on all).

    `factor` is for times and bytes, `component` what is serialised, `delay_ns` the idle time
    before every slot.
    """

    text: str
    name: str
    ranks: frozenset[int] | None = None
    factor: float = 1.0
    component: str = ""
    delay_ns: int = 0

    def hits(self, pp_rank: int) -> bool:
        """Whether it is on this pipeline rank."""
        return self.ranks is None or pp_rank in self.ranks


def read_fault(text: str, pp: int) -> InjectedFault:
    """The fault that `text` says (see `FORM`), for a pipeline of `pp` ranks.

    Raises `DpprofError` that says what can be written.
    """
    match = _SHAPE.fullmatch(text.strip())
    if match is None:
        raise _wrong(text, f"is not of the form {FORM}")
    name, amount = match["name"], match["amount"]
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1)
        meant = f"did you mean {near[0]!r}? " if near else ""
        raise _wrong(text, f"no fault {name!r}; {meant}known are {', '.join(NAMES)}")
    ranks = _ranks(text, match["ranks"], pp)
    if name == "message" and ranks is not None:
        raise _wrong(text, "messages belong to two ranks; leave @RANK out")
    if name == "serial":
        return InjectedFault(
            text=text, name=name, ranks=ranks, component=_communicating(text, amount)
        )
    if name == "sync":
        return InjectedFault(text=text, name=name, ranks=ranks, delay_ns=_time(text, amount))
    return InjectedFault(text=text, name=name, ranks=ranks, factor=_factor(text, amount))


def with_faults(profile: CostProfile, faults: Sequence[InjectedFault], pp_rank: int) -> CostProfile:
    """What the costs of a pipeline rank become under those faults that hit it."""
    for fault in faults:
        if fault.hits(pp_rank):
            profile = _with_fault(profile, fault)
    return profile


def _with_fault(profile: CostProfile, fault: InjectedFault) -> CostProfile:
    match fault.name:
        case "serial":
            serial = sorted({*profile.serial_components, fault.component})
            return msgspec.structs.replace(profile, serial_components=serial)
        case "sync":
            delay = profile.slot_delay_ns + fault.delay_ns
            ranks = [own + fault.delay_ns for own in profile.rank_delay_ns]
            return msgspec.structs.replace(profile, slot_delay_ns=delay, rank_delay_ns=ranks)
        case "activations":
            return _larger(profile, fault.factor)
        case "message":
            return msgspec.structs.replace(profile, message=_slower_message(profile, fault.factor))
    return _slower(profile, fault)


def _larger(profile: CostProfile, factor: float) -> CostProfile:
    def larger(memory: MemoryCost) -> MemoryCost:
        bytes_ = round(memory.activation_bytes * factor)
        return msgspec.structs.replace(memory, activation_bytes=bytes_)

    model = [
        msgspec.structs.replace(layer, memory=layer.memory and larger(layer.memory))
        for layer in profile.model
    ]
    return msgspec.structs.replace(profile, memory=larger(profile.memory), model=model)


def _slower_message(profile: CostProfile, factor: float) -> MessageCost:
    message = profile.message
    rate = message.bytes_per_second
    return msgspec.structs.replace(
        message,
        latency_ns=round(message.latency_ns * factor),
        bytes_per_second=None if rate is None else rate / factor,
    )


def _slower(profile: CostProfile, fault: InjectedFault) -> CostProfile:
    """Components that take a factor longer; operations without components with their compute."""
    slower = _slower_tables(profile, fault)
    model = [msgspec.structs.replace(one, **_slower_tables(one, fault)) for one in profile.model]
    return msgspec.structs.replace(profile, **slower, model=model)


def _slower_tables(costs: CostProfile | LayerCost, fault: InjectedFault) -> dict[str, Any]:
    names = _COMPUTING if fault.name == "compute" else (fault.name,)

    def scaled(parts: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
        return {
            part: {
                name: round(ns * fault.factor) if name in names else ns for name, ns in own.items()
            }
            for part, own in parts.items()
        }

    whole = costs.operation_ns
    if fault.name == "compute":
        whole = {name: round(ns * fault.factor) for name, ns in whole.items()}
    return {
        "component_ns": scaled(costs.component_ns),
        "pair_component_ns": scaled(costs.pair_component_ns),
        "operation_ns": whole,
    }


def _ranks(text: str, given: str | None, pp: int) -> frozenset[int] | None:
    if given is None:
        return None
    ranks = frozenset(int(rank[:9]) for rank in given.split(","))
    if max(ranks) >= pp:
        raise _wrong(text, f"there is no pipeline rank {max(ranks)}; choose from 0 to {pp - 1}")
    return ranks


def _factor(text: str, amount: str) -> float:
    match = re.fullmatch(rf"{_NUMBER}x?", amount)
    if match is None or not 0 < float(match[1]) <= _LARGEST_FACTOR:
        raise _wrong(text, f"{amount!r} is not a factor such as 1.2x")
    return float(match[1])


def _time(text: str, amount: str) -> int:
    match = re.fullmatch(rf"{_NUMBER}({'|'.join(_UNITS)})", amount)
    if match is None:
        raise _wrong(text, f"{amount!r} is not a time such as 300us or 2ms")
    delay_ns = float(match[1]) * _UNITS[match[2]]
    if not math.isfinite(delay_ns) or delay_ns > LONGEST_NS:
        raise _wrong(text, f"{amount} is longer than {LONGEST_NS // 10**9} seconds")
    return round(delay_ns)


def _communicating(text: str, amount: str) -> str:
    if amount not in _COMMUNICATING:
        raise _wrong(text, f"{amount!r} does not communicate; give {' or '.join(_COMMUNICATING)}")
    return amount


def _wrong(text: str, problem: str) -> DpprofError:
    return DpprofError(f"--inject {text}: {problem}")
