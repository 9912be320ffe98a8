"""Parse a shell script into the statements that decide which others are reached. Pure.

Specification: POSIX.1-2017, Shell Command Language, 2.9 and 2.10
(https://pubs.opengroup.org/onlinepubs/9699919799/utilities/V3_chap02.html#tag_18_09).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from relman.ci.entrypoint.shell_words import SEPARATORS, words

_DEEPEST = 40
_FUNCTION = re.compile(r"[A-Za-z_][\w.:-]*")


@dataclass(frozen=True)
class Choice:
    """Branches with their conditions ("" for else); with `unless`, a branch is taken if its condition is false."""

    branches: Sequence[tuple[str, Sequence[Statement]]]
    unless: bool = False


Statement = tuple[str, ...] | Choice
"""A simple command's words as written, or a choice. Subshells and background commands are words without a name."""


def parse(text: str) -> tuple[Sequence[Statement], Mapping[str, Sequence[Statement]]]:
    """The statements of a script, and those of its functions by name. Raises ValueError if it cannot be parsed."""
    script = _Script(list(words(text)))
    return script.block(), script.functions


@dataclass
class _Script:
    """The state of the parser."""

    tokens: list[str]
    at: int = 0
    depth: int = 0
    functions: dict[str, Sequence[Statement]] = field(default_factory=dict)

    def take(self) -> str:
        """The next token. Raises ValueError at the end."""
        if self.at >= len(self.tokens):
            raise ValueError("it ends in the middle")
        self.at += 1
        return self.tokens[self.at - 1]

    def until(self, *ends: str) -> list[str]:
        """The tokens before the next of `ends`, which is consumed."""
        found = []
        while (token := self.take()) not in ends:
            found.append(token)
        return found

    def block(self, *ends: str) -> list[Statement]:
        """The statements before one of `ends`, which is not consumed; without `ends`, all."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ValueError("it is nested too deeply")
        found: list[Statement] = []
        while self.at < len(self.tokens) or ends:
            if self.at < len(self.tokens) and self.tokens[self.at] in ends:
                break
            token = self.take()
            if token not in SEPARATORS:
                found += self._statement(token, ends)
        self.depth -= 1
        return found

    def _statement(self, first: str, ends: tuple[str, ...]) -> Sequence[Statement]:
        found = self._compound(first)
        if found is None:
            found = [(first, *self._rest(ends))]
            if first == "function" or self._is_call(first):
                return self._function(first)
        else:
            self._rest(ends)
        if self.at < len(self.tokens) and self.tokens[self.at] in ("&&", "||"):
            unless, condition = self.take() == "||", " ".join(w for s in found if isinstance(s, tuple) for w in s)
            while self.tokens[self.at : self.at + 1] == ["\n"]:
                self.at += 1
            return [Choice([(condition or "?", self._statement(self.take(), ends))], unless)]
        if self.at < len(self.tokens) and self.tokens[self.at] in ("|", "&"):
            return [("|",)]
        return found

    def _rest(self, ends: tuple[str, ...]) -> list[str]:
        start = self.at
        while self.at < len(self.tokens) and self.tokens[self.at] not in (*SEPARATORS, "(", ")"):
            if self.tokens[self.at] == "}" and "}" in ends and self.at == start:
                break
            self.at += 1
        return self.tokens[start : self.at]

    def _is_call(self, name: str) -> bool:
        return self.tokens[self.at : self.at + 2] == ["(", ")"] and bool(_FUNCTION.fullmatch(name))

    def _function(self, first: str) -> Sequence[Statement]:
        name = self.tokens[self.at - 1] if first == "function" else first
        if self.tokens[self.at : self.at + 2] == ["(", ")"]:
            self.at += 2
        name = name if name != "{" else self.tokens[self.at - 2]
        while self.tokens[self.at : self.at + 1] == ["\n"]:
            self.at += 1
        opened = self.tokens[self.at - 1] == "{"
        self.functions[name] = self._compound("{" if opened else self.take()) or ()
        return ()

    def _compound(self, first: str) -> list[Statement] | None:
        """The compound statement that begins with this word; None for a simple command."""
        if first == "if":
            return [self._if()]
        if first == "case":
            return [self._case()]
        if first in ("for", "while", "until", "select"):
            self.until("do")
            body = self.block("done")
            self.take()
            return [Choice([("?", body)])]
        if first in ("{", "("):
            end = {"{": "}", "(": ")"}[first]
            body = self.block(end)
            self.take()
            return body if first == "{" else [("(",)]
        return None

    def _if(self) -> Choice:
        branches: list[tuple[str, Sequence[Statement]]] = []
        word = "if"
        while word in ("if", "elif"):
            condition = " ".join(self.until("then")).replace("\n", " ").strip("; ")
            branches.append((condition, self.block("elif", "else", "fi")))
            word = self.take()
        if word == "else":
            branches.append(("", self.block("fi")))
            self.take()
        return Choice(branches)

    def _case(self) -> Choice:
        subject = " ".join(self.until("in"))
        branches: list[tuple[str, Sequence[Statement]]] = []
        while True:
            pattern = [t for t in self._pattern() if t not in ("\n", "(")]
            if pattern == ["esac"]:
                return Choice(branches)
            body = self.block(";;", "esac")
            branches.append(("" if pattern[-1:] == ["*"] else f"{subject} = {' '.join(pattern)}", body))
            if self.tokens[self.at] == ";;":
                self.at += 1

    def _pattern(self) -> Iterator[str]:
        while (token := self.take()) != ")":
            yield token
            if token == "esac":  # noqa: S105 - a word of the shell's
                return
