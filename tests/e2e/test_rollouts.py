"""Gradual, planned and never half done: strategies, tasks, hooks, hosts left out, changed settings, removal."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from typing import Any

from tests.e2e.stage import ALL_AT_ONCE, DEPLOY, Stage
from tests.lab.process import until

QUICK: Mapping[str, Any] = {**DEPLOY, "health": {**DEPLOY["health"], "window": "0s"}}


def containers(stage: Stage) -> list[list[str]]:
    """The containers of every host."""
    found = []
    for host in stage.lab.hosts:
        with host.engine() as engine:
            found.append(sorted(c["Id"] for c in engine.containers(all=True)))
    return found


def test_a_canary_that_fails_goes_back_by_itself_and_a_good_one_is_followed_by_the_rest(serving: Stage) -> None:
    """The canary alone is changed, watched and asked about; a no puts it back, and no other host was touched."""
    h1, h2, h3 = containers(serving)
    address = serving.lab.hosts[1].address

    def canary(path: str) -> dict[str, Any]:
        check = {"http": {"url": f"http://{address}:8080{path}"}, "timeout": "1s"}
        return {**QUICK, "strategy": {"canary": {"hosts": ["h2"], "bake": "1s", "check": check, "batches": 2}}}

    serving.release("canary-bad", deploy=canary("/nothing"))
    ended = serving.deploy("canary-bad", code=13)
    assert f"GET http://{address}:8080/nothing: 404" in ended.err
    assert containers(serving) == [h1, h2, h3]
    serving.serve("1")
    serving.release("canary-good", deploy=canary("/version"))
    plan = json.loads(serving.relman("--json", "deploy", "canary-good", "-e", "production", "--plan").out)
    assert [[s["host"] for s in w["steps"]] for w in plan["waves"]] == [["h2"], ["h1", "h3"]]
    serving.deploy("canary-good")
    serving.serve("canary-good")


def test_commands_on_this_machine_run_only_where_the_inventory_allows_it(stage: Stage) -> None:
    """What an image wants to run here is shown and refused; allowed, it knows what it is about, and no password."""
    show = ["sh", "-c", "env | grep ^RELMAN_ | sort"]
    strategy = {"canary": {"bake": "0s", "check": {"command": ["false"]}}}
    stage.release("hooked", deploy={**QUICK, "hooks": [{"command": show}]})
    stage.release(
        "checked", deploy={**QUICK, "strategy": strategy, "hooks": [{"command": ["echo", "sorry"], "when": "failed"}]}
    )
    assert "relman_local_commands" in stage.deploy("hooked", code=3).err
    stage.write_inventory(relman_local_commands=True)
    said = stage.deploy("hooked").out
    assert [line.strip() for line in said.splitlines() if line.startswith("  RELMAN_")][1:] == [
        "RELMAN_ENVIRONMENT=production",
        "RELMAN_HOSTS=h1 h2 h3",
        "RELMAN_RELEASE=hooked",
        "RELMAN_SERVICE=demo",
    ]
    ended = stage.deploy("checked", code=13)
    assert "false ended with 1" in ended.err
    assert "\n  sorry\n" in ended.out
    stage.serve("hooked")


def test_a_change_of_settings_is_a_rollout_whose_plan_gives_no_value_away(serving: Stage) -> None:
    """Names of changed variables are shown, never values; the same again is nothing to do; a rollback takes it back."""
    serving.write_inventory(relman_env={"PASSWORD": "hunter2"}, port="8081")
    shown = serving.relman("deploy", "1", "-e", "production", "--plan")
    assert "+ env.PASSWORD" in shown.out
    assert "~ ports: 8080:8080 -> 8081:8080" in shown.out
    data = serving.relman("--json", "deploy", "1", "-e", "production", "--plan").out
    assert "hunter2" not in shown.text + data
    (step, *_) = json.loads(data)["waves"][0]["steps"]
    assert (step["from"], step["to"], step["rollback_to"]) == ("1", "1", "1")
    assert step["from_digest"] == step["digest"]
    serving.deploy("1")
    serving.serve("1", port=8081)
    assert "nothing to do" in serving.deploy("1").out
    serving.rollback()
    serving.serve("1")


def task(script: str, name: str = "migrate", **options: Any) -> dict[str, Any]:
    """A task in the deploy section that runs a line of shell."""
    return {"name": name, "command": ["/bin/busybox", "sh", "-c", script], **options}


def test_a_task_runs_once_in_the_new_image_before_anything_changes(serving: Stage) -> None:
    """Its output is shown, it has the service's volumes and variables; if it fails, no container was touched."""
    volumes = {"volumes": ["demo-data:/data"], "env": {"COLOUR": "blue"}}
    good = task("echo $COLOUR of $(cat /www/version); echo x >>/data/runs", timeout="20s", rollback_safe=True)
    serving.release("task-good", deploy={**QUICK, **volumes, "tasks": [good]})
    assert "h1: migrate: blue of task-good" in serving.deploy("task-good").out
    h1 = serving.lab.hosts[0]
    with h1.engine() as engine:
        made = engine.exec_create(engine.containers()[0]["Id"], ["/bin/busybox", "cat", "/data/runs"])
        assert engine.exec_start(made["Id"]) == b"x\n"
    before = containers(serving)
    serving.release("task-bad", deploy={**QUICK, **volumes, "tasks": [task("echo no such column >&2; exit 7")]})
    ended = serving.deploy("task-bad", code=5)
    assert "exit code 7" in ended.err
    assert "no such column" in ended.err
    assert containers(serving) == before
    serving.release("task-slow", deploy={**QUICK, **volumes, "tasks": [task("sleep 60", timeout="1s")]})
    assert "did not end within 1 s" in serving.deploy("task-slow", code=5).err
    assert containers(serving) == before


def test_nothing_goes_back_by_itself_over_a_task_that_is_not_safe(serving: Stage) -> None:
    """A failure after it halts and says so; a person's rollback wants more than --yes."""
    unsafe = {"tasks": [task("true")], "ports": ["8081:8080"], "max_unavailable": 1}
    serving.release("unsafe", deploy={**QUICK, **unsafe})
    with serving.lab.hosts[1].occupied(8081):
        ended = serving.deploy("unsafe", code=6)
    assert "migrate is not marked rollback_safe" in ended.err
    assert serving.versions(8081)[0] == "unsafe"
    assert serving.versions()[1:] == ["1", "1"]
    serving.deploy("unsafe")
    serving.serve("unsafe", port=8081)
    assert "migrate of unsafe" in serving.rollback(code=3).err
    serving.rollback("--force")
    serving.serve("1")


def test_a_task_that_outlives_relman_is_waited_for(serving: Stage) -> None:
    """relman is killed while a migration runs: no deployment starts beside it; recover waits for its end."""
    long = task("echo begun; until [ -e /go ]; do sleep 0.1; done")
    serving.release("task-long", deploy={**QUICK, "tasks": [long]})
    running = serving.start("deploy", "task-long", "-e", "production", "--yes")
    running.says("migrate: begun")
    running.send(signal.SIGKILL)
    running.ended()
    assert "the task migrate of task-long still runs" in serving.deploy("2", code=7).err
    recovery = serving.start("recover", "-e", "production")
    recovery.says("waiting for the task migrate")
    with serving.lab.hosts[0].engine() as engine:
        (mine,) = engine.containers(filters={"label": "relman.task"})
        engine.exec_start(engine.exec_create(mine["Id"], ["/bin/busybox", "touch", "/go"])["Id"])
    ended = recovery.ended()
    assert ended.code == 0, ended.out
    assert "ended with exit code 0" in ended.out
    serving.deploy("2")
    serving.serve("2")
    assert all(len(found) == 2 for found in containers(serving))


def test_a_host_left_out_is_known_to_everybody_until_it_has_caught_up(serving: Stage) -> None:
    """--exclude and --only are noted on the other hosts; status says so from any machine; a later deployment of the
    same release changes nothing but that host."""
    serving.deploy("2", "--exclude", "h3", "--reason", "its disk is being replaced")
    rows = {row["host"]: row for row in serving.status(code=6)}
    assert "was left out of 2" in rows["h3"]["notes"][0]
    assert "its disk is being replaced" in rows["h3"]["notes"][0]
    assert not rows["h1"]["notes"]
    before = containers(serving)
    serving.deploy("2")
    assert containers(serving)[:2] == before[:2]
    serving.serve("2")
    assert all(not row["notes"] for row in serving.status())
    serving.deploy("3", "--only", "h1")
    assert serving.versions() == ["3", "2", "2"]
    assert "only h1 was asked for" in serving.status(code=6)[1]["notes"][0]


def test_a_service_is_taken_away_but_never_its_volumes(stage: Stage) -> None:
    """Containers, kept images and records go, after a plan and a yes; volumes and journal stay; and a first deployment
    works again."""
    stage.release("keeping", deploy={**QUICK, "volumes": ["demo-data:/data"]})
    stage.deploy("keeping")
    stage.deploy("1", *ALL_AT_ONCE)
    shown = stage.relman("remove", "-e", "production", "--plan").out
    assert "demo-data" in shown
    assert "--yes" in stage.relman("remove", "-e", "production", code=2).err
    stage.serve("1")
    stage.relman("remove", "-e", "production", "--yes", "--reason", "no longer needed")
    assert containers(stage) == [[], [], []]
    for host in stage.lab.hosts:
        with host.engine() as engine:
            assert [v["Name"] for v in engine.volumes()["Volumes"]] == ["demo-data"]
            assert not [t for i in engine.images() for t in i["RepoTags"] or () if t.startswith("relman.kept")]
        assert [p.name for p in host.path("/var/lib/relman/production/demo").iterdir()] == ["journal.jsonl"]
    assert "removed" in stage.relman("history").out
    assert "nothing to do" in stage.relman("remove", "-e", "production", "--yes").out
    stage.deploy("1", *ALL_AT_ONCE)
    stage.serve("1")


def test_a_host_that_somebody_changed_meanwhile_is_left_alone_and_said_to_be_stale(serving: Stage) -> None:
    """Between the plan and its turn a host's container is stopped by hand: that host is not overwritten."""
    serving.release(
        "slow-stale", deploy={**DEPLOY, "max_unavailable": 1, "health": {**DEPLOY["health"], "window": "3s"}}
    )
    running = serving.start("--json", "deploy", "slow-stale", "-e", "production", "--yes")
    running.says("h1: waiting for health")
    with serving.lab.hosts[1].engine() as engine:
        mine = engine.containers()[0]["Id"]
        engine.stop(mine, timeout=1)
    ended = running.ended()
    assert ended.code == 5, ended.out
    report = next(json.loads(line) for line in ended.out.splitlines() if '"kind": "report"' in line)
    assert {h["host"]: h["result"] for h in report["hosts"]} == {"h1": "returned", "h2": "stale", "h3": "not reached"}
    with serving.lab.hosts[1].engine() as engine:
        assert [c["Id"] for c in engine.containers(all=True)] == [mine]
    until(lambda: serving.versions() == ["1", "-", "1"], "h1 to be back", 10)
