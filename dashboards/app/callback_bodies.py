"""What a browser's callback may carry: anything else is the client's fault, not a bug of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

if TYPE_CHECKING:
    from dash import Dash

Number = (
    Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
    | Annotated[float, msgspec.Meta(ge=-(2.0**53), le=2.0**53)]
)
"""As every browser can hold; neither infinite nor so large that products of two leave a float."""
Plain = Number | str | bool | None
Identity = str | dict[str, str | Number]

_PATH = "/_dash-update-component"
_ENDS = (".range[0]", ".range[1]")


class _Screen(msgspec.Struct):
    width: Number | None = None
    height: Number | None = None
    dark: bool = False


class _Pointer(msgspec.Struct):
    x: Number | None = None
    y: Number | None = None
    x2: Number | None = None
    y2: Number | None = None
    act: str | None = None
    by: Number | None = None
    text: str | None = None


class _Meta(msgspec.Struct):
    nanoseconds: Number
    window_ns: Number


class _BodyLayout(msgspec.Struct):
    meta: _Meta | None = None


class _Figure(msgspec.Struct):
    layout: _BodyLayout = msgspec.field(default_factory=_BodyLayout)


class _Value(msgspec.Struct):
    id: Identity
    property: str
    value: Any = None


class _Body(msgspec.Struct):
    output: str
    inputs: list[_Value | list[_Value]]
    outputs: Any = None
    state: list[_Value | list[_Value]] = []
    changedPropIds: list[str] = []


class _MemoryGraph(msgspec.Struct):
    unit: Annotated[int, msgspec.Meta(ge=1, le=10**9)]
    run: str


TYPES: dict[tuple[str, str], Any] = {
    ("url", "pathname"): str | None,
    ("url", "search"): str | None,
    ("screen", "data"): _Screen | None,
    ("shown", "data"): str | None,
    ("change", "data"): dict[str, Plain | list[Plain]] | None,
    ("view", "value"): Plain | list[Plain],
    ("timeline-pointer", "data"): _Pointer | None,
    ("timeline-act", "data"): _Pointer | None,
    ("timeline-drawn", "data"): dict[str, str] | None,
    ("", "figure"): _Figure | None,
    ("watch", "n_intervals"): Number | None,
}
"""By the component's id, or its id's type, and the property; every input has its place here, or
is a `relayoutData`."""


def check_callbacks(app: Dash) -> None:
    """Answer 400 to every callback that this app's pages in a browser would not send."""
    from flask import abort, request

    def check() -> None:
        if request.path == _PATH and not is_sound(request.get_data(), app.callback_map):
            abort(400, "not a callback of this dashboard")

    app.server.before_request(check)


def is_sound(content: bytes, known: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the content asks for a `known` callback, with values of the types that it takes.

    `known` are the inputs and the state of each callback by its output, as Dash lists them.
    """
    try:
        body = msgspec.json.decode(content, type=_Body)
        for name in body.changedPropIds:
            _check_changed(name)
        wanted = known.get(body.output, {"inputs": None, "state": None})
        return _are_sound(body.inputs, wanted["inputs"]) and _are_sound(body.state, wanted["state"])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def _are_sound(given: list[_Value | list[_Value]], wanted: list[Mapping[str, Any]] | None) -> bool:
    if wanted is None or len(given) != len(wanted):
        return False
    for one, place in zip(given, wanted, strict=True):
        pattern, values = str(place["id"]), one if isinstance(one, list) else [one]
        if pattern.startswith("{") and "ALL" in pattern:
            keys = set(msgspec.json.decode(pattern))
            if not all(isinstance(value.id, dict) and set(value.id) == keys for value in values):
                return False
        elif isinstance(one, list) or one.id != place["id"]:
            return False
        for value in values:
            if value.property != place["property"]:
                return False
            _check(value)
    return True


def is_known(identity: Identity, name: str) -> bool:
    """Whether there is a type for that input."""
    return name == "relayoutData" or _type_of(identity, name) is not None


def _check_changed(name: str) -> None:
    identity, dot, _ = name.rpartition(".")
    if not dot:
        raise msgspec.ValidationError("no property")
    if identity.startswith("{"):
        msgspec.json.decode(identity, type=dict[str, str | Number])


def _check(value: _Value) -> None:
    if value.property == "relayoutData":
        _check_zoom(value)
    elif (wanted := _type_of(value.id, value.property)) is not None:
        msgspec.convert(value.value, wanted)
    if value.id == "change" and isinstance(value.value, Mapping):
        msgspec.convert(value.value.get("count", 0), Number)


def _check_zoom(value: _Value) -> None:
    """Ends of an axis are numbers; whatever else Plotly tells of is not looked at."""
    layout = msgspec.convert(value.value, dict[str, Any] | None) or {}
    ends = {name: one for name, one in layout.items() if name.endswith(_ENDS)}
    msgspec.convert(ends, dict[str, Number])
    if isinstance(value.id, dict) and "unit" in value.id:
        msgspec.convert(value.id, _MemoryGraph)


def _type_of(identity: Identity, name: str) -> Any:
    key = identity if isinstance(identity, str) else str(identity.get("type", ""))
    return TYPES.get((key, name), TYPES.get(("", name)))
