"""What the verbs take from the configuration that is in force in the current folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dpprof.config.load import load_config

if TYPE_CHECKING:
    from dpprof.trace.activities.kind_rules import KindRule


def user_patterns() -> tuple[KindRule, ...]:
    """The user's own rules for kinds, in the order in which they are asked."""
    from dpprof.trace.activities.user_rules import kind_rules

    return kind_rules(load_config().kinds)
