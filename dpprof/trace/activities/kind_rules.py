"""Which kind an activity is: rules as data, in the order of the metrics' definitions.

An activity communicates if Kineto names its collective or if its own name says so; what launched
it alone never decides that, nor does its stream. Which kind it is then, the first matching rule
says. Metadata come before annotations, and these before names, with two exceptions: a
notification or barrier inside a dispatch stays one, and an all-to-all or SendRecv is a dispatch
or combine if the annotation that launched it says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dpprof.errors import DpprofError
from dpprof.tables.kinds import COMMUNICATION_KINDS, COMPUTE, EVIDENCE_FIELDS, KINDS, MEMORY
from dpprof.tables.labels import PREFIX
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


_OPERATIONS = (
    ("all_to_all", r"_?all_?to_?all"),
    ("all_reduce", r"_?all_?reduce"),
    ("all_gather", r"_?all_?gather"),
    ("reduce_scatter", r"_?reduce_?scatter"),
    ("broadcast", r"_?broad_?cast"),
    ("p2p", r"_?(?:batch_?)?i?(?:send|recv|receive)"),
    ("comm_other", r"_?(?:barrier|reduce|gather|scatter)"),
)
"""How libraries write the operations, whatever their case; the first that matches counts."""

_LIBRARY_CALL = (
    r"^(?:c10d::|_c10d_functional(?:_autograd)?::|(?:nccl|rccl|gloo|hccl|xccl|mccl|ucc|mpi):)"
)
LIBRARY_CALL = re.compile(_LIBRARY_CALL)
"""A call of a communication library, as an operator or annotation on the host."""

_DEEPEP = r"\b(?:(?:deep_?ep|ep)::(?:\w+::)*|(?:internode|internode_ll|intranode)::)"
_DEEPEP_MANGLED = r"(?:9internode|12internode_ll|9intranode)"


def _operations(source: str, where: str, before: str) -> Iterator[KindRule]:
    for kind, word in _OPERATIONS:
        yield KindRule(f"{source} {kind}", where, f"(?i){before}{word}", kind)


NOTIFICATIONS = (
    KindRule("DeepEP notify", "name", _DEEPEP + r"(?:cached_)?notify", "comm_other"),
    KindRule("DeepEP notify", "name", _DEEPEP_MANGLED + r"\d+(?:cached_)?notify", "comm_other"),
    KindRule("DeepEP barrier", "name", _DEEPEP + r"(?:barrier|clean_low_lat)", "comm_other"),
    KindRule("symmetric memory barrier", "name", r"\bbarrier_kernel\b", "comm_other"),
    KindRule("symmetric memory signal", "name", r"\b(?:put|wait)_signal_kernel\b", "comm_other"),
    KindRule("split exchange", "name", r"exchangeSplitAndOffset", "comm_other"),
    KindRule("NVSHMEM barrier", "name", r"(?i)nvshmem\w*(?:barrier|sync|quiet)", "comm_other"),
)

LOW_LATENCY = r"internode_ll(?:::|8dispatch|7combine)"
"""DeepEP kernels that may only send or only receive: the transfer goes on between the two."""

COMMUNICATION_NAMES = (
    KindRule("DeepEP dispatch", "name", _DEEPEP + r"dispatch(?!_layout)", "dispatch"),
    KindRule("DeepEP combine", "name", _DEEPEP + r"combine", "combine"),
    KindRule("DeepEP dispatch", "name", _DEEPEP_MANGLED + r"8dispatch", "dispatch"),
    KindRule("DeepEP combine", "name", _DEEPEP_MANGLED + r"7combine", "combine"),
    KindRule("hybrid DeepEP dispatch", "name", r"\bhybrid_ep::\w*dispatch", "dispatch"),
    KindRule("hybrid DeepEP combine", "name", r"\bhybrid_ep::\w*combine", "combine"),
    KindRule("MORI dispatch", "name", r"\bEpDispatch\w*Kernel", "dispatch"),
    KindRule("MORI combine", "name", r"\bEpCombine\w*Kernel", "combine"),
    KindRule("TensorRT-LLM dispatch", "name", r"\bmoeA2ADispatch\w*", "dispatch"),
    KindRule("TensorRT-LLM combine", "name", r"\bmoeA2ACombine\w*", "combine"),
    KindRule("pplx dispatch", "name", r"\bpplx::(?:\w+::)*\w*[dD]ispatch", "dispatch"),
    KindRule("pplx combine", "name", r"\bpplx::(?:\w+::)*\w*[cC]ombine", "combine"),
    KindRule("all-to-all dispatch", "name", r"(?i)all_?to_?all\w*::\w*dispatch", "dispatch"),
    KindRule("all-to-all combine", "name", r"(?i)all_?to_?all\w*::\w*combine", "combine"),
    KindRule("SendRecv", "name", r"(?i)\bnccl\w*SendRecv", "p2p"),
    *_operations("NCCL", "name", r"\bnccl\w*?"),
    KindRule(
        "NCCL, kind not in the name", "name", r"\bnccl(?:Sym\w*)?(?:Dev)?Kernel", "comm_other"
    ),
    *_operations("RCCL", "name", r"\brccl\w*?"),
    KindRule("RCCL, kind not in the name", "name", r"\brccl\w*kernel", "comm_other"),
    *_operations("MSCCL", "name", r"\bmscclKernel\w*?"),
    KindRule("MSCCL", "name", r"\bmscclKernel", "comm_other"),
    *_operations("MSCCL++", "name", r"\bmscclpp\w*::(?:\w+::)*\w*?"),
    KindRule("MSCCL++", "name", r"\bmscclpp", "comm_other"),
    *_operations("symmetric memory", "name", r"\b(?:multimem|one_shot|two_shot)_(?:one_shot_)?"),
    KindRule("symmetric memory", "name", r"\b(?:all_to_all_v|allToAllV)", "all_to_all"),
    *_operations("NVSHMEM", "name", r"nvshmem\w*?"),
    KindRule("NVSHMEM", "name", r"(?i)nvshmem", "comm_other"),
    KindRule("custom all-reduce", "name", r"\bcross_device_reduce_[12]stage", "all_reduce"),
    KindRule("custom all-reduce", "name", r"(?i)\w*all_?reduce\w*kernel", "all_reduce"),
    *_operations("HCCL", "name", r"\bhc(?:om|cl)_?"),
    KindRule("HCCL", "name", r"^hcom_", "comm_other"),
    *_operations("host library", "name", _LIBRARY_CALL),
    KindRule("host library", "name", r"^(?:gloo|nccl|ucc|mpi):", "comm_other"),
)

_METADATA = tuple(_operations("metadata", "collective", "^"))

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

RULES = (
    *(rule for rule in _METADATA if rule.kind != "all_to_all"),
    *NOTIFICATIONS,
    *_ANNOTATIONS,
    *(rule for rule in _METADATA if rule.kind == "all_to_all"),
    *_operations("call", "call", _LIBRARY_CALL),
    KindRule("group of experts", "group", r"(?i)\bep\b|expert", "all_to_all"),
    *COMMUNICATION_NAMES,
)
"""For activities that communicate, in order; the first that matches decides."""

HELPERS = KindRule(
    "known computation",
    "name",
    r"(?i)get_dispatch_layout|cast|cutlass|gemm|\bat::native|\bcub::|flash|elementwise|reduce_"
    r"|transpose|layer_?norm|rms_?norm|^triton_|permute|swiglu|silu|scatter_gather|copy_kernel"
    r"|CatArray|memset|fill|nvjet_|Cijk_|cudnn|gemv|winograd|dgrad|wgrad|multi_tensor_apply|softmax"
    r"|rotary",
    COMPUTE,
)
"""Computation that is often found on a stream of communication, and need not be warned of."""


OWN_COPIES = re.compile(r"^(?:void )?_?(?:copy_kernel|paced_copy)\b")
"""The kernels by which the reference moves rows itself."""

COPIES = KindRule("ROCm copy", "name", r"^__amd_rocclr_(?:copy|fill)Buffer", MEMORY)
"""The runtime's own kernels that copy and set memory."""

AMBIGUOUS = frozenset({"SendRecv", "NCCL, kind not in the name", "RCCL, kind not in the name"})
"""Rules on names that fit several kinds: a SendRecv kernel may be a message or an all-to-all."""


EXCHANGE = "exchange "
"""Before ``dispatch`` or ``combine``: the hint of an annotation that says so in words of its own.

It says which of the two an all-to-all or SendRecv is, and nothing of any other communication."""


class Evidence(NamedTuple):
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


def classify(evidence: Evidence, patterns: Sequence[KindRule] = ()) -> Verdict:
    """The kind of one activity; `patterns`, the user's own rules, are asked first.

    Source: section 2 of the definitions of the metrics.
    """
    verdict = _first(patterns, evidence)
    if verdict is not None:
        return verdict
    own = _own_copy(evidence)
    if own is not None:
        return own
    if evidence.category in (Category.MEMCPY, Category.MEMSET):
        return Verdict(MEMORY, "category")
    if evidence.category is Category.OPERATOR:
        return Verdict(COMPUTE, "operator on the host")
    by_name = _first((*NOTIFICATIONS, *COMMUNICATION_NAMES), evidence)
    if by_name is None and not evidence.collective:
        return _first((COPIES, HELPERS), evidence) or Verdict(COMPUTE, NOT_KNOWN)
    verdict = _first(RULES, evidence) or Verdict("comm_other", "metadata, kind not known")
    exchange = evidence.annotation.removeprefix(EXCHANGE)
    may_be = verdict.kind == "all_to_all" or verdict.rule in AMBIGUOUS
    if exchange == evidence.annotation or not may_be:
        return verdict
    return Verdict(exchange, f"annotation of a {exchange}")


def _own_copy(evidence: Evidence) -> Verdict | None:
    """A copy inside dpprof's own label of a communication is that communication."""
    label = _first(_OWN_LABELS, evidence)
    copies = evidence.category is Category.MEMCPY or OWN_COPIES.search(evidence.name)
    return label if copies else None


def _first(rules: Sequence[KindRule], evidence: Evidence) -> Verdict | None:
    for rule in rules:
        text: str = getattr(evidence, rule.where)
        if text and re.search(rule.pattern, text):
            return Verdict(rule.kind, rule.name)
    return None
