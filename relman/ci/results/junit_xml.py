"""Parse the XML of untrusted result files as a stream, and report invalid characters with their position. Pure.

Specification: XML 1.0, sections 2.2 and 4.3.3 (https://www.w3.org/TR/xml/#charsets).
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from typing import IO, Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

# Encodings whose decoding time is linear in the number of bytes.
_ENCODINGS = re.compile(
    r"utf-(8(-sig)?|(16|32)(-[bl]e)?)|ascii|iso8859-\d+|cp\d+|koi8-[rtu]|shift_jis|euc_(jp|kr)|gb\w+|big5"
)
_BOMS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    b"<\0?\0": "utf-16-le",
    b"\0<\0?": "utf-16-be",
}
_DECLARED = re.compile(rb"""<\?xml[^>]{0,200}?\sencoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]{0,39})["']""")
# Candidates for characters that XML 1.0 forbids (section 2.2), raw or as a reference.
_DOUBTFUL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]|&#(?:x[0-9a-fA-F]{1,9}|[0-9]{1,10});")


class BadResults(ValueError):
    """A result file that cannot be trusted; the message continues a sentence that begins with the file's name."""


def elements(content: IO[bytes]) -> Iterator[tuple[str, Any]]:
    """Yield the starts and ends of elements, without namespaces. Raises BadResults.

    Forbidden characters become `?`; any declared text encoding is supported. A document type is ignored unless it
    declares entities or attribute values, which is an error: these could make a small file large, or read another file.
    """
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser, iterparse

    data = _DOUBTFUL.sub(_allowed, _utf8(content.read()))
    parser = DefusedXMLParser(target=TreeBuilder(), encoding="utf-8")
    parser.parser.AttlistDeclHandler = _attribute
    try:
        for event, element in iterparse(io.BytesIO(data), events=("start", "end"), parser=parser):
            element.tag = _local(element)
            yield event, element
    except DefusedXmlException:
        raise BadResults("declares entities, which no test runner does") from None
    except ParseError as error:
        raise BadResults(_where(data, error)) from None


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _attribute(_element: str, _name: str, _type: str, value: str | None, _required: int) -> None:
    if value is not None:
        raise BadResults("declares values of attributes in its document type, which no test runner does")


def _allowed(found: re.Match[bytes]) -> bytes:
    text = found[0]
    if not text.startswith(b"&"):
        return b"?"
    number = int(text[3:-1], 16) if text[2:3] == b"x" else int(text[2:-1])
    plain = number in (9, 10, 13) or 32 <= number < 0xD800
    return text if plain or 0xE000 <= number < 0xFFFE or 0x10000 <= number < 0x110000 else b"?"


def _utf8(content: bytes) -> bytes:
    """The text in UTF-8. Raises BadResults with the position of the first invalid byte."""
    name = next((name for bom, name in _BOMS.items() if content.startswith(bom)), "")
    declared = _DECLARED.match(content) if not name else None
    name = name or (declared[1].decode() if declared else "utf-8")
    try:
        known = codecs.lookup(name).name
    except LookupError:
        known = ""
    if not _ENCODINGS.fullmatch(known):
        raise BadResults(f"cannot be read: its encoding {name} is unknown. Have the runner write UTF-8")
    if known.startswith(("utf-16", "utf-32")) and declared:
        known = "utf-8"  # the declaration was readable as single bytes, so it is wrong
    try:
        text = content.decode(known)
    except UnicodeDecodeError as error:
        place = _place(content[: error.start].decode(known, "replace"))
        raise BadResults(
            f"cannot be read: the byte 0x{content[error.start]:02x} at {place} is not {name.upper()}. Have the runner "
            "write UTF-8, or name the encoding in the file's first line"
        ) from None
    return content if known == "utf-8" else text.encode(errors="replace")


def _place(before: str) -> str:
    return f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"


def _where(data: bytes, error: ParseError) -> str:
    """The parse error and its position, counted from 1."""
    reason = str(error).partition(":")[0]
    line, column = error.position
    rows = re.split(rb"\r\n?|\n", data, maxsplit=line)
    row = rows[line - 1].decode() if line <= len(rows) else ""
    if reason.startswith("not well-formed") and column < len(row):
        ampersand = re.search(r"&[\w#.:-]*$", row[:column])
        column = ampersand.start() if ampersand else column
        wrong = f"{row[column]!r} (U+{ord(row[column]):04X}) at line {line}, column {column + 1} cannot stand there"
        return f"is not complete XML: {wrong}. Have the runner escape it, or keep it out of names and messages"
    hint = "Did the runner end before it had written all, or did two write to one file?"
    return f"is not complete XML: {reason} at line {line}, column {column + 1}. {hint}"
