"""The name of a kernel as its source spells it, whatever a tracer made of it.

``void ns::(anonymous namespace)::oneShotAllReduceKernel<8u>(...)``, its mangled form
``_ZN2ns...``, a name that was cut off and the bare ``oneShotAllReduceKernel`` all have a path:
``ns::one_shot_all_reduce_kernel``, in lower case, words parted by ``_``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

LONGEST_NAME = 4096
"""Characters of a name that are looked at; where it names its function is long before."""

LONGEST_PATH = 400
"""Characters of a path that are looked at, from its end; a bound on what matching may cost."""

_SIMPLE = re.compile(r"(?:void )?([\w$:.@~-]+)(?:[<(\[ ].*)?", re.DOTALL)
_ANONYMOUS = re.compile(r"\(anonymous(?: namespace|_namespace)\)::|\{anonymous\}::|<unnamed>::")
_BRACKET = re.compile(r"[<>(){}\[\] ]")
_OPENS, _CLOSES = "<({[", ">)}]"
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[0-9A-Z])(?=[A-Z][a-z])")
_MANGLED = re.compile(r"_{1,3}Z(?:N[rVK]*)?(?:St|S[a-z0-9_]_?|L)?(?=\d)")
_LENGTH = re.compile(r"\d{1,4}")
_ANONYMOUS_PART = re.compile(r"_GLOBAL__N|_INTERNAL_")
_CLONE = re.compile(r"\.(?:kd|constprop|isra|part|intern|lto_priv|llvm)\b.*")


class Spelling(NamedTuple):
    """One name: `path` as above, and `whole`, what was written, of at most `LONGEST_NAME`."""

    path: str
    whole: str


@lru_cache(maxsize=16384)
def spell(name: str) -> Spelling:
    """Take a kernel's name apart; any text has a path, if only its own first word."""
    whole = name[:LONGEST_NAME]
    parts = mangled_path(whole) if whole.startswith("_") else ""
    path = parts or _demangled_path(_ANONYMOUS.sub("", whole))
    return Spelling(in_words(path)[-LONGEST_PATH:], whole)


def in_words(path: str) -> str:
    """``EpDispatchKernel`` as ``ep_dispatch_kernel``; acronyms with digits (``A2A``) stay whole."""
    return _HUMP.sub("_", path).lower()


def _demangled_path(name: str) -> str:
    """The qualified name of the function: without return type, template and arguments."""
    simple = _SIMPLE.fullmatch(name)
    if simple and not (simple[1] in _TYPES or name.startswith("decltype")):
        return _CLONE.sub("", simple[1])
    return _CLONE.sub("", _outside_brackets(name))


_TYPES = frozenset({"void", "unsigned", "int", "float", "bool", "static", "std::enable_if"})


def _outside_brackets(name: str) -> str:
    """What stands outside brackets, up to the arguments, from its last space on."""
    depth, kept, start = 0, "", 0
    for match in _BRACKET.finditer(name):
        mark = match[0]
        if not depth:
            kept += name[start : match.start()]
            if mark == "(" and kept.strip():
                break
            if mark == " ":
                kept += " "
        start = match.end()
        depth += (mark in _OPENS) - (mark in _CLOSES and depth > 0)
    else:
        kept += name[start:] if not depth else ""
    return kept.strip().rpartition(" ")[2]


def mangled_path(name: str) -> str:
    """The qualified name of a mangled one (Itanium ABI), as far as it goes; "" of any other."""
    begin = _MANGLED.match(name)
    if begin is None:
        return ""
    parts, at = [], begin.end()
    while (length := _LENGTH.match(name, at)) and int(length[0]):
        at = length.end() + int(length[0])
        parts.append(name[length.end() : at])
        if "N" not in begin[0]:
            break
        at += name.startswith("L", at)
    return "::".join(part for part in parts if not _ANONYMOUS_PART.match(part))
