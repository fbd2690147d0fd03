"""The contract of an adapter: which module, which functions are slots, what is a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from dpprof.errors import DpprofError

SlotOf = Callable[..., str | None]
"""Called as the function is; the slot (``F0.3``, ``F0.3&B1.2``) that this call runs, if any."""


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """What a framework's own objects say of the pipeline that this rank is in.

    `stages` are those of this rank by direction; `schedule` is the JSON form of the order in which
    the ranks work (`dpprof.schedules.form`), where the framework tells it.
    """

    pp_rank: int
    pp: int
    dp_rank: int = 0
    micro_batches: int | None = None
    stages: tuple[int, ...] = ()
    schedule: dict[str, Any] | None = None


PipelineOf = Callable[..., Pipeline | None]


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """One framework's loop; functions are named ``function`` or ``Class.method`` of `module`.

    `slots` maps each function that runs a slot to what names the slot. `steps` maps each function
    whose return ends a training step to what tells the pipeline (None: nothing); both are called
    with the arguments of the call itself. `training` says whether such a call trains at all, so
    that an evaluation is no step. `extend` may patch further, once the module is imported.
    """

    name: str
    module: str
    slots: Mapping[str, SlotOf] = field(default_factory=dict)
    steps: Mapping[str, PipelineOf | None] = field(default_factory=dict)
    training: Callable[..., bool] | None = None
    extend: Callable[[ModuleType], None] | None = None

    def __post_init__(self) -> None:
        if not self.name or not self.module:
            raise DpprofError("an adapter needs a name and the module that it is for")
