"""Which kernels of one side are those of the other, although they are named otherwise.

A compiler writes sizes, tiles and types into names, an autotuner chooses among kernels, and a
library names the same product differently on every architecture. So names are compared in forms
that are blind to more and more: (1) the name; (2) without numbers, tiles and autotune suffixes;
(3) without types and arguments; (4) its family: matrix products by transposition, element-wise
kernels by functor, a library's collectives by operation. Names that are alike in one form and are
called equally often on both sides are matched first, the strictest form first; then what is left,
again by the strictest form that both sides have. Activities of different kinds never match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

Rule = Literal["same", "arguments", "family", ""]
Name = tuple[str, str]
"""Kind and name of an activity."""

_LONGEST = 4000
"""Characters of a name that are read; what differs later is taken for the same."""

_RETURN_TYPE = re.compile(r"^(?:void|__global__ void|std::enable_if<.*?>::type) ")
_CALL_ARGUMENTS = re.compile(r"(?<=[\w>])\([^()]*(?:\([^()]*\)[^()]*)*\)(?: \[.*\])?$")
_LAMBDA = re.compile(r"\{lambda\([^{}]*?\)#\d+\}|::operator\(\)\([^()]*\)(?: const)?")
_ANONYMOUS = re.compile(r"\(anonymous namespace\)::|<unnamed>::")
_TRITON_SIGNATURE = re.compile(r"_(?:\d+[a-z]{1,3})+\d*$")
_NUMBERS = re.compile(r"_?(?:sm|align|stage|ldg)?\d+(?:x\d+)*(?:ul|u|l)?(?![a-z])", re.IGNORECASE)
_DIGITS = re.compile(r"\d+")
_TYPES = re.compile(
    r"\b(?:unsigned|signed|const|volatile|float|double|half|bool|char|short|int|long|true|false|"
    r"u?int_t|c(?:10)?::\w+|__half\d?|__nv_bfloat\d*|at::opmath_type)\b"
)
_NOT_WORDS = re.compile(r"[^A-Za-z_:]+")
_NCCL = re.compile(r"(?:nccl|rccl)\w*?Kernel_(?:Generic_)?([A-Za-z]+)")
_PRODUCT = re.compile(r"gemm|cutlass|xmma|nvjet|cublas", re.IGNORECASE)
_NO_PRODUCT = re.compile(r"reduce_kernel|splitKreduce", re.IGNORECASE)
_VECTOR_PRODUCT = re.compile(r"gemv\w*?kernel|gemvx?::kernel|gemv2[NT]", re.IGNORECASE)
_MAGMA = re.compile(r"magma_\w*gemm\w*<(?:\w+, )*?(true|false), (true|false)")
_TRANSPOSED = re.compile(r"_([nt]{2,3})(?:_|$|>)", re.IGNORECASE)
_ELEMENT_WISE = re.compile(r"elementwise_kernel")
_FUNCTOR = re.compile(r"\w*(?:[Ff]unctor|_kernel_cuda|_kernel_impl|clamp_scalar|compare_scalar)\w*")
_WRAPPERS = frozenset(
    ("gpu_kernel_impl", "AUnaryFunctor", "BUnaryFunctor", "BinaryFunctor", "gpu_kernel_impl_nocast")
)


class Match(NamedTuple):
    """Names of both sides that stand for the same; one side may be empty."""

    kind: str
    rule: Rule
    base: tuple[str, ...]
    new: tuple[str, ...]

    @property
    def title(self) -> str:
        """One name for all: of a family its own, else the shortest of the names."""
        names = (*self.base, *self.new)
        if self.rule == "family":
            return family(names[0])
        return min(names, key=lambda name: (len(name), name))


def match_names(base: Mapping[Name, int], new: Mapping[Name, int]) -> list[Match]:
    """Match the names of both sides, each given with its calls; every name is in one match.

    Calls must count the same number of steps and ranks on both sides.
    """
    matches: list[Match] = []
    left, right = dict(base), dict(new)
    for even in (True, False):
        for rule, form in _FORMS:
            for group in list(_alike(left, right, form)):
                if even and _calls(left, group.base) != _calls(right, group.new):
                    continue
                matches.append(group.match(rule))
                for name in group.base:
                    del left[name]
                for name in group.new:
                    del right[name]
    matches += [Match(kind, "", (name,), ()) for kind, name in sorted(left)]
    matches += [Match(kind, "", (), (name,)) for kind, name in sorted(right)]
    return matches


class _KernelGroup(NamedTuple):
    base: set[Name]
    new: set[Name]

    def match(self, rule: Rule) -> Match:
        kind = next(iter(self.base))[0]
        base, new = (tuple(sorted(name for _, name in side)) for side in self)
        return Match(kind, "same" if base == new and len(base) == 1 else rule, base, new)


def _alike(
    base: Iterable[Name], new: Iterable[Name], form: Callable[[str], str]
) -> Iterator[_KernelGroup]:
    """Names that both sides have in one form, by kind and form."""
    groups: dict[Name, _KernelGroup] = {}
    for side, names in enumerate((base, new)):
        for kind, name in names:
            if alike := form(name):
                groups.setdefault((kind, alike), _KernelGroup(set(), set()))[side].add((kind, name))
    for _, group in sorted(groups.items()):
        if group.base and group.new:
            yield group


def _calls(calls: Mapping[Name, int], names: Iterable[Name]) -> int:
    return sum(calls[name] for name in names)


@lru_cache(maxsize=1 << 14)
def without_numbers(name: str) -> str:
    """A name without sizes, tiles, architecture numbers, autotune suffixes and call arguments."""
    text = _RETURN_TYPE.sub("", name[:_LONGEST])
    text = _ANONYMOUS.sub("", _LAMBDA.sub("", text))
    text = _CALL_ARGUMENTS.sub("", text)
    text = _TRITON_SIGNATURE.sub("", text)
    return _DIGITS.sub("", _NUMBERS.sub("", text)).strip()


@lru_cache(maxsize=1 << 14)
def without_arguments(name: str) -> str:
    """What is left of a name without types, numbers and punctuation: its words."""
    text = _TYPES.sub(" ", without_numbers(name))
    words = dict.fromkeys(word.strip("_:") for word in _NOT_WORDS.split(text))
    return " ".join(word for word in words if word)


@lru_cache(maxsize=1 << 14)
def family(name: str) -> str:
    """Matrix product, element-wise kernel or collective; empty for what is of no family."""
    text = name[:_LONGEST]
    collective = _NCCL.search(text)
    if collective is not None:
        return f"nccl {collective[1]}"
    if _ELEMENT_WISE.search(text):
        words = [word for word in _FUNCTOR.findall(text) if word not in _WRAPPERS]
        return f"element-wise {words[0]}" if words else ""
    if _VECTOR_PRODUCT.search(text):
        return "matrix-vector product"
    if _PRODUCT.search(text) and not _NO_PRODUCT.search(text):
        return f"matrix product {_transposition(text)}".rstrip()
    return ""


def _transposition(name: str) -> str:
    """``nn``, ``nt``, ``tnt`` and so on; empty where the name does not say."""
    if (flags := _MAGMA.search(name)) is not None:
        return "".join("t" if flag == "true" else "n" for flag in flags.groups())
    transposed = _TRANSPOSED.search(name)
    return "" if transposed is None else transposed[1].lower()


_FORMS: tuple[tuple[Rule, Callable[[str], str]], ...] = (
    ("same", lambda name: name),
    ("arguments", without_numbers),
    ("arguments", without_arguments),
    ("family", family),
)
