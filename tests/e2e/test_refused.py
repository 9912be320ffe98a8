"""What is refused before anything changes: the exit code, words for a tired person, and every host as it was."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.stage import ALL_AT_ONCE, DEPLOY, Stage
from tests.lab import images
from tests.lab.process import until


@pytest.fixture
def serving(serving: Stage) -> Iterator[Stage]:
    """Release 1 serves everywhere; whatever the test tries, it still does afterwards."""
    yield serving
    serving.serve("1")


def test_an_unknown_tag(serving: Stage) -> None:
    """A tag that the registry does not have is the caller's mistake."""
    assert "999" in serving.deploy("999", code=2).err


def test_a_tag_with_shell_metacharacters(serving: Stage) -> None:
    """What cannot be a tag is said before anything is asked of anybody."""
    assert "is not a tag" in serving.deploy("1; rm -rf /", code=2).err


def test_a_tag_without_evidence(serving: Stage) -> None:
    """An image that somebody pushed by hand was never tested, and is not deployed."""
    serving.image("untested")
    assert "evidence" in serving.deploy("untested", code=3).err


def test_a_tag_that_moves_after_the_plan_was_shown(serving: Stage) -> None:
    """Between the plan on the screen and the yes of a person, the tag is re-pointed: refused."""
    serving.release("moving")
    other = serving.release("another")
    master, slave = pty.openpty()
    command = serving.argv("deploy", "moving", "-e", "production")
    process = subprocess.Popen(command, env=serving.env, cwd=serving.home, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    said = _read_until(master, "[y/N]")
    assert "1 -> moving" in said
    registry = serving.registry()
    registry.put_manifest(serving.repository, "moving", registry.resolve(serving.repository, other))
    os.write(master, b"y\n")
    said = _read_until(master, "")
    assert process.wait(30) == 3
    assert "moved" in said


def _read_until(terminal: int, text: str) -> str:
    said = ""
    while not text or text not in said:
        try:
            part = os.read(terminal, 4096)
        except OSError:
            break
        if not part:
            break
        said += part.decode(errors="replace")
    return said


def test_a_tag_that_moved_since_it_was_deployed(serving: Stage) -> None:
    """The hosts remember what a release tag stood for; re-pointing it, even to a tested image, is found out."""
    serving.release("once")
    serving.deploy("once")
    serving.rollback()
    registry = serving.registry()
    another = registry.resolve(serving.repository, "2")
    registry.put_manifest(serving.repository, "once", another)
    assert "moved" in serving.deploy("once", code=3).err


def test_a_wrong_registry_password(serving: Stage) -> None:
    """The registry's refusal names the registry."""
    wrong = {"RELMAN_REGISTRY_USERNAME": "relman", "RELMAN_REGISTRY_PASSWORD": "wrong-secret"}
    ended = serving.relman("deploy", "2", "-e", "production", "--yes", code=4, env=wrong)
    assert serving.lab.registry.address in ended.err
    assert "wrong-secret" not in ended.text


def test_the_registry_is_away(serving: Stage) -> None:
    """No registry, no deployment, and no harm."""
    serving.lab.registry.stop()
    assert serving.lab.registry.address in serving.deploy("2", code=4).err


def test_an_unknown_and_a_changed_host_key(serving: Stage) -> None:
    """A host whose key is unknown, or is not the known one, is not talked to."""
    nothing = serving.home / "known_hosts"
    nothing.write_text("")
    env = {"RELMAN_KNOWN_HOSTS": str(nothing)}
    assert "is not known" in serving.relman("deploy", "2", "-e", "production", "--yes", code=4, env=env).err
    h2 = serving.lab.hosts[1]
    h2.change_host_key()
    try:
        said = serving.deploy("2", code=4).err
    finally:
        h2.restore_host_key()
    assert "h2" in said
    assert "is not the known one" in said


def test_a_host_that_is_down_and_is_left_out_by_a_person(stage: Stage) -> None:
    """A dead host stops a deployment before it begins, and a person can decide to go on without it."""
    h3 = stage.lab.hosts[2]
    h3.stop()
    assert "h3" in stage.deploy("1", code=4).err
    assert "--reason" in stage.deploy("1", "--exclude", "h3", code=2).err
    stage.deploy("1", "--exclude", "h3", "--reason", "its power supply burned")
    assert stage.versions() == ["1", "1", "-"]
    rows = {row["host"]: row for row in stage.status(code=11)}
    assert rows["h3"]["unreachable"]
    h3.start()
    stage.deploy("1", *ALL_AT_ONCE)
    stage.serve("1")


def test_an_engine_that_is_stopped(serving: Stage) -> None:
    """The error names the host and its engine, not a broken pipe."""
    h2 = serving.lab.hosts[1]
    h2.stop_engine()
    try:
        said = serving.deploy("2", code=4).err
    finally:
        h2.start_engine()
    assert "h2" in said
    assert "engine" in said


def test_a_full_disk_on_one_host(stage: Stage) -> None:
    """One host cannot take the image: nothing changes anywhere."""
    h2 = stage.lab.hosts[1]
    h2.limit_disk(200)
    try:
        stage.deploy("1", *ALL_AT_ONCE)
        stage.release("big", ballast=30_000_000)
        h2.fill_disk()
        said = stage.deploy("big", code=4).err
        h2.free_disk()
        stage.serve("1")
        assert "h2" in said
    finally:
        h2.unlimit_disk()


def test_a_port_that_a_foreign_container_takes(stage: Stage) -> None:
    """Found in preflight, with the name of whoever takes it; the foreign container is left alone."""
    h2 = stage.lab.hosts[1]
    with h2.engine() as engine:
        images.pull(engine, str(stage.repository), "1", stage.lab.registry.auth)
        images.run(engine, stage.repository.tag("1"), "squatter", port=8080)
    said = stage.deploy("2", code=4).err
    assert "h2: port 8080/tcp is taken by the container squatter" in said
    assert stage.versions()[0] == "-"
    until(lambda: stage.versions()[1] == "1", "the squatter still serves", 10)


def test_a_network_that_a_host_does_not_have(serving: Stage) -> None:
    """Found before anything changes, with host and network, for the plan, too; where it is made the release is
    deployed, and once it is gone a rollback onto it is refused."""
    serving.release("networked", deploy={"networks": ["demo-net"]})
    for host in (serving.lab.hosts[0], serving.lab.hosts[2]):
        host.run(["docker", "network", "create", "demo-net"])
    for more in ((), ("--plan",)):
        said = serving.deploy("networked", *more, code=4).err
        assert "h2: there is no network demo-net" in said
        assert "h1:" not in said
    serving.serve("1")
    serving.lab.hosts[1].run(["docker", "network", "create", "demo-net"])
    serving.deploy("networked")
    serving.deploy("1")
    for host in serving.lab.hosts:
        with host.engine() as engine:
            for container in engine.containers(all=True, filters={"status": "exited"}):
                engine.remove_container(container["Id"])
        host.run(["docker", "network", "rm", "demo-net"])
    assert "h1: there is no network demo-net" in serving.rollback(code=4).err


def test_an_image_whose_volume_nothing_is_mapped_to(serving: Stage) -> None:
    """Data that the next deployment would lose is a reason not to begin; and so is a new volume beside the one that
    compose made under its name, until that is what is wanted."""
    serving.release("keeps-data", volume="/data")
    assert "/data" in serving.deploy("keeps-data", code=4).err
    serving.release("mapped", volume="/data", deploy={"volumes": ["demo-data:/data"]})
    with serving.lab.hosts[1].engine() as engine:
        engine.create_volume("shop_demo-data")
    refused = serving.deploy("mapped", code=4).err
    assert "h2: the volume demo-data would be new and empty, and there is shop_demo-data" in refused
    serving.serve("1")
    agreed = serving.deploy("mapped", "--new-volume", "demo-data")
    assert "new volume on h1, h2, h3: demo-data, empty" in agreed.out
    assert "new volume" not in serving.deploy("1").out
    with serving.lab.hosts[1].engine() as engine:
        engine.remove_volume("shop_demo-data")


def test_a_broken_inventory_and_an_unknown_environment(serving: Stage) -> None:
    """Mistakes in files are told with file, line and column; an unknown environment with those that exist."""
    assert "production" in serving.relman("deploy", "2", "-e", "prod", "--yes", code=2).err
    good = serving.inventory.read_text()
    serving.inventory.write_text(good.replace("ansible_host", "ansible_hots", 1))
    try:
        said = serving.deploy("2", code=2).err
    finally:
        serving.inventory.write_text(good)
    assert f"{serving.inventory}:" in said or "inventory.yml:" in said


def test_a_variable_that_the_environment_does_not_have(serving: Stage) -> None:
    """A setting that needs a variable names it, and the host that lacks it."""
    serving.release("needs", deploy={**DEPLOY, "env": {"URL": "${database_url}"}})
    said = serving.deploy("needs", code=2).err
    assert "database_url" in said
    assert "h1" in said
