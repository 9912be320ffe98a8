"""Certificates come and are renewed by themselves, on hosts that serve meanwhile."""

from __future__ import annotations

import json
import signal
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from relman.model.formats.clock import rfc3339
from tests.e2e.proxied import BEHIND, haproxy, lossless
from tests.e2e.stage import ALL_AT_ONCE, Stage
from tests.lab import pki
from tests.lab.counted import Target
from tests.lab.load import load
from tests.lab.pebble import Pebble, pebble
from tests.lab.process import until
from tests.unit.certificates import key_pem

NAMES = ("shop.example.com", "www.example.com")
LATER = "new.example.com"
APPLY = ("proxy", "apply", "-e", "production")
SAME = "its proxy is as the inventory says"
PLACE = "/var/lib/relman/_proxy"


def inventory(stage: Stage, authority: Pebble, image: str, *names: str) -> None:
    """Every host routes these names to the service, and gets certificates for them."""
    acme = authority.acme
    said = {"directory": acme.directory, "account": acme.account, "ca": acme.ca, "agree_to_terms": True}
    stage.write_inventory(
        relman_proxy={"image": image, "keep_alive": "1s", "acme": said},
        relman_routes={"demo": {"hosts": list(names)}},
        relman_secrets={acme.account: {"file": "account.pem"}},
    )


def served(stage: Stage, name: str) -> list[int]:
    """The serial numbers of the certificate that each host serves for a name; 0 where there is none."""
    found = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for host in stage.lab.hosts:
        try:
            with (
                socket.create_connection((host.address, 443), 5) as made,
                context.wrap_socket(made, server_hostname=name) as spoken,
            ):
                own = x509.load_der_x509_certificate(spoken.getpeercert(True) or b"")
        except OSError:
            found.append(0)
            continue
        names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == [name]
        found.append(own.serial_number)
    return found


def age(stage: Stage) -> None:
    """Let every host believe that its certificates are of three months ago."""
    now = datetime.now(UTC)
    times = {"since": rfc3339(now - timedelta(days=89)), "until": rfc3339(now + timedelta(days=1))}
    for host in stage.lab.hosts:
        file = host.path(f"{PLACE}/state/record.json")
        state = json.loads(file.read_text())
        state["certificates"] = [{**each, **times} for each in state["certificates"]]
        file.write_text(json.dumps(state))


def test_certificates_come_and_are_renewed_by_themselves(stage: Stage, tmp_path: Path) -> None:
    """Two names that lead to two hosts get theirs, once for all hosts; a second application orders none. While the
    authority is gone the old ones serve on, and that is said; an application that is interrupted leaves no challenge
    behind; new ones take their place without a lost request; and a name that comes later gets its own in spite of
    maintenance and what else is redirected."""
    pki.write_private(stage.home / "account.pem", key_pem())
    stage.release("certified-1", deploy=BEHIND)
    image, roots = haproxy(stage, 1), tmp_path / "roots.pem"
    with pebble(tmp_path / "pebble") as authority:
        leads(stage, authority)
        inventory(stage, authority, image, *NAMES)
        said = stage.relman(*APPLY)
        assert said.out.count("and has new certificates for") == 3, said.text
        first = {name: served(stage, name) for name in NAMES}
        assert all(len(set(serials)) == 1 and serials[0] for serials in first.values()), first
        assert served(stage, LATER) == [0, 0, 0]
        stage.deploy("certified-1", *ALL_AT_ONCE)
        said = stage.relman(*APPLY)
        assert (said.out.count(SAME), "certificate" in said.out) == (3, False), said.text
        roots.write_bytes(authority.root.read_bytes())
    age(stage)
    said = stage.relman(*APPLY, code=4)
    assert "no answer from https://127.0.0.1" in said.text
    assert said.text.count("the one before is good until") == 2, said.text
    assert {name: served(stage, name) for name in NAMES} == first
    with pebble(tmp_path / "pebble", port=authority.port) as authority:
        leads(stage, authority)
        roots.write_bytes(roots.read_bytes() + authority.root.read_bytes())
        run = stage.start(*APPLY)
        until(lambda: all(answering(stage)), "challenges")
        run.send(signal.SIGINT)
        assert run.ended().code == 130, run.seen
        assert not any(answering(stage))
        with load(*(Target(stage.lab.hosts[0].address, 443, name, "/version", roots) for name in NAMES)) as counted:
            until(lambda: counted.requests > 50, "requests")
            said = stage.relman(*APPLY)
            before = counted.requests
            until(lambda: counted.requests > before + 50, "requests")
        lossless(counted, "certified-1")
        assert said.out.count("has new certificates for") == 3, said.text
        assert not {*served(stage, NAMES[0])} & {*first[NAMES[0]]}
        stage.relman("maintenance", "on", "-e", "production")
        inventory(stage, authority, image, *NAMES, LATER)
        assert f"{LATER}: its certificate is good until" in stage.relman(*APPLY).out
        assert 0 not in served(stage, LATER)
    assert not any(answering(stage))
    for host in stage.lab.hosts:
        files = list(host.path(f"{PLACE}/certificates").iterdir())
        assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * 4, "three certificates and their list"
    assert "certificates" in json.loads(stage.relman("--json", *APPLY).out.splitlines()[0])


def answering(stage: Stage) -> list[bool]:
    """Whether each host answers a challenge, or is about to."""
    files = (host.path(f"{PLACE}/etc/haproxy.cfg") for host in stage.lab.hosts)
    return ["acme-challenge" in file.read_text() for file in files]


def leads(stage: Stage, authority: Pebble) -> None:
    """Each name leads to a host of its own."""
    for host, name in zip(stage.lab.hosts, (*NAMES, LATER), strict=True):
        authority.leads(name, host.address)
