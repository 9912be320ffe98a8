"""Deploying and rolling back on real hosts, as the on-call engineer does it."""

from __future__ import annotations

import shutil

from tests.e2e.stage import DEPLOY, Stage
from tests.lab.lab import at_once


def test_a_release_reaches_every_host_and_comes_back_after_a_reboot(stage: Stage) -> None:
    """What was deployed serves, is what status says, and still serves after every engine restarted and every host
    rebooted."""
    stage.deploy("1")
    stage.serve("1")
    stage.deploy("2")
    stage.serve("2")
    before = {row["manifest"] for row in stage.status()}
    at_once(host.restart_engine for host in stage.lab.hosts)
    stage.serve("2")
    at_once(host.reboot for host in stage.lab.hosts)
    stage.serve("2")
    rows = stage.status()
    assert {row["manifest"] for row in rows} == before
    assert all(row["rollback"] == "1" and row["rollback_kept"] for row in rows)


def test_another_user_rolls_back_twice_with_nothing_but_inventory_and_key(stage: Stage) -> None:
    """Rollbacks need no ledger, no checkout and no registry, and go further back each time, never forward."""
    for tag in ("1", "2", "3"):
        stage.deploy(tag)
    shutil.rmtree(stage.home / "data", ignore_errors=True)
    stage.lab.registry.stop()
    stage.rollback()
    stage.serve("2")
    stage.rollback()
    stage.serve("1")
    assert "no release before 1 is proven good" in stage.rollback(code=4).text
    stage.serve("1")


def test_a_rollback_after_a_prune_of_everything_unused(stage: Stage) -> None:
    """Everybody's nightly `docker system prune -f` takes stopped containers; the way back survives it."""
    stage.deploy("1")
    stage.deploy("2")
    stage.lab.registry.stop()
    for host in stage.lab.hosts:
        host.run(["docker", "system", "prune", "-f"])
    stage.rollback()
    stage.serve("1")


def test_from_a_published_port_to_the_host_s_network_and_back(stage: Stage) -> None:
    """Both listen on the same port of the host: the old one stops first, in both directions, and on a rollback."""
    health = {**DEPLOY["health"], "window": "0.5s"}
    stage.release("on-host", deploy={"networks": ["host"], "ports": [], "health": health})
    stage.deploy("1")
    said = stage.deploy("on-host").out
    assert "stop-first: one uses the host's network, and the other takes port 8080" in said
    stage.serve("on-host")
    stage.deploy("2")
    stage.serve("2")
    stage.rollback()
    stage.serve("on-host")


def test_a_channel_is_deployed_as_the_release_that_it_stands_for(stage: Stage) -> None:
    """The hosts remember the release by its own name, so that the channel may move on and be deployed again; what is
    deployed by the release's name then is the same."""
    for tag in ("c1", "c2"):
        stage.release(tag, channels=["latest-good"])
        assert f"latest-good is the release {tag}" in stage.deploy("latest-good").out
        assert [(row["release"], row["notes"]) for row in stage.status()] == [(tag, [])] * 3
    stage.serve("c2")
    assert "nothing to do" in stage.deploy("c2").out
    stage.rollback()
    stage.serve("c1")
    stage.deploy("latest-good")
    stage.serve("c2")
    assert "is valid" in stage.relman("verify", "latest-good", "-e", "production").out


def test_deploying_what_serves_already_does_nothing(stage: Stage) -> None:
    """A second deployment of the same release leaves every container as it is."""
    stage.deploy("1")
    with stage.lab.hosts[0].engine() as engine:
        before = [c["Id"] for c in engine.containers()]
        assert "nothing to do" in stage.deploy("1").out
        assert [c["Id"] for c in engine.containers()] == before


def test_a_plan_changes_nothing(stage: Stage) -> None:
    """--plan shows what would be done, and does none of it."""
    shown = stage.relman("deploy", "1", "-e", "production", "--plan").out
    assert "start 1" in shown
    assert stage.versions() == ["-", "-", "-"]


def test_without_a_terminal_nothing_is_asked(stage: Stage) -> None:
    """Where nobody can answer, a missing --yes is an error that says so."""
    assert "--yes" in stage.relman("deploy", "1", "-e", "production", code=2).text
    assert stage.versions() == ["-", "-", "-"]


def test_two_environments_share_a_host(stage: Stage) -> None:
    """The same service in staging and production on one host: neither sees the other's containers or records."""
    services = {"relman_services": {"demo": str(stage.repository)}}
    groups = {
        "production": {"hosts": {"h1": None}, "vars": services},
        "staging": {"hosts": {"h1": None}, "vars": services | {"port": "9090"}},
    }
    stage.write_inventory(groups)
    h1 = stage.lab.hosts[0]
    stage.deploy("1")
    stage.relman("deploy", "2", "-e", "staging", "--yes")
    stage.deploy("3")
    stage.rollback()
    assert (h1.http(8080, "/version").text, h1.http(9090, "/version").text) == ("1\n", "2\n")
    assert "no release before 2" in stage.relman("rollback", "-e", "staging", "--yes", code=4).text


def test_variables_with_shell_metacharacters_arrive_as_they_are(stage: Stage) -> None:
    """Nothing between the inventory and the container's environment is read by a shell."""
    nasty = {"A": "$(touch /tmp/x); `id` 'q' \"d\" && | > \\ *", "B": "line\nline", "C": "käse ☃"}
    stage.write_inventory(relman_env=nasty)
    stage.deploy("1")
    with stage.lab.hosts[0].engine() as engine:
        env = engine.inspect_container(engine.containers()[0]["Id"])["Config"]["Env"]
    assert {f"{k}={v}" for k, v in nasty.items()} <= set(env)


def test_only_what_can_be_rolled_back_to_is_kept(stage: Stage) -> None:
    """With keep: 1, the release before the one before is pruned, and nothing that is not relman's."""
    for tag in ("kept1", "kept2", "kept3"):
        stage.release(tag, deploy={"keep": 1})
    h1 = stage.lab.hosts[0]
    for tag in ("kept1", "kept2", "kept3"):
        stage.deploy(tag)
    with h1.engine() as engine:
        kept = {tag for image in engine.images() for tag in image["RepoTags"] or () if tag.startswith("relman.kept")}
        assert len(kept) == 2
        assert len(engine.containers(all=True)) == 2
