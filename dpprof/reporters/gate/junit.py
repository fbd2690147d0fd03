"""A gate's result as JUnit XML, one test case a rule, as CI systems show it."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from dpprof.gate.result import GateResult, RuleResult
from dpprof.reporters.gate.sentences import finding_words, headline, notes, rule_words

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FAILING = ("failed", "missing")
_UNTOLD = "cannot_tell"


def junit_text(result: GateResult) -> str:
    """The XML text; a rule on what is not known fails, one that nobody asked for is skipped.

    One that lacks evidence is an error.
    """
    failures = sum(rule.status in _FAILING for rule in result.rules)
    counts = {
        "tests": str(len(result.rules)),
        "failures": str(failures),
        "errors": str(sum(rule.status == _UNTOLD for rule in result.rules)),
    }
    root = ElementTree.Element("testsuites", {"name": "dpprof gate", **counts})
    skipped = sum(rule.status == "skipped" for rule in result.rules)
    name = _clean(f"dpprof gate {result.runs[0]}")
    suite = ElementTree.SubElement(
        root, "testsuite", {"name": name, **counts, "skipped": str(skipped), "time": "0"}
    )
    for rule in result.rules:
        _case(suite, result, rule)
    said = [headline(result), *map(finding_words, result.findings), *notes(result)]
    ElementTree.SubElement(suite, "system-out").text = _clean("\n".join(said))
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _case(suite: ElementTree.Element, result: GateResult, rule: RuleResult) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        {"classname": _clean(f"dpprof.gate.{result.runs[0]}"), "name": rule.rule, "time": "0"},
    )
    words = _clean(rule_words(rule))
    if rule.status in _FAILING:
        failure = ElementTree.SubElement(case, "failure", {"message": words, "type": rule.status})
        failure.text = _clean("\n".join([words, *map(finding_words, result.findings)]))
    elif rule.status == _UNTOLD:
        ElementTree.SubElement(case, "error", {"message": words, "type": _UNTOLD})
    elif rule.status == "skipped":
        ElementTree.SubElement(case, "skipped", {"message": words})
    else:
        ElementTree.SubElement(case, "system-out").text = words


def _clean(text: str) -> str:
    """Names of runs may hold what XML may not."""
    return _NOT_XML.sub("?", text)
