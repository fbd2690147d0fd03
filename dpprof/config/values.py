"""Reads single configured values, alike from TOML and from the text of the environment."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from dpprof.config.format_names import format_names
from dpprof.errors import DpprofError

_NARROWEST, _WIDEST = 40, 1000
_MOST_RULES = 1000
_MOST_REPEATS = 100
_SIZE = re.compile(r"([0-9]{1,15})\s*([KMGT]?)(i?)B?", re.IGNORECASE)
_SPREAD = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?(%?)")
_LARGEST_SPREAD = 0.5
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def wrong(origin: str, problem: str) -> DpprofError:
    """An error at `origin`, which names the file and the key, or the variable."""
    return DpprofError(f"{origin}: {problem}")


def check_known(keys: Collection[str], known: Collection[str], origin: str, what: str) -> None:
    """Raise `DpprofError` for the first key that is not known; it lists those that are."""
    for key in sorted(set(keys) - set(known)):
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ";"
        raise wrong(origin, f"unknown {what} {key!r}{hint} known: {', '.join(sorted(known))}")


def one_of(choices: Collection[str], value: Any, origin: str) -> str:
    """A text that is one of `choices`."""
    text = a_text(value, origin)
    if text not in choices:
        near = difflib.get_close_matches(text, choices, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ";"
        raise wrong(origin, f"no {text!r}{hint} choose from {', '.join(choices)}")
    return text


def a_text(value: Any, origin: str) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise wrong(origin, f"{value!r} is not a text; write it in quotes")
    return value


def _format(value: Any, origin: str, base: Path) -> str:
    return one_of(format_names(), value, origin)


def _width(value: Any, origin: str, base: Path) -> int:
    text = str(value) if type(value) is int else value
    if isinstance(text, str) and re.fullmatch(r"[0-9]{1,6}", text):
        width = int(text)
        if _NARROWEST <= width <= _WIDEST:
            return width
    raise wrong(origin, f"{value!r} is not a width; give characters, {_NARROWEST} to {_WIDEST}")


def _folder(value: Any, origin: str, base: Path) -> Path:
    try:
        return base / Path(a_text(value, origin)).expanduser()
    except RuntimeError as error:
        raise wrong(origin, f"{value!r}: {error}; give the whole path") from error


def read_size(value: Any, origin: str) -> int:
    """Bytes: a number, or text such as ``20 GiB``; raises `DpprofError`."""
    if type(value) is int and value >= 0:
        return int(value)
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise wrong(origin, f"{value!r} is not a size; write bytes, or text such as '20 GiB'")
    unit = 1024 if match[3] else 1000
    return int(match[1]) * int(unit ** _POWERS[match[2].upper()])


def _size(value: Any, origin: str, base: Path) -> int:
    return read_size(value, origin)


def _switch(value: Any, origin: str, base: Path) -> bool:
    text = value.strip().lower() if isinstance(value, str) else value
    if text in (True, "on", "true", "yes", "1"):
        return True
    if text in (False, "off", "false", "no", "0"):
        return False
    raise wrong(origin, f"{value!r} is neither on nor off")


def _rules(value: Any, origin: str, base: Path) -> tuple[str, ...]:
    """Rules of a gate as text, from the environment apart by ``;``; the gate reads them."""
    texts = [part for part in value.split(";") if part.strip()] if isinstance(value, str) else value
    if not isinstance(texts, list) or len(texts) > _MOST_RULES:
        raise wrong(
            origin, f"is a list of at most {_MOST_RULES} rules, as in ['bubble_share > 12%']"
        )
    return tuple(a_text(text, f"{origin}[{i}]").strip() for i, text in enumerate(texts))


def _repeat(value: Any, origin: str, base: Path) -> int:
    text = str(value) if type(value) is int else value
    if (
        isinstance(text, str)
        and re.fullmatch(r"[0-9]{1,3}", text)
        and 1 <= int(text) <= _MOST_REPEATS
    ):
        return int(text)
    raise wrong(origin, f"{value!r} is not a number of repeats, 1 to {_MOST_REPEATS}")


def read_spread(value: Any, origin: str) -> float:
    """A part of the step time, ``"0.5%"`` or 0.005; raises `DpprofError`."""
    match = _SPREAD.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is not None:
        share = float(match[1]) / (100 if match[2] else 1)
    elif type(value) in (int, float):
        share = float(value)
    else:
        share = -1.0
    if not 0 <= share <= _LARGEST_SPREAD:
        raise wrong(origin, f"{value!r} is not a part of the step time; write '0.5%', at most 50%")
    return share


def _spread(value: Any, origin: str, base: Path) -> float:
    return read_spread(value, origin)


READERS: Mapping[str, Mapping[str, Callable[[Any, str, Path], Any]]] = {
    "output": {"format": _format, "width": _width},
    "cache": {"enabled": _switch, "folder": _folder, "limit": _size},
    "gate": {"fail_if": _rules, "baseline": _folder, "repeat": _repeat, "run_spread": _spread},
}
"""Section -> key -> reader of its value: (value, origin, folder that paths are relative to)."""
