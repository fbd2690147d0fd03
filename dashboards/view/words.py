"""One word for one thing: what the pages call the states of a rank."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

CAUSE_ABOUT: Mapping[str, str] = MappingProxyType(
    {
        "bubble.warmup": "idle before the rank's first compute of the step",
        "bubble.cooldown": "idle after the rank's last compute of the step",
        "bubble.dependency": "idle, waiting for a peer",
        "bubble.straggler": "idle in a collective, waiting for a straggler",
        "bubble.host": "the device was free and the inputs were there, but the launch came late",
        "bubble.other": "idle, and nothing in the trace says why",
    }
)
"""What each cause of a bubble means, in a sentence."""


def state_word(state: str) -> str:
    """What a state is called everywhere: ``bubble: dependency``, ``exposed: dispatch``."""
    return state.replace(".", ": ")


def cause_word(state: str) -> str:
    """``dependency`` for ``bubble.dependency``, where it is clear that bubbles are meant."""
    return state.removeprefix("bubble.")
