"""The controls of the page of what-if; each sets an option of it, so its address has them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dpprof.costs.load import builtin_costs
from dpprof.dashboards.parts.panel import note, panel
from dpprof.dashboards.parts.picker import picker
from dpprof.dashboards.view.changes import control_id
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.what_if.costs import default_costs
from dpprof.dashboards.what_if.request import (
    COMMUNICATION,
    COSTS,
    LAYERS,
    MICRO_BATCHES,
    PP,
    SCHEDULE,
    WhatIf,
    measured_of,
)
from dpprof.schedules.registry import schedule_names, schedule_summaries
from dpprof.simulate.walk import COMMUNICATIONS

if TYPE_CHECKING:
    from dash.development.base_component import Component

_NO_COSTS = (
    "{} does not say what its work cost, as nothing in it is labelled with slots or components "
    "(see docs/capture.md); built-in costs are taken."
)
_ABOUT = (
    "A simulated rank does what its schedule and the costs say and nothing else: no host, no noise."
)


def choice(context: Context, asked: WhatIf | None) -> Component:
    """The controls; each sets an option of the page, so the address has all of them."""
    from dash import html

    measured = measured_of(context)
    report = measured.report
    own = measured.run.schedule
    costs = [(id, f"{id} (measured)") for id in context.library.ids] + [
        (name, f"{name} (built in)") for name in builtin_costs()
    ]
    chosen = context.option(COSTS) or default_costs(context.library, measured)
    names = schedule_names()
    schedule = context.option(SCHEDULE, own.name if own and own.name in names else "dualpipe")
    controls = [
        picker(f"o.{SCHEDULE}", "Schedule", names, schedule),
        _number(context, PP, "PP", asked.pp if asked else report.pp),
        _number(
            context,
            MICRO_BATCHES,
            "Micro-batches",
            asked.micro_batches if asked else report.micro_batches,
        ),
        # Dash takes back a value that is none of the options; the error panel is to say so.
        picker(f"o.{COSTS}", "Costs", costs, chosen if chosen in dict(costs) else None),
        picker(
            f"o.{COMMUNICATION}",
            "Communication",
            COMMUNICATIONS,
            context.option(COMMUNICATION, COMMUNICATIONS[0]),
        ),
        _number(context, LAYERS, "Layers", asked.layers_text if asked else "", "as costs"),
    ]
    lines = [note(f"{schedule}: {schedule_summaries().get(schedule, '')}.")]
    if not context.option(COSTS) and chosen != measured.id:
        lines.append(note(_NO_COSTS.format(measured.id), warning=True))
    if asked is not None:
        lines.append(
            html.P(html.Code(asked.command(context.library)), className="note", title="the same")
        )
    tools = html.Div(controls, className="tools")
    return panel("What if", tools, *lines, id="what-if", about=_ABOUT)


def _number(
    context: Context, name: str, label: str, shown: int | str | None, empty: str = ""
) -> Component:
    from dash import dcc, html

    value = context.option(name) or ("" if shown is None else str(shown))
    box = dcc.Input(
        id=control_id(f"o.{name}", value),
        value=value,
        debounce=True,
        inputMode="text" if name == LAYERS else "numeric",
        placeholder=empty,
        className="short",
    )
    return html.Label([html.Span(label, className="label"), box], className="field")
