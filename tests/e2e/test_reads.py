"""What the read-only commands say of real hosts and a real registry."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.stage import ALL_AT_ONCE, DEPLOY, Stage
from tests.lab.images import Behaviour
from tests.lab.process import until


def _releases(stage: Stage, *arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
    said = stage.relman("releases", "-e", "production", "--json", *arguments, code=code).out.splitlines()[0]
    return {row["tag"]: row for row in json.loads(said)["releases"]}


def test_releases_say_what_may_be_deployed_and_where_it_runs(stage: Stage) -> None:
    """A channel stands on its release's line, an untested image is listed with the reason, and every host stands where
    it runs, also when another release is all that fits: the highest tag, or the newest image."""
    stage.deploy("1", *ALL_AT_ONCE)
    stage.release("zz.9")
    registry = stage.registry()
    registry.put_manifest(stage.repository, "stable", registry.resolve(stage.repository, "zz.9"))
    stage.image("zz.10")
    found = _releases(stage, "-n", "1000")
    assert found["1"]["hosts"] == ["h1", "h2", "h3"]
    assert (found["zz.9"]["also"], found["zz.9"]["hosts"], "stable" in found) == (["stable"], [], False)
    assert found["zz.9"]["evidence"]["run"] == "demo/zz.9"
    assert (found["zz.10"]["evidence"], "evidence" in found["zz.10"]["refusal"]) == (None, True)
    for order in ((), ("--by-date",)):
        assert list(_releases(stage, "-n", "1", *order)) == ["zz.10", "1"]
    assert list(_releases(stage))[:2] == ["zz.10", "zz.9"]
    assert "all 3 hosts" in stage.relman("releases", "-e", "production").out
    assert "RUNS ON" not in stage.relman("releases", "-f", _relman_yml(stage)).out


def test_two_environments_share_a_host_each_on_its_own_address(stage: Stage) -> None:
    """One port on two addresses of a host is free for both, and a name with a dot reaches the container. Plan and
    status name the other's copy, in tables that fit 80 columns and 40; on all addresses the port is taken, and that is
    found before anything changes."""
    groups = {
        "production": {"hosts": dict.fromkeys(("h1", "h2")), "vars": {"listen": "127.0.0.1"}},
        "staging": {"hosts": {"h1": None}, "vars": {"listen": "127.0.0.2"}},
    }
    stage.write_inventory(groups)
    stage.release("near", deploy={"ports": ["${listen}:8080:8080"], "env": {"discovery.type": "single-node"}})
    stage.deploy("near")
    said = stage.relman("deploy", "near", "-e", "staging", "--yes").out
    assert "also on h1: demo near of production" in said
    for width in ("80", "40"):
        shown = stage.relman("status", "-e", "production", env={"COLUMNS": width}).out
        assert "also on h1: demo near of staging" in shown
        assert [line for line in shown.splitlines() if len(line) > int(width)] == []
    copies = stage.status()[0]["copies"]
    assert [(c["environment"], c["release"]) for c in copies] == [("staging", "near")]
    with stage.lab.hosts[0].engine() as engine:
        env = engine.inspect_container(copies[0]["container"])["Config"]["Env"]
    assert "discovery.type=single-node" in env
    groups["staging"]["vars"] = {"listen": "0.0.0.0"}  # noqa: S104  # refused
    stage.write_inventory(groups)
    refused = stage.relman("deploy", "near", "-e", "staging", "--yes", code=4).err
    assert "h1: port 8080/tcp is taken by the container demo-production-" in refused
    assert stage.status("staging")[0]["serving"]


def test_what_a_release_would_change_and_what_runs_everywhere(stage: Stage) -> None:
    """Compared with what serves, by its records, a release changes what the plan says; the overview has a cell for each
    environment, also where two share a host; of a host that is away both say that it is not known."""
    hosts = dict.fromkeys(("h1", "h2", "h3"))
    services = {"relman_services": {"demo": str(stage.repository)}}
    groups = {
        "production": {"hosts": hosts, "vars": services},
        "staging": {"hosts": {"h1": None}, "vars": {**services, "port": "8081"}},
    }
    stage.write_inventory(groups)
    stage.deploy("1", *ALL_AT_ONCE)
    stage.release("greener", deploy={"env": {"COLOUR": "green"}})
    said = stage.relman("diff", "greener", "-e", "production").out
    change = "settings that change on h1, h2, h3:\n  + env.COLOUR: (not shown)\n"
    assert "demo in production: 1 -> greener\n1 serves on h1, h2, h3\n" in said
    assert change in said
    assert change in stage.relman("deploy", "greener", "-e", "production", "--plan").out
    assert "1 passed in demo/greener" in said
    assert change in stage.relman("diff", "1", "greener", "-e", "production").out
    assert "relman diff OLD NEW -e staging" in stage.relman("diff", "greener", "-e", "staging", code=10).err
    nothing = stage.relman("status", code=10)
    assert nothing.out.splitlines()[1].split() == ["demo", "1", "serves", "not", "deployed"]
    assert "error: demo is not deployed in staging" in nothing.err
    stage.relman("deploy", "greener", "-e", "staging", "--yes")
    both = stage.relman("status").out.splitlines()
    assert (both[0].split(), both[1].split()[1:]) == (
        ["SERVICE", "production", "staging"],
        ["1", "serves", "greener", "serves"],
    )
    stage.lab.hosts[1].stop()
    cells = json.loads(stage.relman("status", "--json", code=11).out.splitlines()[0])["cells"]
    assert [(c["environment"], c["verdict"]) for c in cells] == [("production", "unknown"), ("staging", "serves")]
    away = stage.relman("diff", "greener", "-e", "production", code=11)
    assert ("1 serves on h1, h3" in away.out, "no answer from h2" in away.err) == (True, True)


def test_a_host_that_cannot_be_asked_is_said(stage: Stage) -> None:
    """The rest of the answer is given, and the exit code tells a program that it is not the whole."""
    stage.deploy("1", *ALL_AT_ONCE)
    stage.lab.hosts[1].stop()
    said = stage.relman("releases", "-e", "production", code=11)
    assert "h1, h3" in said.out
    assert "h2: " in said.err


def test_status_while_somebody_deploys(stage: Stage) -> None:
    """A deployment under way is no drift and no mixed fleet: it is said who is at work, and each host's digest is that
    of what runs there in this moment."""
    stage.deploy("1", *ALL_AT_ONCE)
    stage.write_inventory(relman_local_commands=True)
    seen = stage.home / "seen"
    check = {"command": ["sh", "-c", f"while [ ! -e '{seen}' ]; do sleep 0.1; done"], "timeout": "200s"}
    held = {**DEPLOY, "strategy": {"canary": {"hosts": ["h1"], "bake": "0s", "check": check}}}
    slow = stage.release("slow-reads", deploy=held)
    running = stage.start("deploy", "slow-reads", "-e", "production", "--yes")
    running.says("checking the canary")
    ended = stage.relman("status", "-e", "production")
    rows = stage.status()
    seen.touch()
    assert "h1: being deployed by " in ended.err
    assert "deploying demo slow-reads" in ended.err
    assert (rows[0]["release"], rows[0]["manifest"], rows[0]["recorded_release"]) == ("slow-reads", str(slow), "1")
    assert (rows[2]["release"], rows[2]["drift"]) == ("1", False)
    assert running.ended().code == 0
    assert all(not row["notes"] for row in stage.status())


def test_a_service_that_nobody_knows_leaves_no_trace(serving: Stage) -> None:
    """A slip of the pen is said, with the names that there are, and nothing comes into being on any host."""
    break_lock = ("lock", "break", "--reason", "none", "--yes")
    for command in (("recover",), ("rollback", "--yes"), ("lock", "status"), break_lock):
        said = serving.relman(*command, "-e", "production", "--service", "dmeo", code=2).err
        assert "'dmeo'" in said
        assert "known there: demo" in said
    for host in serving.lab.hosts:
        assert host.run(["ls", "/var/lib/relman/production"]).stdout.split() == ["demo"]


def _relman_yml(stage: Stage) -> str:
    file = stage.home / "relman.yml"
    file.write_text(f"service: demo\nregistry: {stage.repository.registry}\n")
    return str(file)


def test_the_logs_of_what_died_are_shown(stage: Stage) -> None:
    """When a release stops serving, status says where and what to type, and logs has its last words; of what is not
    there at all, both say so."""
    nothing = stage.relman("status", "-e", "production", code=10).out
    assert nothing.count("nothing deployed") == 3
    assert "nothing to recover" in stage.relman("recover", "-e", "production").out
    stage.release("dies-later", behaviour=Behaviour.DIES, deploy={"restart": "no"})
    stage.deploy("dies-later")
    until(lambda: stage.versions() == ["-", "-", "-"], "it died", 20)
    said = stage.relman("status", "-e", "production", code=10).err
    assert "h1, h2 and h3 serve nothing: demo-production-" in said
    assert "ended with exit code 4" in said
    assert "relman logs -e production" in said
    logs = stage.relman("logs", "-e", "production", "-n", "1")
    assert logs.out.count("lost the database") == 3
    assert logs.err.count("exit code 4") == 3
    for verb in ("logs", "status"):
        assert "demo" in stage.relman(verb, "-e", "production", "--service", "shop", code=2).err


def test_a_service_without_a_network_is_deployed(stage: Stage) -> None:
    """The engine's own networks know no names of containers: none are asked for there."""
    stage.write_inventory({"production": {"hosts": {"h1": None}}})
    health = {"none": True, "window": "0.2s"}
    stage.release("alone", deploy={"networks": ["none"], "ports": [], "health": health})
    assert "done: demo alone serves on 1 host" in stage.deploy("alone").out


def test_history_and_show_tell_a_deployment_again(stage: Stage) -> None:
    """What was done, and what it came to on each host, can be read later on the machine that did it."""
    stage.deploy("1", *ALL_AT_ONCE)
    stage.deploy("exits", code=5)
    entries = json.loads(stage.relman("history", "-e", "production", "--json").out)["entries"]
    assert [(e["what"], e["release"], e["outcome"]) for e in entries] == [
        ("deployed", "exits", "failed, rolled back"),
        ("deployed", "1", "done"),
    ]
    shown = stage.relman("show", entries[0]["id"]).out
    assert "h1" in shown
    assert "back on 1" in shown
    assert "not reached" in shown
