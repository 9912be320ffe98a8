"""relman.yml: what it means, and what it says when it is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relman.config.deploy import freeze, resolve
from relman.config.deploy_files import file_contents
from relman.config.service import check_service, load_service, parse_service
from relman.model.errors import ConfigError, UsageError
from relman.model.service import Service, WaitFor
from relman.model.settings import Mount, OnFailure, Order, Port, Probe, Resources

APPS = Path(__file__).parents[1] / "apps"
HEAD = "service: shop\nregistry: 10.0.0.1:5000\n"


def said(text: str) -> list[str]:
    """The problems of a relman.yml with this text below its first two lines."""
    with pytest.raises(ConfigError) as caught:
        parse_service((HEAD + text).encode(), "relman.yml")
    return [str(p) for p in caught.value.problems]


def written(text: str) -> Service:
    """The service that this text below the first two lines describes."""
    return parse_service((HEAD + text).encode(), "relman.yml")


@pytest.mark.parametrize("file", sorted(APPS.glob("*/relman.yml")), ids=lambda f: f.parent.name)
def test_sample_applications_are_valid(file: Path) -> None:
    """Every sample application's relman.yml is valid and its deploy section resolves as frozen."""
    service = load_service(file.parent)
    assert check_service(file) == []
    frozen, files = freeze(service), file_contents(service)
    assert freeze(load_service(file)) == frozen
    variables = {"queue_url": "redis://queue"}
    assert resolve(json.loads(frozen), variables, {"A": "1"}, origin="label", files=files).env["A"] == "1"


def test_everything_can_be_said() -> None:
    """Each key of the deploy section reaches the settings with its units resolved."""
    service = written("""
deploy:
  ports: ["8080:80", "127.0.0.1:9000:90/udp", 70, "[::1]:0:60"]
  env: {A: 1.10, B: true, C: "$x"}
  volumes: ["data:/data", "/srv/x/:/x:ro"]
  networks: [back]
  command: [serve, 3]
  health: {tcp: {port: 80}, window: 1.5, timeout: 2m, interval: 500ms}
  restart: no
  stop_timeout: 20
  resources: {memory: 256m, cpus: 0.50, pids: 100}
  order: stop-first
  singleton: true
  max_unavailable: 25%
  on_failure: halt
  keep: 3
""")
    settings = resolve(service.deploy, {}, {}, origin="x")
    assert settings.ports == (
        Port(80, "tcp", 8080),
        Port(90, "udp", 9000, "127.0.0.1"),
        Port(70),
        Port(60, "tcp", 0, "::1"),
    )
    assert settings.env == {"A": "1.10", "B": "true", "C": "$x"}
    assert settings.volumes == (Mount("data", "/data"), Mount("/srv/x", "/x", True))
    assert (settings.networks, settings.command) == (("back",), ("serve", "3"))
    assert (settings.health.probe, settings.health.port) == (Probe.TCP, 80)
    assert (settings.health.window, settings.health.timeout, settings.health.interval) == (1.5, 120.0, 0.5)
    assert (settings.restart, settings.stop_timeout, settings.keep) == ("no", 20, 3)
    assert settings.resources == Resources(256 << 20, 0.5, 100)
    assert (settings.order, settings.on_failure) == (Order.STOP_FIRST, OnFailure.HALT)
    assert settings.singleton
    assert settings.max_unavailable == "25%"


def test_tests_and_their_services() -> None:
    """A text command runs in a shell, a list does not; every way to wait reaches the model."""
    stage = written("""
test:
  services:
    db: {image: "postgres:15", env: {discovery.type: 1}, ports: [5432], wait: {tcp: 5432, timeout: 5s}}
    web: {image: web, command: "run $X", wait: {http: {port: 80, path: /up}}}
    mq: {image: mq, wait: {command: [check]}}
    any: {image: any, wait: {healthcheck: true}}
  commands: ["make test && true", [pytest, -q]]
""").test
    assert [c.argv for c in stage.commands] == [("/bin/sh", "-c", "make test && true"), ("pytest", "-q")]
    db, web, mq, other = stage.services
    assert (db.env, db.ports, db.wait) == ({"discovery.type": "1"}, (5432,), WaitFor(tcp=5432, timeout=5.0))
    assert web.command == ("/bin/sh", "-c", "run $X")
    assert (web.wait.http_port, web.wait.http_path) == (80, "/up")
    assert (mq.wait.command, other.wait) == (("check",), WaitFor())


def test_all_mistakes_at_once() -> None:
    """Every mistake of a file is said in one go, with its line and column, key and remedy."""
    text = """\
helth: 1
regstry: x
health: {}
release: {tag: {build}}
deploy:
  ports: ["80:90000", "${1}:80", "80:80", "80:80"]
  env: {A=b: c, A: ~, A: 1}
  healt: 1
  volumes: [a/b:/x]
test:
  services: {d_b: {image: "a;b", wait: {tcp: 1, http: {port: 3}}}}
"""
    assert said(text) == [
        "relman.yml:3:1: helth: unknown key here; did you mean deploy.health?",
        "relman.yml:4:1: regstry: unknown key; did you mean registry?",
        "relman.yml:5:1: health: unknown key here; did you mean deploy.health?",
        "relman.yml:6:16: release.tag: expected text, found keys and values; put it in quotes",
        "relman.yml:8:11: deploy.ports[0]: expected a port from 1 to 65535, found '90000'",
        "relman.yml:8:23: deploy.ports[1]: after ${ a variable's name and } must follow; write $${ for a literal ${",
        "relman.yml:9:9: deploy.env.\"A=b\": expected a variable's name, without =; found 'A=b'",
        'relman.yml:9:20: deploy.env.A: expected text, found nothing; write "" for an empty one',
        "relman.yml:9:23: deploy.env.A: duplicate key: first given in line 9",
        "relman.yml:10:3: deploy.healt: unknown key; did you mean health?",
        "relman.yml:11:13: deploy.volumes[0]: a path of the host must be absolute, found 'a/b'",
        "relman.yml:13:14: test.services.d_b: expected a host name's label: a-z, 0-9 and - between them, at most 63; "
        "found 'd_b'",
        "relman.yml:13:27: test.services.d_b.image: expected an image, such as postgres:15 or REGISTRY/NAME:TAG; "
        "found 'a;b'",
        "relman.yml:13:40: test.services.d_b.wait: give one of tcp, http, not 2 of them",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("service: other", "3:1: service: duplicate key: first given in line 1"),
        ("deploy:\n\tports: []", "4:1: a tab cannot indent: use spaces"),
        ("---\na: 1", "3:1: only one document is allowed in a file: remove this and what follows"),
        ("1: x", '3:1: a key must be text: write "1" in quotes'),
        ("deploy: []", "3:9: deploy: expected keys and values, found a list"),
        ("deploy:", "3:7: deploy: expected keys and values, found nothing"),
        ("release: {channels: stable}", "3:21: release.channels: expected a list, found 'stable'"),
        (
            'release: {tag: "{buidl}"}',
            "3:16: release.tag: unknown field {buidl}: known are {build}, {job}, {commit}, {version}",
        ),
        (
            'release: {tag: stable, channels: ["stable"]}',
            "3:35: release.channels[0]: a channel moves and a release tag never does: they cannot be the same",
        ),
        ("release: {tag: run-1}", "3:16: release.tag: tags that start with run- or sha256- are relman's own"),
        (
            "deploy: {restart: 5}",
            "3:19: deploy.restart: expected one of no, always, unless-stopped, on-failure, on-failure:TIMES; found 5",
        ),
        ("deploy: {keep: 0}", "3:16: deploy.keep: expected at least 1, found 0"),
        ("deploy: {keep: 100000000000}", "3:16: deploy.keep: expected at most 1000000000, found 100000000000"),
        ('deploy: {env: {A: "a\x07b"}}', "3:21: the character U+0007 is not allowed"),
        ("deploy: {singleton: yes}", "3:21: deploy.singleton: expected true or false, found 'yes'"),
        ("deploy: {health: {http: {}}}", "3:19: deploy.health.http.port: this key is required"),
        (
            "deploy: {health: {window: 5s}}",
            "3:18: deploy.health: say how health is known: one of http, tcp, command, image, none",
        ),
        (
            'deploy: {ports: ["80:8080", "10.0.0.1:80:90"]}',
            "3:29: deploy.ports[1]: the host's port 80/tcp is taken by another entry",
        ),
        (
            "deploy: {volumes: [a:/x, b:/x/]}",
            "3:26: deploy.volumes[1]: another volume is mounted at /x",
        ),
        (
            "deploy: {health: {http: {port: 1, headers: {host: x}}}}",
            "3:45: deploy.health.http.headers.host: say it as http.host",
        ),
        (
            "deploy: {health: {http: {port: 1, headers: {Content-Length: 5}}}}",
            "3:45: deploy.health.http.headers.Content-Length: Content-Length is of the connection itself, "
            "and cannot be given",
        ),
        (
            "deploy: {health: {http: {port: 1, headers: {a b: x}}}}",
            '3:45: deploy.health.http.headers."a b": '
            "expected a header's name, such as X-Forwarded-Proto; found 'a b'",
        ),
        (
            'deploy: {health: {http: {port: 1, headers: {A: "x\\r\\nHost: y"}}}}',
            "3:48: deploy.health.http.headers.A: expected a header's value: one line of ASCII; found 'x\\r\\nHost: y'",
        ),
        (
            "deploy: {health: {http: {port: 1, headers: {A: x, a: y}}}}",
            "3:44: deploy.health.http.headers: the header a is given twice",
        ),
        (
            "deploy: {health: {http: {port: 1, host: http://x/}}}",
            "3:41: deploy.health.http.host: expected a host such as shop.example.com or shop.example.com:8443; "
            "found 'http://x/'",
        ),
        (
            "deploy: {healthcheck: {}}",
            "3:23: deploy.healthcheck: say what differs from the image's HEALTHCHECK, or false to switch it off",
        ),
        (
            "deploy: {healthcheck: true}",
            "3:23: deploy.healthcheck: expected keys and values, or false to switch it off",
        ),
        (
            "deploy: {order: start-first, singleton: true}",
            "3:17: deploy.order: start-first runs two copies for a while, which singleton forbids",
        ),
        (
            'deploy: {order: start-first, ports: ["80:80"]}',
            "3:17: deploy.order: start-first cannot work: two containers cannot hold the host's port 80",
        ),
        ("build: {args: !vault x}", "3:15: build.args: expected keys and values, found a value tagged !vault"),
        ("build: &a {args: *a}", "3:8: build.args: too many values: an alias repeats too much, or itself"),
    ],
)
def test_typical_mistakes(text: str, problem: str) -> None:
    """A typical mistake is said in plain words at its place."""
    assert said(text) == [f"relman.yml:{problem}"]


def test_nothing_to_read(tmp_path: Path) -> None:
    """A missing relman.yml is a usage error that names the path; missing files that it names are problems."""
    with pytest.raises(UsageError, match=r"there is no .*relman\.yml"):
        load_service(tmp_path)
    (tmp_path / "relman.yml").write_text(HEAD + "build: {dockerfile: Dockerfile.x}\n")
    assert [(p.line, p.key) for p in check_service(tmp_path)] == [(3, "build.dockerfile")]
