"""Which rule gave which activities their kind, over all ranks: ``analyze --explain-kinds``."""

from __future__ import annotations

import pandas as pd

from dpprof.analysis.model import ExplainedKind, KindReport
from dpprof.tables.columns import KIND, RANK
from dpprof.tables.kinds import EVIDENCE_FIELDS
from dpprof.trace.activities.classify import COUNT, LABEL_NOT_KNOWN, RULE, SUSPECT, TIME
from dpprof.trace.activities.kind_rules import NOT_KNOWN
from dpprof.trace.read.columns import Category

UNMATCHED_RULES = frozenset({NOT_KNOWN, LABEL_NOT_KNOWN})
"""What says that no rule matched."""

_EVIDENCE = ("category", *EVIDENCE_FIELDS)


def explain(table: pd.DataFrame, name: str) -> KindReport:
    """Add up the table of `dpprof.trace.load.explain_kinds` over the ranks."""
    keys = [KIND, RULE, *_EVIDENCE]
    by_evidence = table.groupby(keys, sort=False, dropna=False, observed=True)
    rows = [_explained(dict(zip(keys, key, strict=True)), group) for key, group in by_evidence]
    return KindReport(
        name=name,
        ranks=sorted({int(rank) for rank in table[RANK]}),
        kinds=sorted(rows, key=lambda one: (-one.total_ns, one.name, one.rule)),
    )


def _explained(evidence: dict[str, object], group: pd.DataFrame) -> ExplainedKind:
    category = Category(int(str(evidence.pop("category"))))
    text = {name: str(value) for name, value in evidence.items()}
    return ExplainedKind(
        **text,
        category=category.name.lower(),
        matched=text[RULE] not in UNMATCHED_RULES,
        suspect=bool(group[SUSPECT].any()),
        activities=int(group[COUNT].sum()),
        total_ns=int(group[TIME].sum()),
        ranks=sorted({int(rank) for rank in group[RANK]}),
    )
