"""What is known of a bubble, a slot or an event, in words: for the tip and the panel."""

from __future__ import annotations

from typing import Any

from dpprof.analysis.accounting.bubble_regions import region_figure
from dpprof.analysis.observations import RegionFigures
from dpprof.dashboards.timeline.hit_test import BUBBLE, SLOT, Hit
from dpprof.dashboards.timeline.legend import WORDS
from dpprof.reporters.blocks.units import bytes_text, time_unit
from dpprof.reporters.report.sentences import reason_words
from dpprof.tables.columns import (
    BYTES,
    COMPONENT,
    CORRELATION,
    DIRECTION,
    GROUP,
    KIND,
    LANE,
    LAUNCH,
    LAYER,
    MICRO_BATCH,
    NAME,
    OPERATION,
    PART,
    PEER,
    PHASE,
    READY,
    SEQUENCE,
    STAGE,
    STATE,
)
from dpprof.tables.columns import (
    SLOT as SLOT_COLUMN,
)
from dpprof.tables.devices import rank_label
from dpprof.tables.kinds import COMMUNICATION_KINDS

_LONGEST_NAME = 160
_PLAIN = {
    SLOT_COLUMN: "slot",
    PART: "part",
    COMPONENT: "component",
    LAYER: "layer",
    STAGE: "stage",
    DIRECTION: "direction",
    MICRO_BATCH: "micro-batch",
    PEER: "peer rank",
    GROUP: "group",
    SEQUENCE: "number in group",
    CORRELATION: "correlation",
}


def title_of(hit: Hit) -> str:
    """What it is called."""
    if hit.what == BUBBLE:
        state = str(hit.values[STATE])
        return WORDS.get(state, state)
    if hit.what == SLOT:
        return f"slot {hit.values[SLOT_COLUMN]}"
    name = str(hit.values[NAME]) or "(no name)"
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def facts_of(hit: Hit) -> dict[str, str]:
    """What is known of it, label by label; times have units."""
    facts = {
        "rank": rank_label(hit.rank),
        "start": _at(hit, hit.start_ns),
        "length": _length(hit.end_ns - hit.start_ns),
    }
    if hit.what == BUBBLE:
        return facts | _bubble(hit)
    if hit.what == SLOT:
        return facts | {"operation": str(hit.values[OPERATION])}
    facts |= {"kind": str(hit.values[KIND]), "lane": str(hit.values[LANE])}
    facts |= _communication(hit) | _launched(hit)
    known = {text: hit.values.get(name) for name, text in _PLAIN.items()}
    facts |= {text: str(value) for text, value in known.items() if _is_known(value)}
    if int(hit.values[BYTES]) >= 0:
        facts["bytes"] = bytes_text(int(hit.values[BYTES]))
    return facts


def _is_known(value: Any) -> bool:
    return value is not None and str(value) not in ("", "-1")


def _at(hit: Hit, instant_ns: int) -> str:
    unit = time_unit(hit.run.window_ns)
    return f"{instant_ns / unit.nanoseconds:,.6f}".rstrip("0").rstrip(".") + f" {unit.name}"


def _length(length_ns: int) -> str:
    return time_unit(length_ns).full(length_ns)


def _bubble(hit: Hit) -> dict[str, str]:
    facts = {"phase": str(hit.values[PHASE]), "why": reason_words(region_of(hit))}
    if _is_known(hit.values[SLOT_COLUMN]):
        facts["holds up"] = str(hit.values[SLOT_COLUMN])
    return facts


def region_of(hit: Hit) -> RegionFigures:
    """The region of a bubble as reports have it."""
    return region_figure(hit.values, hit.run.origin_ns)


def _communication(hit: Hit) -> dict[str, str]:
    if hit.values[KIND] not in COMMUNICATION_KINDS:
        return {}
    ready = int(hit.values[READY])
    if ready < 0:
        return {"waiting": "n/a: not matched with its peers, all of it counts as transfer"}
    ready = min(max(ready - hit.run.origin_ns, hit.start_ns), hit.end_ns)
    return {"waiting": _length(ready - hit.start_ns), "transfer": _length(hit.end_ns - ready)}


def _launched(hit: Hit) -> dict[str, str]:
    launch = int(hit.values[LAUNCH])
    if launch < 0:
        return {}
    return {"launched": f"{_length(hit.start_ns + hit.run.origin_ns - launch)} before it started"}
