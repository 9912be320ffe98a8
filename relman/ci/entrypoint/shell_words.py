"""Split a shell script into words and operators, unexpanded. Pure.

Specification: POSIX.1-2017, Shell Command Language, 2.3 Token Recognition
(https://pubs.opengroup.org/onlinepubs/9699919799/utilities/V3_chap02.html#tag_18_03).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

SEPARATORS = ("\n", ";", ";;", "&&", "||", "|", "&")
_OPERATOR = re.compile(r";;|&&|\|\||[;&|()\n]")
_HEREDOC = re.compile(r"<<(-?)[ \t]*(\\?[\w.-]+|'[^'\n]*'|\"[^\"\n]*\")")
_QUOTED = re.compile(r"'[^']*'|\\(?s:.)|`(?:[^`\\]|\\(?s:.))*`")
_PLAIN = re.compile(r"[^\s;&|()'\"\\`$#<>]+|[<>]{1,3}&?|#")


def words(text: str) -> Iterator[str]:
    """The words as written and the operators, in order, without comments and here-documents.

    Raises ValueError for an unclosed quote or bracket.
    """
    at, word, documents = 0, "", list[str]()
    while at < len(text):
        if text[at] == "#" and not word:
            at = _line_end(text, at)
        elif text.startswith("\\\n", at):
            at += 2
        elif text[at] in " \t\r":
            if word:
                yield word
            at, word = at + 1, ""
        elif found := _OPERATOR.match(text, at):
            if word:
                yield word
            yield found[0]
            at, word = found.end(), ""
            if found[0] == "\n" and documents:
                at = _after(text, at, documents)
                documents = []
        elif (found := _HEREDOC.match(text, at)) and not text.startswith("<<<", at):
            documents.append(found[2].strip("\\'\""))
            at = found.end()
        else:
            end = _piece(text, at)
            at, word = end, word + text[at:end]
    if word:
        yield word


def _piece(text: str, at: int) -> int:
    """The end of the part of a word that begins at `at`."""
    if text[at] == '"':
        return _double(text, at + 1)
    if text.startswith(("$(", "${"), at):
        return _brackets(text, at + 1)
    found = _QUOTED.match(text, at) or _PLAIN.match(text, at)
    if not found:
        if text[at] in "'`\\":
            raise ValueError("a quote is never closed")
        return at + 1
    return found.end()


def _double(text: str, at: int) -> int:
    while at < len(text):
        if text[at] == '"':
            return at + 1
        at = _piece(text, at) if text[at] == "`" or text.startswith(("$(", "${"), at) else at + 1 + (text[at] == "\\")
    raise ValueError("a quote is never closed")


def _brackets(text: str, at: int) -> int:
    opened, closed = text[at], {"(": ")", "{": "}"}[text[at]]
    at, depth = at + 1, 1
    while at < len(text) and depth:
        depth += (text[at] == opened) - (text[at] == closed)
        at = _piece(text, at) if text[at] in "'\"`\\" or text.startswith(("$(", "${"), at) else at + 1
    if depth:
        raise ValueError("a bracket is never closed")
    return at


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _after(text: str, at: int, documents: list[str]) -> int:
    """The position after the here-documents that begin at `at`."""
    for delimiter in documents:
        while at < len(text):
            end = _line_end(text, at)
            line, at = text[at:end], end + 1
            if line.lstrip("\t") == delimiter:
                break
    return at
