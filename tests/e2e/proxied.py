"""Hosts with proxies, for whole stories: an image of HAProxy, an inventory, and services to put behind it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.apps import HAPROXY, HYPERCORN, bases
from tests.e2e.stage import Stage
from tests.lab import haproxies, pki
from tests.lab.counted import Counted, Target
from tests.lab.images import echo_image, push

NAME = "demo.example.com"
BEHIND: Mapping[str, Any] = {"ports": [], "proxy": {"port": 8080, "response_timeout": "2s"}}


def haproxy(stage: Stage, number: int) -> str:
    """An image of HAProxy 2.6 in the registry, of which each number is another one."""
    base = bases.ensure(HAPROXY, Path(stage.lab.env["DOCKER_HOST"].removeprefix("unix://")))
    return _built(stage, str(number), fileobj=io.BytesIO(f"FROM {base}\nLABEL number={number}\n".encode()))


def newer_haproxy(stage: Stage) -> str:
    """An image of HAProxy 3.2 in the registry."""
    return _built(stage, "3.2", fileobj=haproxies.context("3.2"), custom_context=True)


def _built(stage: Stage, tag: str, **options: Any) -> str:
    image = f"{stage.lab.registry.address}/haproxy:{tag}"
    with stage.lab.ci.engine() as engine:
        said = b"".join(engine.build(tag=image, rm=True, **options))
        assert b"Successfully built" in said, said
        push(engine, image, stage.lab.registry.auth)
    return image


def inventory(
    stage: Stage, image: str, *, proxy: Mapping[str, Any] | None = None, variables: Any = None, **routes: object
) -> None:
    """Every host has a proxy of this image, with what `proxy` says besides."""
    said = {"image": image, "keep_alive": "1s", **(proxy or {})}
    stage.write_inventory(relman_proxy=said, relman_routes=routes, **(variables or {}))


def certificate(stage: Stage, directory: str, *names: str) -> Path:
    """Make a certificate for these host names, of an authority of its own, in a directory of the user's: both in one
    file, as a proxy wants it. Returns the authority's."""
    made = stage.home / directory
    pki.make_ca(made, "192.0.2.1", *names)
    (made / "pem").write_bytes(b"".join((made / f"server.{kind}").read_bytes() for kind in ("crt", "key")))
    return made / "ca.crt"


def first_of(stage: Stage) -> Target:
    """What users ask the first host for."""
    return Target(stage.lab.hosts[0].address, 80, NAME, "/version")


def lossless(counted: Counted, *releases: str) -> None:
    """Nobody noticed, and these releases answered."""
    assert counted.failures == [], (len(counted.failures), counted.requests, counted.failures[:5])
    assert set(counted.answers) == set(releases)


def release_echo(stage: Stage, *tags: str, deploy: Mapping[str, Any]) -> None:
    """Release the application tests/apps/echo under these tags."""
    bases.ensure(HYPERCORN, Path(stage.lab.env["DOCKER_HOST"].removeprefix("unix://")))
    for tag in tags:
        stage.release(tag, deploy=deploy, make=echo_image)
