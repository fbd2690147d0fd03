"""Which ranges on the host may be steps, where nothing says so: the ones that come again."""

from __future__ import annotations

import glob
import re

import numpy as np

from dpprof.trace.activities.annotations import read_annotation
from dpprof.trace.activities.marks import MARK
from dpprof.trace.activities.nesting import is_outermost
from dpprof.trace.read.columns import Category, Rows, TraceColumns

_DIGITS = re.compile(r"\d+")
_LONGEST_NAME = 120


def if_a_range_is_a_step(trace: TraceColumns, more_than: int) -> str:
    """What to type if each of the ranges that come oftener than `more_than` is a step.

    Of names alike but for their numbers, the outermost whose ranges take longest; "" for none.
    """
    found = _repeated(trace, max(more_than, 1))
    if found is None:
        return ""
    pattern, count = found
    return (
        f"; if each of the {count} ranges like '{pattern}' is a step, give --step-range '{pattern}'"
    )


def _repeated(trace: TraceColumns, more_than: int) -> tuple[str, int] | None:
    rows = trace.rows(Category.ANNOTATION)
    rows = rows[np.argsort(trace.start_ns[rows], kind="stable")]
    used = np.unique(trace.name[rows]).tolist()
    patterns = {code: _pattern(trace.names[code]) for code in used}
    table = {text: place for place, text in enumerate(sorted(set(patterns.values())))}
    if not table:
        return None
    texts = np.array([table[patterns[code]] for code in used])
    like = texts[np.searchsorted(used, trace.name[rows])]
    often = np.bincount(like, minlength=len(table)) > more_than
    often[[place for text, place in table.items() if not text]] = False
    rows, like = rows[often[like]], like[often[like]]
    outermost = is_outermost(trace.thread[rows], trace.start_ns[rows], trace.end_ns[rows])
    rows, like = rows[outermost], like[outermost]
    if not len(rows):
        return None
    longest = int(np.argmax(_lengths(trace, rows, like, len(table))))
    return list(table)[longest], int((like == longest).sum())


def _lengths(trace: TraceColumns, rows: Rows, like: Rows, count: int) -> Rows:
    length = trace.end_ns[rows] - trace.start_ns[rows]
    return np.bincount(like, weights=length, minlength=count).astype(np.int64)


def _pattern(name: str) -> str:
    """What names alike but for their numbers match; "" for what is known to be no step."""
    if len(name) > _LONGEST_NAME or MARK.fullmatch(name) or read_annotation(name) is not None:
        return ""
    return _DIGITS.sub("*", glob.escape(name))
