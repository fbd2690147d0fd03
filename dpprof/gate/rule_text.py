"""The text of a rule as tokens, and errors that point into it."""

from __future__ import annotations

import re
from typing import NamedTuple

from dpprof.errors import DpprofError

_TOKEN = re.compile(
    r"\s*(?:(?P<operator>[<>=!~]+)"
    r"|(?P<number>[+-]?(?:[0-9][0-9_]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?)"
    r"|(?P<word>%|[A-Za-z\u00b5\u03bc_][\w.\-]*)|(?P<other>\S))"
)
_LONGEST = 500


class Token(NamedTuple):
    """``operator``, ``number``, ``word`` or ``end``, and where it begins."""

    kind: str
    text: str
    at: int


class RuleText:
    """A rule that is read from left to right; has state because reading moves on.

    `origin` says where it is written, for errors.
    """

    def __init__(self, text: str, origin: str = "") -> None:
        self.text = text
        self._where = f"{origin}: rule" if origin else "rule"
        if len(text) > _LONGEST or not text.isprintable():
            raise DpprofError(f"{self._where}: not one line of at most {_LONGEST} characters")
        self._tokens = self._split()
        self._next = 0

    def peek(self) -> Token:
        """The next token, which stays."""
        return self._tokens[self._next]

    def take(self, kind: str, what: str) -> Token:
        """The next token, which must be of that kind: `what` says so to people."""
        token = self.peek()
        if token.kind != kind:
            raise self.wrong(token, f"expected {what}")
        self._next += 1
        return token

    def skip(self, *words: str) -> bool:
        """Pass over the next token if it is one of these words."""
        found = self.peek().kind == "word" and self.peek().text in words
        self._next += found
        return found

    def rest(self) -> str:
        """All that is left, as one text: ``1f1b`` is no number."""
        start = self.peek().at
        self._next = len(self._tokens) - 1
        return self.text[start:].strip()

    def wrong(self, token: Token, problem: str) -> DpprofError:
        """An error that points at the token."""
        pointer = " " * token.at + "^" * max(1, len(token.text))
        where = f"{self._where}, column {token.at + 1}"
        return DpprofError(f"{where}: {problem}\n  {self.text}\n  {pointer}")

    def _split(self) -> list[Token]:
        tokens, at = [], 0
        while (match := _TOKEN.match(self.text, at)) is not None:
            kind = match.lastgroup or ""
            token = Token(kind, match[kind], match.start(kind))
            if kind == "other":
                raise self.wrong(token, f"{token.text!r} has no meaning in a rule")
            tokens.append(token)
            at = match.end()
        return [*tokens, Token("end", "", len(self.text.rstrip()))]
