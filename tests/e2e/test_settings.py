"""What a container is given on a real host is what the deploy section says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from tests.e2e.stage import Stage
from tests.lab.host import LabHost
from tests.lab.process import until

PLAIN: Mapping[str, Any] = {
    "labels": {"traefik.enable": "true", "team": "${team}"},
    "entrypoint": ["/bin/busybox", "sh", "-c"],
    "command": ["exec /bin/busybox httpd -p 8080 -h /www -f"],
    "user": "1000:1001",
    "working_dir": "/www",
    "hostname": "${inventory_hostname}.shop",
    "init": True,
    "tty": True,
    "read_only": True,
    "tmpfs": ["/run:size=64m,mode=1777", "/scratch"],
    "shm_size": "128m",
    "ulimits": {"nofile": {"soft": 1024, "hard": 2048}, "nproc": 500},
    "cap_drop": ["net_raw", "CAP_CHOWN"],
    "extra_hosts": {"db": "${database_address}", "six": "[::1]", "host.docker.internal": "host-gateway"},
    "dns": "192.0.2.53",
    "dns_search": ["example.com"],
    "dns_opt": "ndots:1",
    "logging": {"driver": "json-file", "options": {"max-size": "1m", "max-file": "2"}},
}

POWERS: Mapping[str, Any] = {
    "privileged": True,
    "cap_add": "SYS_NICE",
    "security_opt": ["no-new-privileges:true", "seccomp=unconfined"],
    "sysctls": {"net.core.somaxconn": 1024},
    "devices": ["/dev/zero:/dev/nothing:r"],
    "group_add": ["44"],
    "pid": "host",
    "networks": {"backend": {"aliases": ["api"]}},
    "ports": ["8080:8080", "9100-9101:9100-9101", "9200-9209:9200"],
    "restart": "on-failure:3",
    "volumes": ["demo-data:/data:nocopy", "/etc/hosts:/etc/shop:ro,Z", "/opt:/opt:rprivate"],
}


def _asked(found: Mapping[str, Any]) -> dict[str, Any]:
    """What an inspected container was given, key by key as in PLAIN and POWERS."""
    config, host = found["Config"], found["HostConfig"]
    return {
        "labels": {name: config["Labels"].get(name) for name in ("traefik.enable", "team")},
        "entrypoint": config["Entrypoint"],
        "command": config["Cmd"],
        "user": config["User"],
        "working_dir": config["WorkingDir"],
        "hostname": config["Hostname"],
        "init": host["Init"],
        "tty": config["Tty"],
        "read_only": host["ReadonlyRootfs"],
        "tmpfs": host["Tmpfs"],
        "shm_size": host["ShmSize"],
        "ulimits": {u["Name"]: (u["Soft"], u["Hard"]) for u in host["Ulimits"]},
        "cap_drop": sorted(name.removeprefix("CAP_") for name in host["CapDrop"]),
        "extra_hosts": host["ExtraHosts"],
        "dns": host["Dns"],
        "dns_search": host["DnsSearch"],
        "dns_opt": host["DnsOptions"],
        "logging": host["LogConfig"],
        "privileged": host["Privileged"],
        "cap_add": [name.removeprefix("CAP_") for name in host["CapAdd"]],
        "security_opt": host["SecurityOpt"],
        "sysctls": host["Sysctls"],
        "devices": [(d["PathOnHost"], d["PathInContainer"], d["CgroupPermissions"]) for d in host["Devices"]],
        "group_add": host["GroupAdd"],
        "pid": host["PidMode"],
        "networks": {
            name: sorted({"demo", "api"} & set(each["Aliases"]))
            for name, each in found["NetworkSettings"]["Networks"].items()
        },
        "ports": {port: [each["HostPort"] for each in places] for port, places in host["PortBindings"].items()},
        "restart": host["RestartPolicy"],
        "volumes": [host["Binds"], [{k: v for k, v in m.items() if v} for m in host["Mounts"]]],
    }


WANTED: Mapping[str, Any] = {
    "labels": {"traefik.enable": "true", "team": "checkout"},
    "entrypoint": ["/bin/busybox", "sh", "-c"],
    "command": ["exec /bin/busybox httpd -p 8080 -h /www -f"],
    "user": "1000:1001",
    "working_dir": "/www",
    "hostname": "h1.shop",
    "init": True,
    "tty": True,
    "read_only": True,
    "tmpfs": {"/run": "size=64m,mode=1777", "/scratch": ""},
    "shm_size": 128 << 20,
    "ulimits": {"nofile": (1024, 2048), "nproc": (500, 500)},
    "cap_drop": ["CHOWN", "NET_RAW"],
    "extra_hosts": ["db:192.0.2.7", "six:::1", "host.docker.internal:host-gateway"],
    "dns": ["192.0.2.53"],
    "dns_search": ["example.com"],
    "dns_opt": ["ndots:1"],
    "logging": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}},
    "privileged": True,
    "cap_add": ["SYS_NICE"],
    "security_opt": ["no-new-privileges=true", "seccomp=unconfined", "label=disable"],  # the last for privileged
    "sysctls": {"net.core.somaxconn": "1024"},
    "devices": [("/dev/zero", "/dev/nothing", "r")],
    "group_add": ["44"],
    "pid": "host",
    "networks": {"backend": ["api", "demo"]},
    "ports": {"8080/tcp": ["8080"], "9100/tcp": ["9100"], "9101/tcp": ["9101"], "9200/tcp": ["9200-9209"]},
    "restart": {"Name": "on-failure", "MaximumRetryCount": 3},
    "volumes": [
        ["/etc/hosts:/etc/shop:ro,Z"],
        [
            {"Type": "volume", "Source": "demo-data", "Target": "/data", "VolumeOptions": {"NoCopy": True}},
            {"Type": "bind", "Source": "/opt", "Target": "/opt", "BindOptions": {"Propagation": "rprivate"}},
        ],
    ],
}


def _running(host: LabHost) -> dict[str, Any]:
    with host.engine() as engine:
        (found,) = engine.containers()
        return dict(engine.inspect_container(found["Id"]))


def test_every_setting_reaches_the_container_and_comes_back_with_a_rollback(stage: Stage) -> None:
    """Refused until the inventory has the line that is named; then the container is as was asked; what changes, and
    nothing else, is in the plan; and after everything unused was pruned a rollback makes it again as it was, whatever
    the inventory allows by then."""
    services = {"relman_services": {"demo": str(stage.repository)}}
    variables = {**services, "team": "checkout", "database_address": "192.0.2.7"}
    stage.write_inventory({"production": {"hosts": {"h1": None}, "vars": variables}})
    host = stage.lab.hosts[0]
    host.run(["docker", "network", "create", "backend"])
    every = {**PLAIN, **POWERS}
    stage.release("all-keys", deploy=every)
    stage.release("other-user", deploy={**every, "user": "1002", "labels": {"traefik.enable": "false", "team": "x"}})
    refused = stage.deploy("all-keys", code=3).err
    assert "h1: devices: /dev/zero" in refused
    assert host.run(["docker", "ps", "-aq"]).stdout == ""
    line = next(part for part in refused.splitlines() if "relman_allow: " in part).partition("inventory: ")[2]
    allowed = yaml.safe_load(line)
    stage.write_inventory({"production": {"hosts": {"h1": None}, "vars": {**variables, **allowed}}})
    stage.deploy("all-keys")
    found = _running(host)
    assert _asked(found) == WANTED
    assert host.http(8080, "/version").text == "all-keys\n"

    shown = stage.relman("deploy", "other-user", "-e", "production", "--plan").out
    assert "~ user: 1000:1001 -> 1002" in shown
    assert "~ labels.team: (not shown)" in shown
    assert shown.count("\n  ~ ") == 3
    stage.deploy("other-user")
    assert _running(host)["Config"]["User"] == "1002"

    host.run(["docker", "system", "prune", "-f"])
    stage.write_inventory({"production": {"hosts": {"h1": None}, "vars": variables}})
    stage.rollback()
    back = _running(host)
    assert _asked(back) == WANTED
    assert back["Id"] != found["Id"]
    stage.deploy("exits", code=5)
    assert _asked(_running(host)) == WANTED


def _restores(host: LabHost) -> bool:
    with host.engine() as engine:
        return bool(engine.info()["LiveRestoreEnabled"])


def test_logs_are_limited_unless_somebody_said_how(stage: Stage) -> None:
    """json-file fills disks: where neither the release nor the daemon sets a limit a container's log has three files of
    10 MB, also when the one before it shows that the daemon sets none; the release wins, and so does what the daemon is
    told later, also where the container goes on while it is restarted."""
    host, daemon = stage.lab.hosts[0], "/etc/docker/daemon.json"
    services = {"relman_services": {"demo": str(stage.repository)}}
    stage.write_inventory({"production": {"hosts": {"h1": None}, "vars": services}})
    stage.release("own-log", deploy={"logging": {"options": {"max-size": "1m"}}})
    limited = {"max-size": "10m", "max-file": "3"}
    for tag, wanted in (("own-log", {"max-size": "1m"}), ("1", limited), ("2", limited)):
        stage.deploy(tag)
        assert _running(host)["HostConfig"]["LogConfig"] == {"Type": "json-file", "Config": wanted}
    before = host.run(["cat", daemon]).stdout
    try:
        changed = {**json.loads(before), "live-restore": True, "log-opts": {"max-size": "5m"}}
        host.run(["tee", daemon], stdin=json.dumps(changed))
        host.run(["pkill", "-HUP", "-x", "dockerd"])
        until(lambda: _restores(host), "the engine to let containers go on")
        host.restart_engine()
        stage.deploy("3")
        assert _running(host)["HostConfig"]["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "5m"}}
    finally:
        host.run(["tee", daemon], stdin=before)
        host.restart_engine()
