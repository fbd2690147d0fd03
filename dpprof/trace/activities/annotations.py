"""What annotations say about the schedule: those of dpprof, DeepSeek, torch and Megatron."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import lru_cache

import pandas as pd

from dpprof.errors import DpprofError
from dpprof.schedules.actions import (
    OVERLAPPED_PAIR,
    Action,
    Operation,
    parse_action,
    parse_slot,
    slot_operation,
)
from dpprof.tables.labels import PREFIX, SLOT_LABEL, Label, parse_label


class Family(StrEnum):
    """Who wrote an annotation, as a word for `Annotation.family`."""

    LABEL = "label"
    """dpprof's label of a component or message."""
    SLOT = "slot"
    """dpprof's label of a schedule slot."""
    COMPONENT = "component"
    """DeepSeek's ``attn(F)``, ``dispatch(B)``, ``mlp(W)``, ..."""
    PIPELINING = "pipelining"
    """torch.distributed.pipelining's ``PP:2F0``, and its GPipe's ``Forward 3``."""
    COUNTED = "counted"
    """Megatron's and DeepSpeed's ``forward_step``, ``backward-compute``: of no micro-batch."""


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """The fields of one annotation; "" and -1 where it does not say. `hint` is for the kinds."""

    family: str = ""
    hint: str = ""
    kind: str = ""
    title: str = ""  # short name of a labelled activity, as the simulator writes it
    slot: str = ""
    operation: str = ""
    direction: int = -1
    micro_batch: int = -1
    part: str = ""
    component: str = ""
    layer: int = -1
    stage: int = -1
    group: str = ""
    peer: int = -1
    bytes: int = -1
    sequence: int = -1


NOTHING = Annotation()

_COMPONENTS = {
    "attn": "attention",
    "attention": "attention",
    "mlp": "mlp",
    "dispatch": "dispatch",
    "combine": "combine",
}
_PARTS = {"F": "F", "B": "I", "I": "I", "W": "W"}
_COMPONENT = re.compile(r"(attn|attention|mlp|dispatch|combine)\(([FBIW])\)")
_PAIR = re.compile(r"1F1B|F&B")
_ACTION = re.compile(r"PP:(\d{1,9})(F|B|I|W)(\d{1,9})")
_OVERLAP = re.compile(r"PP:\((\d{1,9})F(\d{1,9});(\d{1,9})B(\d{1,9})\)OVERLAP_F_B")
_GPIPE = re.compile(r"(Forward|Backward) (\d{1,9})")
_COUNTED = (
    (re.compile(r"(?:.*[.:] ?)?_?(?:exec_)?forward[-_](?:step|compute|pass)"), "F"),
    (re.compile(r"(?:.*[.:] ?)?_?(?:exec_)?backward[-_](?:step|compute|pass)"), "B"),
    (re.compile(r"(?:.*[.:])?backward[-_]input[-_](?:step|compute)"), "I"),
    (re.compile(r"(?:.*[.:])?(?:backward[-_])?weight[-_](?:step|compute)"), "W"),
)
_MESSAGE = re.compile(r"PP:(\d{1,9})(?:SEND|RECV)_(F|B)(\d{1,9})")


_EXCHANGE = re.compile(
    r"(?:^|.*[^a-z])(?:(?:token|moe|ep|expert|a2a|all_?to_?all)s?[-_. ]*)*(dispatch|combine)"
    r"(?![a-z]|[-_ ]*(?:layout|grad|bias|loss|key))",
    re.IGNORECASE,
)
_LONGEST_WORDS = 500
"""Characters of an annotation that are looked at; the patterns may need quadratic time."""

_FUNCTION = re.compile(r"_?(?:Fused|MoE|Moe|Token|EP)*(Dispatch|Combine)(?:Backward\d*)?")


def exchange_of(name: str) -> str:
    """``dispatch`` or ``combine`` where a name says that tokens are exchanged with the experts.

    Of anybody's annotation (``token_dispatch``, ``moe/combine``) or autograd function
    (``FusedDispatchBackward``); "" for any other.
    """
    name = name[:_LONGEST_WORDS]
    match = _FUNCTION.fullmatch(name) or _EXCHANGE.match(name)
    return match[1].lower() if match else ""


def is_pair(name: str) -> bool:
    """Whether the annotation `name` marks an overlapped forward and backward."""
    return _PAIR.fullmatch(name) is not None


def read_annotations(names: Sequence[str], wanted: Iterable[int]) -> pd.DataFrame:
    """The fields of the annotations among ``names[code] for code in wanted``, by code.

    One row per code that says something, indexed by it in order, after a row -1 that says
    nothing; columns as in `Annotation`, text as categories.
    """
    codes = sorted(wanted)
    stages = held_stages(names[code] for code in codes)
    said = {-1: asdict(NOTHING)}
    for code in codes:
        found = read_annotation(names[code], stages)
        if found is not None:
            said[code] = asdict(found)
    frame = pd.DataFrame(list(said.values()), index=pd.Index(list(said), dtype="int64"))
    text = [name for name, value in asdict(NOTHING).items() if isinstance(value, str)]
    return frame.astype(dict.fromkeys(text, "category"))


def held_stages(names: Iterable[str]) -> tuple[int, ...]:
    """The pipeline stages that a rank computes, in order, by torch's annotations."""
    stages = set()
    for name in names:
        if match := _ACTION.fullmatch(name):
            stages.add(int(match[1]))
        elif match := _OVERLAP.fullmatch(name):
            stages |= {int(match[1]), int(match[3])}
    return tuple(sorted(stages))


def read_annotation(name: str, stages: Sequence[int] = ()) -> Annotation | None:
    """What one annotation says; None where it is not one of the known forms.

    `stages` are the pipeline stages that the rank computes, which torch's annotations need: the
    direction of a stage is its position among them (0 is the first half of a V).
    """
    if name.startswith(PREFIX):
        label = parse_label(name)
        return None if label is None else _of_label(label)
    if match := _COMPONENT.fullmatch(name):
        component, part = _COMPONENTS[match[1]], _PARTS[match[2]]
        return Annotation(family=Family.COMPONENT, hint=name, component=component, part=part)
    if name.startswith("PP:"):
        return _of_pipelining(name, stages)
    if match := _GPIPE.fullmatch(name):
        return _of_action(Family.PIPELINING, match[1][0], int(match[2]))
    for pattern, operation in _COUNTED:
        if pattern.fullmatch(name):
            return _of_action(Family.COUNTED, operation, -1)
    return None


def _of_action(family: Family, operation: str, micro_batch: int) -> Annotation:
    return Annotation(
        family=family,
        slot="" if micro_batch < 0 else f"{operation}0.{micro_batch}",
        operation=operation,
        direction=0,
        micro_batch=micro_batch,
        part="" if operation == "B" else operation,
    )


def _of_label(label: Label) -> Annotation | None:
    try:
        action = _action_of(label)
        operation = _operation(label.slot or label.action)
    except DpprofError:
        return None
    return Annotation(
        family=Family.SLOT if label.kind == SLOT_LABEL else Family.LABEL,
        hint=PREFIX + label.kind,
        kind=label.kind,
        title=f"{label.component}({label.part})" if label.component else label.way or label.kind,
        slot=label.slot,
        operation=operation,
        direction=-1 if action is None else action.direction,
        micro_batch=-1 if action is None else action.micro_batch,
        part=label.part or _part_of(label, action),
        component=label.component,
        layer=label.layer,
        stage=label.stage,
        group=label.group,
        peer=label.peer,
        bytes=label.bytes,
        sequence=label.sequence,
    )


def _action_of(label: Label) -> Action | None:
    """The action that a label names; of a slot's label, the only one in the slot."""
    if label.action:
        return parse_action(label.action)
    if label.kind != SLOT_LABEL or not label.slot:
        return None
    slot = parse_slot(label.slot)
    return slot[0] if len(slot) == 1 else None


def _part_of(label: Label, action: Action | None) -> str:
    """What runs in a slot of one part is of that part; a full backward has two."""
    if label.kind != SLOT_LABEL or action is None or action.operation is Operation.BACKWARD:
        return ""
    return action.operation.value


@lru_cache(maxsize=65536)
def _operation(slot: str) -> str:
    return slot_operation(parse_slot(slot)) if slot else ""


def _of_pipelining(name: str, stages: Sequence[int]) -> Annotation | None:
    if match := _ACTION.fullmatch(name):
        stage, operation, micro_batch = int(match[1]), match[2], int(match[3])
        direction = _direction(stage, stages)
        return Annotation(
            family=Family.PIPELINING,
            hint=name,
            slot=f"{operation}{direction}.{micro_batch}",
            operation=operation,
            direction=direction,
            micro_batch=micro_batch,
            part="" if operation == "B" else operation,
            stage=stage,
        )
    if match := _MESSAGE.fullmatch(name):
        return Annotation(
            family=Family.PIPELINING,
            hint=name,
            part=_PARTS[match[2]],
            direction=_direction(int(match[1]), stages),
            micro_batch=int(match[3]),
            stage=int(match[1]),
        )
    if match := _OVERLAP.fullmatch(name):
        forward = f"F{_direction(int(match[1]), stages)}.{int(match[2])}"
        backward = f"B{_direction(int(match[3]), stages)}.{int(match[4])}"
        return Annotation(
            family=Family.PIPELINING,
            hint=name,
            slot=f"{forward}&{backward}",
            operation=OVERLAPPED_PAIR,
        )
    return None


def _direction(stage: int, stages: Sequence[int]) -> int:
    return stages.index(stage) if stage in stages else 0
