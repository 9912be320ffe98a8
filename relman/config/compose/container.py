"""What a compose service says of its container, in the keys of relman's deploy section."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from relman.config.compose import forms
from relman.config.compose.model import ComposeService, Lost, Project, PublishedPort, ServiceMount
from relman.config.compose.variables import literal
from relman.model.container_settings import ContainerSettings

_SAME = (*(f.name for f in fields(ContainerSettings) if f.name not in ("entrypoint", "logging", "pid")), "restart")
"""Keys with the same name and meaning."""
_READ_HERE = (
    "entrypoint",
    "logging",
    "pid",
    "command",
    "healthcheck",
    "deploy",
    "stop_grace_period",
    "network_mode",
    "platform",
    "scale",
)
_LIMITS = {"memory": "mem_limit", "cpus": "cpus", "pids": "pids_limit"}
_NO_EFFECT = ("expose", "attach", "develop", "pull_policy", "stdin_open", "links")
_REASONS = {
    "configs": "name its file under deploy.files",
    "stop_signal": "say STOPSIGNAL in the Dockerfile",
    "container_name": "relman names its containers itself; in networks the compose service's name is kept as an alias",
    "volumes_from": "name the volumes under deploy.volumes",
    "ipc": "a container has its own",
    "runtime": "set the daemon's default-runtime on the hosts",
    "mac_address": "the engine chooses it",
    "userns_mode": "the daemon's userns-remap decides",
}
_NO_KEY = "relman has no key for it"


def container_keys(project: Project, service: ComposeService, lost: Lost, *, image_health: bool) -> dict[str, Any]:
    """The keys of one container but for its variables and secrets; `image_health` is whether its Dockerfile has a
    HEALTHCHECK."""
    keys = service.keys
    found: dict[str, Any] = {name: keys[name] for name in _SAME if keys.get(name) not in (None, [], {})}
    if isinstance(found.get("labels"), list):
        found["labels"] = {name: value or "" for name, value in forms.pairs(found["labels"]).items()}
    found |= {key: forms.words(keys[key]) for key in ("command", "entrypoint") if keys.get(key) not in (None, [], "")}
    found |= {"ports": [_port(each) for each in service.ports]} if service.ports else {}
    found |= _mounts(project, service, lost)
    found |= _networks(project, service, lost)
    found |= _health(service, lost, image_health=image_health)
    found |= _resources(service, lost)
    if keys.get("stop_grace_period") is not None:
        found["stop_timeout"] = max(1, round(forms.seconds(keys["stop_grace_period"])))
    if keys.get("pid") is not None:
        found |= {"pid": "host"} if keys["pid"] == "host" else {}
        if keys["pid"] != "host":
            lost("pid", "a container joins no other container's namespaces")
    if options := keys.get("logging"):
        found["logging"] = {key: options[key] for key in ("driver", "options") if options.get(key)}
    _others(service, lost)
    return literal(found)


def _port(port: PublishedPort) -> str:
    ip = f"[{port.host_ip}]:" if ":" in port.host_ip else f"{port.host_ip}:" if port.host_ip else ""
    kind = "" if port.protocol == "tcp" else f"/{port.protocol}"
    return f"{ip}{port.published or 0}:{port.target}{kind}"


def _mounts(project: Project, service: ComposeService, lost: Lost) -> dict[str, Any]:
    volumes, tmpfs = [], [*forms.items(service.keys.get("tmpfs"))]
    for mount in service.mounts:
        if mount.type == "tmpfs":
            tmpfs.append(mount.target)
        elif why := _unsayable(mount):
            lost(f"volumes ({mount.source or mount.target})", why)
        else:
            source = mount.source if mount.type == "bind" else project.volumes.get(mount.source, mount.source)
            words = ["ro"] * mount.read_only + list(mount.options)
            volumes.append(":".join([source, mount.target, *([",".join(words)] if words else [])]))
    return ({"volumes": volumes} if volumes else {}) | ({"tmpfs": tmpfs} if tmpfs else {})


def _unsayable(mount: ServiceMount) -> str:
    if mount.type not in ("volume", "bind"):
        return f"relman knows no mount of the type {mount.type}"
    if not mount.source:
        return "a volume without a name does not outlive its container: give it one, if it must"
    if mount.type == "bind" and not mount.source.startswith("/"):
        return "relman mounts single files of the repository, no directory of it: COPY it into the image"
    return ""


def _networks(project: Project, service: ComposeService, lost: Lost) -> dict[str, Any]:
    mode = str(service.keys.get("network_mode") or "")
    if mode in ("host", "none"):
        return {"networks": [mode]}
    if mode == "bridge":
        return {}
    if mode:
        lost("network_mode", f"{mode}: a container joins no other container's namespaces")
    if len(project.services) == 1 and service.networks.keys() == {"default"} and not service.networks["default"][1:]:
        return {}
    names = {project.networks.get(key, key): list(aliases) for key, aliases in service.networks.items()}
    if not any(names.values()):
        return {"networks": list(names)}
    return {"networks": {name: {"aliases": aliases} for name, aliases in names.items()}}


def _health(service: ComposeService, lost: Lost, *, image_health: bool) -> dict[str, Any]:
    check = forms.mapping(service.keys.get("healthcheck"))
    test = check.get("test")
    if check.get("disable") is True or test in (["NONE"], "NONE"):
        return {"healthcheck": False, "health": _outside(service)}
    found: dict[str, Any] = {"command": health_command(test)} if test else {}
    for key in ("interval", "timeout", "start_period"):
        if check.get(key) is not None:
            found[key] = f"{forms.seconds(check[key]):g}s"
    found |= {"retries": forms.count(check["retries"])} if check.get("retries") else {}
    if "start_interval" in check:
        lost("healthcheck.start_interval", _NO_KEY)
    if not test and (service.health or not image_health):
        return {"health": _outside(service)}
    return ({"healthcheck": found} if found else {}) | {"health": {"image": True}}


def health_command(test: Any) -> Any:
    """A health check's command: words, or one text for a shell."""
    if isinstance(test, list) and test:
        return forms.text(test[1]) if test[0] == "CMD-SHELL" else [forms.text(w) for w in test[test[0] == "CMD" :]]
    return forms.text(test)


def _outside(service: ComposeService) -> dict[str, Any]:
    if service.health:
        return dict(service.health)
    port = next((p.target for p in service.ports if p.protocol == "tcp" and p.target.isdigit()), None)
    return {"tcp": {"port": int(port)}} if port else {"none": True}


def _resources(service: ComposeService, lost: Lost) -> dict[str, Any]:
    """Limits, replicas and what `deploy` says of restarts."""
    deploy = forms.mapping(service.keys.get("deploy"))
    resources = forms.mapping(deploy.pop("resources", None))
    limits = forms.mapping(resources.pop("limits", None))
    keys = service.keys
    found = {name: limits.pop(name, keys.get(old)) for name, old in _LIMITS.items()}
    for name in (*(f"limits.{key}" for key in limits), *resources):
        lost(f"deploy.resources.{name}", "relman limits memory, cpus and pids, and reserves nothing")
    said: dict[str, Any] = {name: value for name, value in found.items() if value not in (None, 0, -1)}
    if "pids" in said:
        said["pids"] = forms.count(said["pids"])
    result: dict[str, Any] = {"resources": said} if said else {}
    replicas = deploy.pop("replicas", keys.get("scale"))
    result |= {"replicas": forms.count(replicas)} if replicas not in (None, 1, "1") else {}
    result |= _restart(deploy.pop("restart_policy", None))
    if forms.mapping(deploy.pop("update_config", None)).get("order") == "start-first":
        result["order"] = "start-first"
    for name in deploy:
        lost(f"deploy.{name}", "it is for a swarm")
    return result


def _restart(policy: Any) -> dict[str, str]:
    if not isinstance(policy, Mapping):
        return {}
    times = policy.get("max_attempts")
    kinds = {"none": "no", "on-failure": f"on-failure:{times}" if times else "on-failure", "any": "always"}
    return {"restart": kinds.get(str(policy.get("condition", "any")), "always")}


def _others(service: ComposeService, lost: Lost) -> None:
    read = {*_SAME, *_READ_HERE, *_LIMITS.values(), *_NO_EFFECT}
    for key, value in service.keys.items():
        if value is not None and key not in read:
            lost(key, _REASONS.get(key, _NO_KEY))
    for each in forms.items(service.keys.get("links")):
        if ":" in str(each):
            lost(f"links ({each})", "give the other service this name as an alias in the network")
