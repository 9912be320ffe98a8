"""A registry's own reasons: shown in one line each, whatever it or what stands before it says, without secrets."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.registry.reasons import LONGEST, MOST, reasons_in

BODIES = {
    "Docker Hub's limit": (
        b'{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}',
        ["TOOMANYREQUESTS: You have reached your pull rate limit."],
    ),
    "distribution: unknown name": (
        b'{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry",'
        b'"detail":{"name":"a/b"}}]}',
        ["NAME_UNKNOWN: repository name not known to registry: name a/b"],
    ),
    "distribution: denied": (
        b'{"errors":[{"code":"DENIED","message":"requested access to the resource is denied","detail":'
        b'[{"Type":"repository","Class":"","Name":"a/b","Action":"pull"}]}]}',
        ["DENIED: requested access to the resource is denied: Type repository, Name a/b, Action pull"],
    ),
    "a quota": (
        b'{"errors":[{"code":"DENIED","message":"adding 4.0 GiB of storage will exceed the limit of 5.0 GiB."}]}',
        ["DENIED: adding 4.0 GiB of storage will exceed the limit of 5.0 GiB."],
    ),
    "an immutable tag": (
        b'{"errors":[{"code":"PRECONDITION","message":"Failed to process request due to \'shop:118\' configured as '
        b'immutable."}]}',
        ["PRECONDITION: Failed to process request due to 'shop:118' configured as immutable."],
    ),
    "status instead of code": (
        b'{"errors":[{"status":404,"message":"Not Found"}]}',
        ["Not Found"],
    ),
    "Docker Hub's token service": (
        b'{"details":"incorrect username or password"}',
        ["incorrect username or password"],
    ),
    "OAuth 2": (
        b'{"error":"invalid_grant","error_description":"the token has expired"}',
        ["invalid_grant: the token has expired"],
    ),
    "a text": (b"Your authorization token has expired.\n", ["Your authorization token has expired."]),
    "nginx": (
        b"<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>\r\n<center><h1>413 Request "
        b"Entity Too Large</h1></center>\r\n<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n",
        ["413 Request Entity Too Large 413 Request Entity Too Large nginx/1.22.1"],
    ),
    "nothing": (b"", []),
    "an empty object": (b"{}", []),
    "no errors": (b'{"errors":[]}', []),
    "errors that are none": (b'{"errors":[1,null,{"code":null}]}', []),
    "errors as words": (b'{"errors":["no such project"]}', ["no such project"]),
    "the same twice": (b'{"errors":[{"code":"A"},{"code":"A"}]}', ["A"]),
    "escapes": (b'{"errors":[{"code":"A","message":"x\\u001b[31m\\n\\u202ey"}]}', ["A: x [31m y"]),
}


@pytest.mark.parametrize(("body", "said"), BODIES.values(), ids=BODIES)
def test_reasons_are_shown_as_they_are_said(body: bytes, said: list[str]) -> None:
    """By code, message and detail; from pages and texts of what stands before a registry, too."""
    assert list(reasons_in(body)) == said


def test_secrets_are_not_repeated() -> None:
    """A registry that says the password or token again shows it to nobody."""
    body = b'{"errors":[{"code":"UNAUTHORIZED","message":"Basic Y2k6aHVudGVyMg== is wrong","detail":{"p":"hunter2"}}]}'
    (line,) = reasons_in(body, {"hunter2", "Y2k6aHVudGVyMg==", ""})
    assert line == "UNAUTHORIZED: Basic *** is wrong: p ***"


def test_reasons_are_few_and_short() -> None:
    """However much a registry says."""
    body = json.dumps({"errors": [{"code": f"{n}", "message": "x" * 900} for n in range(50)]}).encode()
    lines = reasons_in(body)
    assert len(lines) == MOST
    assert all(len(line) <= LONGEST + 1 for line in lines)


@given(st.binary(max_size=400))
def test_anything_is_fit_to_be_shown(body: bytes) -> None:
    """Whatever bytes come, lines of printable characters come of them."""
    for line in reasons_in(body):
        assert line.isprintable()


@pytest.mark.parametrize("body", [b"<" * 65536, b"<head" * 12000, b"<script>" + b"<title" * 10000, b"< <" * 20000])
def test_a_page_made_to_keep_a_parser_busy_takes_no_time(body: bytes) -> None:
    """Markup that never ends is read in bounded time."""
    begun = time.process_time()
    reasons_in(body)
    assert time.process_time() - begun < 2
