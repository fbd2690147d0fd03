"""Which kind an activity is, in the order of the metrics' definitions.

An activity communicates if Kineto names its collective, if its own name says so, or if it is a
copy between devices; what launched a kernel alone never decides that, nor does its stream. Which
kind it is then is said by its metadata, by the annotation that launched it, and by its name, in
this order, with three exceptions: what the table of kernels knows as computation, or as
communication and computation in one, stays that; a notification or barrier inside a dispatch
stays one; and an all-to-all or SendRecv is a dispatch or combine if its annotation says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dpprof.errors import DpprofError
from dpprof.tables.kinds import (
    COMMUNICATION_KINDS,
    COMPUTE,
    EVIDENCE_FIELDS,
    FUSED,
    KINDS,
    MEMORY,
)
from dpprof.tables.labels import PREFIX
from dpprof.trace.activities.kernel_table import (
    Kernel,
    find_kernel,
    is_known_computation,
    is_surely_computation,
    operation_of,
)
from dpprof.trace.read.columns import Category


@dataclass(frozen=True)
class KindRule:
    """An activity whose `where` matches `pattern` (searched, regex) is of kind `kind`.

    `where` is the activity's own "name", or of what launched it: the "collective" and process
    "group" that Kineto's metadata name, the innermost "annotation" that says a component, or the
    library "call" (``nccl:all_to_all``, ``c10d::alltoall_base_``).
    """

    name: str
    where: str  # one of EVIDENCE_FIELDS
    pattern: str
    kind: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise DpprofError(
                f"kind rule {self.name!r}: no kind {self.kind!r}; the kinds are {', '.join(KINDS)}"
            )
        if self.where not in EVIDENCE_FIELDS:
            raise DpprofError(
                f"kind rule {self.name!r}: there is no place {self.where!r} to look at; "
                f"rules can look at {', '.join(EVIDENCE_FIELDS)}"
            )
        try:
            re.compile(self.pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise DpprofError(
                f"kind rule {self.name!r}: {self.pattern!r} is not a regular expression ({error})"
            ) from error


_OWN_LABELS = tuple(
    KindRule(f"label {kind}", "annotation", f"^{PREFIX}{kind}(?: |$)", kind)
    for kind in COMMUNICATION_KINDS
)

_ANNOTATIONS = (
    *_OWN_LABELS,
    KindRule("annotation dispatch", "annotation", r"(?i)^dispatch\b", "dispatch"),
    KindRule("annotation combine", "annotation", r"(?i)^combine\b", "combine"),
    KindRule("pipelining send or receive", "annotation", r"^PP:\d+(?:SEND|RECV)_", "p2p"),
)

_EXPERTS = re.compile(r"\bep\b|expert", re.IGNORECASE)

OWN_COPIES = re.compile(r"^(?:void )?_?(?:copy_kernel|paced_copy)\b")
"""The kernels by which the reference moves rows itself."""

_BETWEEN_DEVICES = re.compile(r"PtoP|P2P|Peer", re.IGNORECASE)
_ON_DEVICES = re.compile(r"DtoD|D2D|DeviceToDevice|Device -> Device", re.IGNORECASE)

EXCHANGE = "exchange "
"""Before ``dispatch`` or ``combine``: the hint of an annotation that says so in words of its own.

It says which of the two an all-to-all or SendRecv is, and nothing of any other communication."""


class KindClues(NamedTuple):
    """All that is known of an activity that may tell its kind; "" where there is none."""

    category: Category
    name: str
    collective: str = ""
    group: str = ""
    annotation: str = ""
    call: str = ""


class Verdict(NamedTuple):
    """The kind of an activity, and the name of the rule that decided it."""

    kind: str
    rule: str


NOT_KNOWN = "no communication name"
"""The rule of everything that is taken for computation because nothing says otherwise."""

KNOWN_COMPUTATION = "known computation"
BETWEEN_DEVICES = "copy between devices"
BY_A_COLLECTIVE = "copy by a collective"
_UNSURE = ", by name alone"


def is_unsure(rule: str) -> bool:
    """Whether the rule only saw a name that fits several kinds, as SendRecv does."""
    return rule.endswith(_UNSURE)


LIBRARY_SPAN = re.compile(r"(?:gloo|nccl|ucc|mpi):")
"""How torch calls the spans of communications on the host, as annotations or as operators."""


def classify(evidence: KindClues, patterns: Sequence[KindRule] = ()) -> Verdict:
    """The kind of one activity; `patterns`, the user's own rules, are asked first.

    Source: section 2 of the definitions of the metrics.
    """
    verdict = _first(patterns, evidence) or _own_copy(evidence)
    if verdict is not None:
        return verdict
    if evidence.category is Category.MEMSET:
        return Verdict(MEMORY, "category")
    if evidence.category is Category.MEMCPY:
        return _of_copy(evidence)
    if evidence.category is Category.OPERATOR and not LIBRARY_SPAN.match(evidence.name):
        return Verdict(COMPUTE, "operator on the host")
    return _of_kernel(evidence, find_kernel(evidence.name))


def _of_kernel(evidence: KindClues, known: Kernel | None) -> Verdict:
    if known is not None and known.kind in (COMPUTE, FUSED, MEMORY):
        return Verdict(known.kind, f"{known.library} {known.kind}")
    if known is None and (not evidence.collective or is_surely_computation(evidence.name)):
        helps = is_known_computation(evidence.name)
        return Verdict(COMPUTE, KNOWN_COMPUTATION if helps else NOT_KNOWN)
    verdict = _of_communication(evidence, known)
    return _exchanged(evidence, verdict) or verdict


def _of_communication(evidence: KindClues, known: Kernel | None) -> Verdict:
    collective = operation_of(evidence.collective)
    if collective and collective != "all_to_all":
        return Verdict(collective, f"metadata {collective}")
    if known is not None and known.kind == "comm_other" and not known.ambiguous:
        return _by_name(known)
    said = _first(_ANNOTATIONS, evidence)
    if said is not None:
        return said
    return _of_launch(evidence) or (
        Verdict("comm_other", "metadata, kind not known") if known is None else _by_name(known)
    )


def _by_name(known: Kernel) -> Verdict:
    rule = f"{known.library} {known.kind}"
    return Verdict(known.kind, rule + _UNSURE if known.ambiguous else rule)


def _of_launch(evidence: KindClues) -> Verdict | None:
    """What the metadata or the call of the library say of something that communicates."""
    for source, text in (("metadata", evidence.collective), ("call", evidence.call)):
        kind = operation_of(text)
        if kind:
            return Verdict(kind, f"{source} {kind}")
    if _EXPERTS.search(evidence.group):
        return Verdict("all_to_all", "group of experts")
    return None


def _exchanged(evidence: KindClues, verdict: Verdict) -> Verdict | None:
    """What an annotation in anybody's words makes of something that fits several kinds."""
    exchange = evidence.annotation.removeprefix(EXCHANGE)
    fits_several = verdict.kind == "all_to_all" or is_unsure(verdict.rule)
    if exchange == evidence.annotation or not fits_several:
        return None
    return Verdict(exchange, f"annotation of a {exchange}")


def _of_copy(evidence: KindClues) -> Verdict:
    """A copy by the copy engine: between devices, or by a collective's call, it communicates."""
    between = _BETWEEN_DEVICES.search(evidence.name) is not None
    if not between and not _ON_DEVICES.search(evidence.name):
        return Verdict(MEMORY, "category")
    launched = _of_launch(evidence)
    if between:
        launched = _exchanged(evidence, Verdict("all_to_all", "")) or (
            _first(_ANNOTATIONS, evidence) or launched
        )
        kind = launched.kind if launched else "comm_other"
        return Verdict(kind, BETWEEN_DEVICES + (f", {launched.rule}" if launched else ""))
    if launched is None:
        return Verdict(MEMORY, "category")
    return Verdict(launched.kind, f"{BY_A_COLLECTIVE}, {launched.rule}")


def _own_copy(evidence: KindClues) -> Verdict | None:
    """A copy inside dpprof's own label of a communication is that communication."""
    label = _first(_OWN_LABELS, evidence)
    copies = evidence.category is Category.MEMCPY or OWN_COPIES.search(evidence.name)
    return label if copies else None


def _first(rules: Sequence[KindRule], evidence: KindClues) -> Verdict | None:
    for rule in rules:
        text: str = getattr(evidence, rule.where)
        if text and re.search(rule.pattern, text):
            return Verdict(rule.kind, rule.name)
    return None
