"""The table of kernels: which library a kernel is of, and of which kind, by its name alone."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from typing import Any

from dpprof.errors import DpprofError
from dpprof.tables.kinds import KINDS
from dpprof.trace.activities.kernel_names import Spelling, in_words, spell
from dpprof.trace.activities.package_tables import package_libraries, package_tables

_TABLE = "kernels.toml"
_OPERATIONS = ("operations", "messages", "others", "signals")

Operations = tuple[Mapping[str, re.Pattern[str]], ...]
"""Kind -> how it is written: groups of them, the clearest words first."""


@dataclass(frozen=True)
class Kernel:
    """One row: the kind of kernels of `library` that match, and names that are known to.

    `pattern` is searched in the function's name, or in the path if it holds ``::``; in what was
    written if `written`. `parts` and `ambiguous` are explained at the head of the table.
    """

    library: str
    kind: str
    pattern: str
    written: bool = False
    unless: str = ""
    examples: tuple[str, ...] = ()
    parts: bool = False
    ambiguous: bool = False

    @cached_property
    def _search(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    @cached_property
    def _excludes(self) -> re.Pattern[str] | None:
        return re.compile(self.unless) if self.unless else None

    def matches(self, name: Spelling) -> bool:
        """Whether it is a kernel of this row, if it is one of the library."""
        function = name.path.rpartition("::")[2]
        looked_at = name.path if "::" in self.pattern else function
        if self._search.search(name.whole if self.written else looked_at) is None:
            return False
        return self._excludes is None or self._excludes.search(function) is None


@dataclass(frozen=True)
class KernelLibrary:
    """A communication library, and what tells its kernels."""

    name: str
    versions: str
    source: str
    inside: str
    written: str
    unless: str
    kernels: tuple[Kernel, ...]
    operations: Operations
    otherwise: Kernel | None

    @cached_property
    def _gates(self) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str] | None]:
        unless = re.compile(self.unless) if self.unless else None
        return re.compile(self.inside), re.compile(self.written), unless

    def compile(self) -> None:
        """Raise `re.error` where a pattern is none; patterns are compiled on first use else."""
        for pattern in (self.inside, self.written, self.unless):
            re.compile(pattern)
        for kernel in self.kernels:
            re.compile(kernel.pattern)
            re.compile(kernel.unless)

    def holds(self, name: Spelling) -> bool:
        """Whether the name may be of this library."""
        inside, written, unless = self._gates
        if self.inside and inside.search(name.path) is None:
            return False
        if self.written and written.search(name.whole) is None:
            return False
        return unless is None or unless.search(name.path) is None

    def find(self, name: Spelling) -> Kernel | None:
        """The row of a kernel of this library."""
        if not self.holds(name):
            return None
        for kernel in self.kernels:
            if kernel.matches(name):
                return kernel
        return self._by_operation(name.path.rpartition("::")[2]) or self.otherwise

    def _by_operation(self, function: str) -> Kernel | None:
        found = _first_operation(self.operations, function)
        return Kernel(self.name, found[0], found[1]) if found else None


def _first_operation(operations: Operations, function: str) -> tuple[str, str] | None:
    """Kind and pattern of the first operation in a function's name; those listed first count."""
    for patterns in operations:
        found = {
            kind: match.start()
            for kind, pattern in patterns.items()
            if (match := pattern.search(function))
        }
        if found:
            kind = min(found, key=found.__getitem__)
            return kind, patterns[kind].pattern
    return None


@lru_cache(maxsize=16384)
def find_kernel(name: str) -> Kernel | None:
    """The row of the table that knows the kernel; None where none does."""
    spelled = spell(name)
    for library in libraries():
        found = library.find(spelled)
        if found is not None:
            return found
    return None


def in_parts(name: str) -> bool:
    """Whether the kernel only sends or only receives, so that nothing can be told from its time."""
    found = find_kernel(name)
    return found is not None and found.parts


@lru_cache(maxsize=4096)
def operation_of(text: str) -> str:
    """The kind of the operation that a call or the metadata name; "" where they name none."""
    called = in_words(text).rpartition("::")[2]
    found = _first_operation(_table().operations[:-1], called) if text else None
    return found[0] if found else ""


def is_library_call(name: str) -> bool:
    """Whether an annotation or operator on the host is a call of a communication library."""
    return _table().calls.match(name) is not None


def is_known_computation(name: str) -> bool:
    """Whether a kernel that no row knows is of those that often run beside communication."""
    whole, table = spell(name).whole, _table()
    return any(pattern.search(whole) for pattern in (table.surely, table.often))


def is_surely_computation(name: str) -> bool:
    """Whether a kernel that no row knows computes, even in a collective's call."""
    function = spell(name).path.rpartition("::")[2]
    return bool(_table().surely.search(function)) and not _table().certain.search(function)


def looks_like_communication(name: str) -> bool:
    """Whether the name of a kernel that no row knows has words of communication."""
    function, table = spell(name).path.rpartition("::")[2], _table()
    if table.certain.search(function):
        return True
    known = table.surely.search(function) or table.often.search(function)
    return bool(table.likely.search(function)) and not known


def libraries() -> tuple[KernelLibrary, ...]:
    """The whole table, in the order in which it is asked."""
    return _table().libraries


@dataclass(frozen=True)
class Table:
    """What ``kernels.toml`` says."""

    libraries: tuple[KernelLibrary, ...]
    operations: Operations
    calls: re.Pattern[str]
    surely: re.Pattern[str]
    often: re.Pattern[str]
    certain: re.Pattern[str]
    likely: re.Pattern[str]


@cache
def _table() -> Table:
    text = files(__package__).joinpath(_TABLE).read_text(encoding="utf-8")
    table = tomllib.loads(text)
    for package in package_tables():
        table["library"] = [*package_libraries(package), *table["library"]]
        try:
            for library in read_table(table).libraries:
                library.compile()
        except (KeyError, ValueError, re.error) as error:
            raise DpprofError(
                f"kernel table {package.origin}: is not sound ({error}); write its rows as in "
                "dpprof's kernels.toml"
            ) from error
    return read_table(table)


def read_table(table: Mapping[str, Any]) -> Table:
    """A parsed table; raises `KeyError`, `ValueError` or `re.error` where it is not sound."""
    words, looks = table["words"], table["looks_like_communication"]
    operations = tuple(
        {kind: re.compile(expand(one, words)) for kind, one in table[part].items()}
        for part in _OPERATIONS
    )
    return Table(
        libraries=tuple(_library(one, words, operations) for one in table["library"]),
        operations=operations,
        calls=re.compile(table["calls"]["pattern"]),
        **{name: re.compile(one) for name, one in table["computation"].items()},
        **{name: re.compile(expand(one, words)) for name, one in looks.items()},
    )


def _library(
    one: Mapping[str, Any], words: Mapping[str, str], operations: Operations
) -> KernelLibrary:
    name, otherwise = one["name"], one.get("otherwise", "")
    return KernelLibrary(
        name=name,
        versions=one["versions"],
        source=one["source"],
        inside=expand(one.get("inside", ""), words),
        written=one.get("written", ""),
        unless=expand(one.get("unless", ""), words),
        kernels=tuple(_kernel(name, row, words) for row in one["kernels"]),
        operations=operations if one.get("operations") else (),
        otherwise=Kernel(name, _kind(otherwise), "", ambiguous=True) if otherwise else None,
    )


def _kernel(library: str, row: Mapping[str, Any], words: Mapping[str, str]) -> Kernel:
    examples = row["example"]
    return Kernel(
        library=library,
        kind=_kind(row["kind"]),
        pattern=row["written"] if "written" in row else expand(row["pattern"], words),
        written="written" in row,
        unless=expand(row.get("unless", ""), words),
        examples=(examples,) if isinstance(examples, str) else tuple(examples),
        parts=row.get("parts", False),
        ambiguous=row.get("ambiguous", False),
    )


def _kind(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"{_TABLE}: no kind {kind!r}")
    return kind


def expand(pattern: str, words: Mapping[str, str]) -> str:
    r"""A pattern of the table as a regular expression: its ``{words}``, and ``\<`` and ``\>``."""
    for word, meaning in words.items():
        pattern = pattern.replace("{" + word + "}", meaning)
    return pattern.replace(r"\<", "(?<![a-z0-9])").replace(r"\>", "(?![a-z])")


def known_examples() -> Sequence[tuple[Kernel, str]]:
    """Every example of the table with its row."""
    rows = (kernel for library in libraries() for kernel in library.kernels)
    return [(row, example) for row in rows for example in row.examples]
