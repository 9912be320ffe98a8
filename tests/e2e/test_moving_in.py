"""From a compose file to what runs: what relman init wrote is deployed on real hosts, beside what compose left."""

from __future__ import annotations

import json

import yaml

from tests.e2e.stage import ALL_AT_ONCE, Stage
from tests.unit.cli import relman

COMPOSE = """
name: blog
x-app: &app
  build: .
  restart: unless-stopped
services:
  web:
    <<: *app
    ports: ["8080:8080"]
    environment: {COLOUR: "${COLOUR:-blue}"}
    volumes: ["data:/data"]
    depends_on: [cache]
  worker:
    <<: *app
    command: /bin/busybox sleep 1000
    stop_grace_period: 1s
  cache: {image: "redis:7"}
volumes: {data: }
"""


def test_what_was_made_of_a_compose_file_takes_over_its_volume(stage: Stage) -> None:
    """Before compose made its network nothing is changed; then both processes run in it under compose's names, with the
    volume that compose made and no other."""
    root = stage.home / "blog"
    root.mkdir()
    (root / "compose.yaml").write_text(COMPOSE)
    (root / "Dockerfile").write_text("FROM scratch\n")
    relman("init", "--from", "compose.yaml", cwd=root)
    written = yaml.safe_load((root / "relman.yml").read_text())["deploy"]
    stage.release("moved-in", deploy={"ports": [], **written})
    assert "there is no network blog_default" in stage.deploy("moved-in", code=4).err
    for host in stage.lab.hosts:
        host.run(["docker", "network", "create", "blog_default"])
        host.run(["docker", "volume", "create", "blog_data"])
    try:
        assert "new volume" not in stage.deploy("moved-in", *ALL_AT_ONCE).out
        stage.serve("moved-in")
        with stage.lab.hosts[0].engine() as engine:
            assert [v["Name"] for v in engine.volumes()["Volumes"]] == ["blog_data"]
            found = {c["Labels"]["relman.process"]: engine.inspect_container(c["Id"]) for c in engine.containers()}
        assert {"COLOUR=blue"} <= set(found["web"]["Config"]["Env"])
        assert [m["Name"] for m in found["web"]["Mounts"]] == ["blog_data"]
        for name, container in found.items():
            assert name in container["NetworkSettings"]["Networks"]["blog_default"]["Aliases"], json.dumps(container)
    finally:
        stage.relman("remove", "-e", "production", "--yes")
        for host in stage.lab.hosts:
            host.run(["docker", "network", "rm", "blog_default"])
