"""NO_PROXY as curl reads it: the real curl is the judge."""

from __future__ import annotations

import os
import subprocess

import pytest

from relman.registry.http.proxies import Proxies, proxies_of
from tests.contract.hostile import Hostile, Peer

CASES = [
    ("registry.example.com", "registry.example.com"),
    ("registry.example.com", "example.com"),
    ("registry.example.com", ".example.com"),
    ("registry.example.com", ".registry.example.com"),
    ("registry.example.com", "ample.com"),
    ("registry.example.com", "notexample.com"),
    ("badexample.com", "example.com"),
    ("registry.example.com", "EXAMPLE.COM"),
    ("REGISTRY.EXAMPLE.COM", "example.com"),
    ("registry.example.com", "com"),
    ("registry.example.com", "example.org,example.com"),
    ("registry.example.com", "example.org, example.com"),
    ("registry.example.com", " example.com "),
    ("registry.example.com", "example.org example.com"),
    ("registry.example.com", ",,example.com,"),
    ("registry.example.com", "*"),
    ("registry.example.com", ""),
    ("registry.example.com", "example.com."),
    ("registry.example.com", "registry"),
    ("registry", "registry"),
    ("registry", "example.com"),
    ("registry.example.com.", "example.com"),
    ("10.1.2.3", "10.1.2.3"),
    ("10.1.2.3", "10.1.2.4"),
    ("10.1.2.3", "10.0.0.0/8"),
    ("10.1.2.3", "10.1.2.0/24"),
    ("10.1.2.3", "10.1.3.0/24"),
    ("10.1.2.3", "10.1.2.3/32"),
    ("10.1.2.3", "10.1.2.77/24"),
    ("10.1.2.3", "2.3"),
    ("10.1.2.3", "10.1"),
    ("10.1.2.3", "example.com,192.168.0.0/16,10.0.0.0/8"),
    ("192.168.7.9", "10.0.0.0/8,192.168.0.0/16"),
    ("11.1.2.3", "10.0.0.0/8"),
    ("[fd00::7]", "fd00::7"),
    ("[fd00::7]", "fd00::8"),
    ("[fd00::7]", "fe80::/10"),
    ("[fd00::7]", "10.0.0.0/8"),
    ("registry.example.com", "10.0.0.0/8"),
]


def to_the_proxy(host: str, exempt: str) -> bool:
    """Whether curl asks its proxy for this host."""

    def manners(peer: Peer) -> None:
        peer.hear()
        peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with Hostile(manners).running() as proxy:
        env = {"PATH": os.environ["PATH"], "http_proxy": f"http://{proxy.host}", "no_proxy": exempt}
        # Where it goes without the proxy, nobody answers.
        nobody = ["--resolve", "*:80:127.0.0.1", "--connect-to", "::127.0.0.1:1", "--max-time", "5"]
        subprocess.run(["curl", "-s", *nobody, f"http://{host}/"], env=env, check=False)
        return bool(proxy.heard)


@pytest.mark.parametrize(("host", "exempt"), CASES, ids=[f"{host} {exempt}" for host, exempt in CASES])
def test_no_proxy_is_read_as_curl_reads_it(host: str, exempt: str) -> None:
    """Domains and those below them, addresses and networks, lists, blanks, `*`: what goes through the proxy for curl
    does for relman."""
    ours = proxies_of({"http_proxy": "http://proxy:3128", "no_proxy": exempt}).of(f"http://{host}/")
    assert bool(ours) == to_the_proxy(host, exempt)


@pytest.mark.parametrize(
    ("exempt", "url", "direct"),
    [
        ("example.com:5000", "https://registry.example.com:5000/v2/", True),
        ("example.com:5000", "https://registry.example.com/v2/", False),
        ("example.com:443", "https://registry.example.com/v2/", True),
        ("10.1.2.3:5000", "https://10.1.2.3:5000/", True),
        ("10.1.2.3:5001", "https://10.1.2.3:5000/", False),
        ("[fd00::7]:5000", "https://[fd00::7]:5000/", True),
        ("0.0.0.0/0", "https://10.1.2.3/", True),
        ("fd00::/8", "https://[fd00::7]/", True),
        ("fe80::/10", "https://[fd00::7]/", False),
        ("*.example.com", "https://registry.example.com/", True),
        ("", "https://localhost:5000/", True),
        ("", "https://127.8.8.8:5000/", True),
        ("", "https://[::1]:5000/", True),
        ("", "https://localhost.example.com/", False),
    ],
)
def test_what_curl_does_not_say_of_no_proxy(exempt: str, url: str, direct: bool) -> None:
    """An entry may have a port, as for Docker and requests, or be a network of IPv6 or of all addresses, which curl
    7.88 does not know; loopback is never asked for through a proxy."""
    assert (proxies_of({"HTTPS_PROXY": "proxy:3128", "NO_PROXY": exempt}).of(url) is None) is direct


@pytest.mark.parametrize(
    ("env", "https", "http"),
    [
        ({}, None, None),
        ({"https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:2"}, "a:1", None),
        ({"https_proxy": "", "HTTPS_PROXY": "http://b:2"}, None, None),
        ({"HTTPS_PROXY": "b:2", "HTTP_PROXY": "http://c"}, "b:2", "c:80"),
        ({"all_proxy": "http://d:4", "http_proxy": "http://c:3/"}, "d:4", "c:3"),
        ({"HTTPS_PROXY": "http://[fd00::1]:3128"}, "[fd00::1]:3128", None),
        ({"HTTPS_PROXY": "http://u%40x:p%3Aw@b:2"}, "b:2", None),
    ],
)
def test_which_variable_names_the_proxy(env: dict[str, str], https: str | None, http: str | None) -> None:
    """Small letters win, also where they are empty; ALL_PROXY is for what has none; the login is taken apart."""
    proxies: Proxies = proxies_of(env)
    found = proxies.of("https://registry.example.com/"), proxies.of("http://registry.example.com/")
    assert [proxy and proxy.place for proxy in found] == [https, http]
    if "u%40x" in env.get("HTTPS_PROXY", ""):
        assert found[0]
        assert found[0].login
        assert (found[0].login.username, found[0].login.password) == ("u@x", "p:w")
        assert "p:w" not in repr(found)
