"""Time figures added up over ranks."""

from __future__ import annotations

from collections.abc import Sequence

from dpprof.analysis.figures import TimeFigures
from dpprof.analysis.overlap import add_kinds, hidden_reason, known_sum, share
from dpprof.tables.kinds import STATES


def total_figures(ranks: Sequence[TimeFigures]) -> TimeFigures:
    """Everything added up over ranks; shares from the sums."""
    states = {state: sum(one.states_ns[state] for one in ranks) for state in STATES}
    window, bubble = sum(states.values()), sum(one.bubble_ns for one in ranks)
    hidden, exposed = sum(one.hidden_ns for one in ranks), sum(one.exposed_ns for one in ranks)
    by_kind = add_kinds([one.by_kind for one in ranks])
    unsplit = sum(one.unsplit_communication_ns for one in ranks)
    unsplit_hidden = sum(one.unsplit_hidden_ns for one in ranks)
    reason = hidden_reason(hidden + exposed, by_kind)
    return TimeFigures(
        window_ns=window,
        states_ns=states,
        bubble_ns=bubble,
        bubble_share=share(bubble, window),
        communication_ns=hidden + exposed,
        hidden_ns=hidden,
        exposed_ns=exposed,
        wait_ns=known_sum([one.wait_ns for one in ranks]),
        hidden_share=None if reason else share(hidden, hidden + exposed),
        hidden_reason=reason,
        unsplit_communication_ns=unsplit,
        unsplit_hidden_ns=unsplit_hidden,
        unsplit_hidden_share=None if reason else share(unsplit_hidden, unsplit),
        by_kind=by_kind,
    )
