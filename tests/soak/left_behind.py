"""What a command left on a host: nothing but what the record knows."""

from __future__ import annotations

import json
from typing import Any

from relman.hosts.state_dir.journal import NAME as JOURNAL
from tests.lab.host import LabHost


def state_of(environment: str) -> str:
    """The state directory of the stage's service."""
    return f"/var/lib/relman/{environment}/demo"


def files_of(host: LabHost, environment: str = "production") -> list[str]:
    """What lies beside the host's journal and secrets: its record, and what is left of others' work."""
    found = host.path(state_of(environment)).iterdir()
    return sorted(p.name for p in found if p.name != "secrets" and not p.name.startswith(JOURNAL))


def service_containers(host: LabHost, *, every: bool = False) -> list[dict[str, Any]]:
    """The service's containers that run, or `every` one."""
    with host.engine() as engine:
        return list(engine.containers(all=every, filters={"label": "relman.service=demo"}))


def tidy(host: LabHost, *, environment: str = "production", images: bool = True) -> None:
    """Nothing is orphaned: what runs are the containers of the entry that serves, every other is known and stays
    stopped, no lock; with `images`, which a deployment prunes, exactly those that are kept; and the secrets are those
    of its entries."""
    state = state_of(environment)
    assert files_of(host, environment) == ["record.json"], f"{host.name}: {files_of(host, environment)}"
    record = json.loads((host.path(state) / "record.json").read_text())
    ids = {e["id"]: _ids(e) for e in record["entries"]}
    running, every = ({c["Id"] for c in service_containers(host, every=each)} for each in (False, True))
    assert running == ids[record["current"]], f"{host.name} runs {running}"
    assert every <= set().union(*ids.values()), f"{host.name} has {every}"
    with host.engine() as engine:
        tags = {
            t
            for i in engine.images()
            for t in i["RepoTags"] or ()
            if t.startswith("relman.kept/") and "/proxy:" not in t
        }
        policies = {i: engine.inspect_container(i)["HostConfig"]["RestartPolicy"]["Name"] for i in every}
    kept = {e["kept_as"] for e in record["entries"]}
    assert tags == kept if images else tags >= kept, f"{host.name} keeps {tags}"
    folder = host.path(f"{state}/secrets")
    sets = {p.name for p in folder.iterdir()} if folder.exists() else set()
    assert sets == {e["secrets"]["directory"] for e in record["entries"] if "secrets" in e}, f"{host.name} has {sets}"
    others = {policy for id, policy in policies.items() if id not in running}
    assert others <= {"no"}, f"{host.name}: a reboot would bring back another one: {policies}"
    own = {policy for id, policy in policies.items() if id in running}
    assert own == {"unless-stopped"}, f"{host.name}: a reboot would not bring back what serves: {policies}"


def _ids(entry: dict[str, Any]) -> set[str]:
    return {unit["container"] for unit in entry.get("units", (entry,))}
