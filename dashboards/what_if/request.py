"""What a view asks to be simulated: a schedule, its sizes and whose costs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import cast

from dpprof.costs.stages import cut_text, read_cut
from dpprof.dashboards.data.library import IDEAL, Library, LibraryRun
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.what_if.costs import costs_of, default_costs
from dpprof.errors import DpprofError
from dpprof.schedules.registry import make_schedule, schedule_names
from dpprof.simulate.layers import same_model_layers
from dpprof.simulate.walk import COMMUNICATIONS, Communication

MOST_PP, MOST_CHUNKS = 64, 4096
"""What is simulated while somebody waits: pipeline ranks, and these by micro-batches by layers."""

SCHEDULE, PP, MICRO_BATCHES, COSTS, COMMUNICATION, LAYERS = (
    "schedule",
    "pp",
    "micro_batches",
    "costs",
    "communication",
    "layers",
)
_DEFAULT_SCHEDULE, _DEFAULT_PP, _DEFAULT_MICRO_BATCHES = "dualpipe", 8, 20

OPTIONS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        SCHEDULE: schedule_names(),
        PP: (),
        MICRO_BATCHES: (),
        COSTS: (),
        COMMUNICATION: COMMUNICATIONS,
        LAYERS: (),
    }
)
"""The parts of an address that ask, with the values they may have (empty: any)."""


@dataclass(frozen=True)
class WhatIf:
    """What to simulate; `costs` names a run of the library or built-in costs.

    `layers` is that of a stage's chunk, None for that of the costs; left out of what is asked, it
    is that with which the model that was measured is cut into the schedule's stages.
    `stage_layers` are those of each stage, where they are asked for.
    """

    schedule: str
    pp: int
    micro_batches: int
    costs: str
    communication: Communication
    layers: int | None
    stage_layers: tuple[int, ...] = ()

    @property
    def id(self) -> str:
        """In words, the same for the same what-if only."""
        layers = f", {self.layers_text} layers" if self.layers_text else ""
        return (
            f"{self.schedule}, PP {self.pp}, {self.micro_batches} micro-batches, costs of "
            f"{self.costs}{layers}, {self.communication}"
        )

    @property
    def layers_text(self) -> str:
        """Layers of a stage or of each, as they are asked for; empty: those of the costs."""
        layers = "" if self.layers is None else str(self.layers)
        return cut_text(self.stage_layers) if self.stage_layers else layers

    def command(self, library: Library) -> str:
        """The same on the command line; `library` says where the run with the costs is."""
        layers = f" --layers {self.layers_text}" if self.layers_text else ""
        costs = shlex.quote(library.path(self.costs))
        return (
            f"dpprof simulate {self.schedule} --pp {self.pp} --micro-batches {self.micro_batches} "
            f"--costs {costs} --communication {self.communication}{layers}"
        )


def what_if_of(context: Context) -> WhatIf:
    """What the view asks for; what it leaves out is as in the run that is compared with.

    Raises `DpprofError` for what cannot be simulated here.
    """
    run = measured_of(context)
    schedule = run.run.schedule
    name = _DEFAULT_SCHEDULE if schedule is None else schedule.name
    cut = read_cut(context.option(LAYERS), "layers") if context.option(LAYERS) else ()
    asked = WhatIf(
        schedule=context.option(SCHEDULE, name if name in schedule_names() else _DEFAULT_SCHEDULE),
        pp=_number(context, PP, run.report.pp or _DEFAULT_PP),
        micro_batches=_number(
            context, MICRO_BATCHES, run.report.micro_batches or _DEFAULT_MICRO_BATCHES
        ),
        costs=context.option(COSTS) or default_costs(context.library, run),
        communication=cast("Communication", context.option(COMMUNICATION, COMMUNICATIONS[0])),
        layers=cut[0] if len(cut) == 1 else None,
        stage_layers=cut if len(cut) > 1 else (),
    )
    layers = max(cut, default=1)
    if asked.pp > MOST_PP or asked.pp * asked.micro_batches * layers > MOST_CHUNKS:
        raise DpprofError(
            f"{asked.id}: more than a page waits for (PP {MOST_PP}, {MOST_CHUNKS:,} chunks by the "
            f"layers asked for); use `{asked.command(context.library)}`"
        )
    return asked if cut else replace(asked, layers=_same_model(context, asked))


def _same_model(context: Context, asked: WhatIf) -> int | None:
    """Layers of a stage with which the measured model is cut; None where they are the costs'."""
    library = context.library
    ran = library.get(asked.costs).run.schedule if asked.costs in library.ids else None
    if ran is None:
        return None
    costs = costs_of(library, asked.costs)
    schedule = make_schedule(asked.schedule, asked.pp, asked.micro_batches)
    layers = same_model_layers(costs, ran, schedule)
    return None if layers == costs.layers else layers


def measured_of(context: Context) -> LibraryRun:
    """The run that a what-if is beside: that of its costs, else the first one shown."""
    wanted = context.option(COSTS)
    shown = wanted if wanted in context.library.ids else context.runs[0].id.removesuffix(IDEAL)
    return context.library.get(shown)


def _number(context: Context, name: str, default: int) -> int:
    text = context.option(name)
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:10]) < 10**6):
        raise DpprofError(f"{name.replace('_', '-')}: {text[:20]!r} is no number from 1 on")
    return int(text)
