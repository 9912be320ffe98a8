"""From a compose file to what runs: what relman init wrote is deployed on real hosts, beside what compose left."""

from __future__ import annotations

import json

import yaml

from tests.e2e.stage import ALL_AT_ONCE, Stage
from tests.lab.host import LabHost
from tests.lab.images import Behaviour, busybox_image
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


ADOPTING = ("--adopt", "blog-web-1", *ALL_AT_ONCE)


def compose_up(host: LabHost) -> None:
    """Run what compose would of the service web."""
    with host.engine() as engine:
        busybox_image(engine, "blog-web:latest", version="compose")
    host.run(["docker", "network", "create", "blog_default"])
    own = ["-v", "blog_data:/data", "-p", "8080:8080", "--network", "blog_default", "--network-alias", "web"]
    host.run(["docker", "run", "-d", "--name", "blog-web-1", "--restart", "unless-stopped", *own, "blog-web:latest"])


def left_of_compose(host: LabHost) -> tuple[str, str]:
    """The state and the restart policy of compose's container."""
    with host.engine() as engine:
        found = engine.inspect_container("blog-web-1")
    return found["State"]["Status"], found["HostConfig"]["RestartPolicy"]["Name"]


def test_what_was_made_of_a_compose_file_takes_over_from_it(stage: Stage) -> None:
    """Before compose made its network nothing is changed, nor while its container has the port, nor in the place of one
    that would be gone. compose's is adopted: it comes back from a release that ends and from a deployment that is
    killed. Then both processes run under compose's names, with the volume that compose made and no other; its container
    is stopped for good, and still there."""
    root = stage.home / "blog"
    root.mkdir()
    (root / "compose.yaml").write_text(COMPOSE)
    (root / "Dockerfile").write_text("FROM scratch\n")
    relman("init", "--from", "compose.yaml", cwd=root)
    written = yaml.safe_load((root / "relman.yml").read_text())["deploy"]
    stage.release("moved-in", deploy={"ports": [], **written})
    stage.release("ends", deploy={"ports": [], **written}, behaviour=Behaviour.EXITS)
    assert "there is no network blog_default" in stage.deploy("moved-in", code=4).err
    for host in stage.lab.hosts:
        compose_up(host)
    try:
        assert "port 8080/tcp is taken by the container blog-web-1" in stage.deploy("moved-in", code=4).err
        stage.lab.hosts[0].run(["docker", "run", "-d", "--rm", "--name", "blog-once", "blog-web:latest"])
        assert "blog-once was started with --rm" in stage.deploy("moved-in", "--adopt", "blog-once", code=4).err
        stage.lab.hosts[0].run(["docker", "rm", "-f", "blog-once"])
        assert "back on blog-web-1" in stage.deploy("ends", *ADOPTING, code=5).out
        stage.serve("compose")
        assert stage.relman_killed("start", 1, "deploy", "moved-in", "-e", "production", "--yes", *ADOPTING) < 0
        stage.relman("recover", "-e", "production")
        stage.serve("compose")
        assert {left_of_compose(host) for host in stage.lab.hosts} == {("running", "unless-stopped")}
        adopting = stage.deploy("moved-in", *ADOPTING).out
        assert "adopted on h1, h2, h3: blog-web-1, stopped and kept" in adopting
        assert "new volume" not in adopting
        stage.serve("moved-in")
        assert {left_of_compose(host) for host in stage.lab.hosts} == {("exited", "no")}
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
            host.run(["docker", "rm", "-f", "blog-web-1"])
            host.run(["docker", "network", "rm", "blog_default"])
