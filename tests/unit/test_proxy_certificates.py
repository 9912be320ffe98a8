"""A certificate is used only where a client would accept it, and errors never hold a part of one."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.model.formats.clock import rfc3339
from relman.rollout.proxy.certificates import read_certificate
from tests.unit.certificates import DAY, NOW, certificate, key_pem, pem

GOOD = pem("shop.example.com", "www.example.com")
WRONG = {
    "another certificate's": certificate("a") + key_pem(1),
    "no certificate in PEM": key_pem(),
    "no private key": certificate("a"),
    "2 private keys": GOOD + key_pem(1),
    "a password": certificate("a") + key_pem(password=b"secret"),
    "cannot be read": certificate("a") + b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    "it expired at": certificate("a", since=NOW - 2 * DAY, until=NOW - DAY) + key_pem(),
    "counts only from": certificate("a", since=NOW + DAY) + key_pem(),
}


def test_what_a_certificate_says() -> None:
    """Its host names and its time; in whatever order certificate, chain and key are."""
    found = read_certificate("shop", GOOD, NOW)
    assert found.hosts == ("shop.example.com", "www.example.com")
    assert (found.since, found.until) == (rfc3339(NOW - DAY), rfc3339(NOW + 90 * DAY))
    assert read_certificate("shop", key_pem() + certificate("shop.example.com", "www.example.com"), NOW).hosts
    assert read_certificate("shop", pem(), NOW).hosts == ()


def test_each_certificate_has_a_file_of_its_own() -> None:
    """Another chain or another certificate of the same key is another file."""
    chained = certificate("a") + certificate("ca", serial=2) + key_pem()
    files = {read_certificate("shop", each, NOW).file for each in (pem("a"), pem("a", serial=2), chained)}
    assert len(files) == 3


@pytest.mark.parametrize("why", WRONG)
def test_one_that_would_not_do_is_refused(why: str) -> None:
    """With the reason."""
    with pytest.raises(ValueError, match=why) as caught:
        read_certificate("shop", WRONG[why], NOW)
    assert not any(line.decode() in str(caught.value) for line in WRONG[why].splitlines() if line)


@given(st.binary(max_size=200), st.integers(0, len(GOOD)), st.integers(0, len(GOOD)))
def test_nonsense_is_refused_without_a_word_of_it(noise: bytes, start: int, end: int) -> None:
    """Whatever stands in the place of a certificate: it is read, or refused as a whole."""
    mixed = GOOD[:start] + base64.b64encode(noise) + GOOD[end:]
    said = ""
    try:
        read_certificate("shop", mixed, NOW)
    except ValueError as error:
        said = str(error)
    assert len(said) < 100


def test_it_is_due_when_a_third_of_its_time_is_left_or_two_weeks() -> None:
    """Of 90 days two weeks, of six days two."""
    long = read_certificate("shop", certificate("a", since=NOW, until=NOW + 90 * DAY) + key_pem(), NOW)
    assert [long.is_due(NOW + days * DAY) for days in (0, 75, 77, 100)] == [False, False, True, True]
    short = read_certificate("shop", certificate("a", since=NOW, until=NOW + 6 * DAY) + key_pem(), NOW)
    assert [short.is_due(NOW + days * DAY) for days in (0, 3, 5)] == [False, False, True]
