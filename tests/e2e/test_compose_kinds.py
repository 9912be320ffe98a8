"""What relman init makes of ten usual compose files, on real hosts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from relman.config.env_file import deploy_section
from relman.config.service import load_service
from relman.model.container import PROCESS
from tests.e2e.stage import ROOT, Stage
from tests.lab.host import LabHost
from tests.lab.lab import at_once
from tests.unit.cli import relman

KINDS = ROOT / "tests/unit/data/compose"
LEFT_OUT = ("command", "entrypoint", "healthcheck", "health", "privileged")
"""Programs that the sample image does not have, and what a host of the lab cannot give, since it has not all itself."""
SLEEPS = {"command": ["/bin/busybox", "sleep", "1000"], "stop_timeout": 1}


def written(stage: Stage) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Of each relman.yml its name, its deploy section, and the inventory's variables."""
    for kind in sorted(path for path in KINDS.iterdir() if path.is_dir()):
        root = stage.home / kind.name
        shutil.copytree(kind, root)
        relman("init", "--from", "compose.yaml", cwd=root)
        variables = yaml.safe_load((root / "inventories/production.yml").read_text())["production"]["vars"]
        for file in sorted(root.glob("relman*.yml")):
            service = load_service(Path(file))
            yield f"{kind.name}-{service.name}", _runnable(deploy_section(service)), variables


def _runnable(section: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in section.items() if key not in (*LEFT_OUT, "tasks")}
    processes = {
        name: {key: value for key, value in process.items() if key not in LEFT_OUT}
        for name, process in section.get("processes", {}).items()
    }
    return {"ports": [], **kept, "health": {"none": True}, **SLEEPS} | ({"processes": processes} if processes else {})


def _networks(section: Mapping[str, Any]) -> set[str]:
    parts = (section, *section.get("processes", {}).values())
    return {network for part in parts for network in part.get("networks", ())} - {"host", "none"}


def test_what_is_made_of_ten_compose_files_runs(stage: Stage) -> None:
    """Every service of each, with all that its file says of its containers but the program and `privileged`, starts on
    a host under compose's names; and is gone again when it is removed."""
    sections, inventory = dict[str, dict[str, Any]](), dict[str, Any]()
    for tag, section, variables in written(stage):
        sections[tag] = section
        for name, value in variables.items():
            known = inventory.get(name)
            inventory[name] = {**known, **value} if isinstance(known, dict) else value
        stage.release(tag, deploy=section)
    assert len({tag.partition("-")[0] for tag in sections}) == 10
    del inventory["ansible_user"], inventory["relman_services"]
    granted = sorted({grant for grants in inventory.pop("relman_allow").values() for grant in grants})
    secrets = {name: {"variable": "VALUE"} for name in inventory.pop("relman_secrets")}
    stage.write_inventory(
        {f"on-{host.name}": {"hosts": {host.name: None}} for host in stage.lab.hosts},
        relman_allow={"demo": granted},
        relman_secrets=secrets,
        **inventory,
    )
    networks = sorted(set().union(*map(_networks, sections.values())))
    at_once(partial(_as_compose_finds_it, host, networks) for host in stage.lab.hosts)
    try:
        with ThreadPoolExecutor(len(stage.lab.hosts)) as pool:
            shares = [list(sections.items())[n :: len(stage.lab.hosts)] for n in range(len(stage.lab.hosts))]
            list(pool.map(lambda pair: _tried(stage, *pair), zip(stage.lab.hosts, shares, strict=True)))
    finally:
        for host in stage.lab.hosts:
            host.run(["docker", "network", "rm", *networks])


def _as_compose_finds_it(host: LabHost, networks: list[str]) -> None:
    host.run(["mkdir", "-p", "/srv/certs", "/srv/logs"])
    for name in networks:
        host.run(["docker", "network", "create", name])


def _tried(stage: Stage, host: LabHost, share: list[tuple[str, dict[str, Any]]]) -> None:
    place = ("-e", f"on-{host.name}")
    for tag, section in share:
        stage.relman("deploy", tag, *place, "--yes", env={"VALUE": "s3cr3t"})
        with host.engine() as engine:
            found = engine.containers(filters={"label": "relman.service=demo"})
            assert {c["State"] for c in found} == {"running"}, tag
            assert {c["Labels"].get(PROCESS, "") for c in found} == set(section.get("processes", ("",))), tag
        stage.relman("remove", *place, "--yes")
        with host.engine() as engine:
            assert engine.containers(all=True, filters={"label": "relman.service=demo"}) == [], tag
