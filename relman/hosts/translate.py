"""Between the Engine API's JSON and the model. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from relman.model.container import Container, EngineFacts, Image, RunSpec
from relman.model.image import ImageId, Platform
from relman.model.settings import Mount, Port

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i386": "386", "i686": "386"}
PREDEFINED = ("bridge", "default", "none", "host")


def facts(info: Mapping[str, Any]) -> EngineFacts:
    """From GET /info."""
    machine = str(info.get("Architecture", ""))
    status = {row[0] for row in info.get("DriverStatus") or () if len(row) == 2}
    return EngineFacts(
        version=str(info.get("ServerVersion", "")),
        platform=Platform(str(info.get("OSType", "linux")), _ARCHITECTURES.get(machine, machine)),
        containerd_store="driver-type" in status,
        clock=clock(str(info.get("SystemTime", ""))),
    )


def clock(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time with any number of decimals."""
    seconds, _, rest = text.partition(".")
    zone = rest.lstrip("0123456789")
    return datetime.fromisoformat(seconds + (zone if rest else "")).timestamp()


def port_owners(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int], str]:
    """From GET /containers/json: the container's name behind every published (protocol, port)."""
    owners: dict[tuple[str, int], str] = {}
    for row in rows:
        for port in row.get("Ports") or ():
            if port.get("PublicPort"):
                owners[port.get("Type", "tcp"), int(port["PublicPort"])] = row["Names"][0].lstrip("/")
    return owners


def container(data: Mapping[str, Any]) -> Container:
    """From GET /containers/ID/json."""
    state, config, host = data["State"], data["Config"], data["HostConfig"]
    health = state.get("Health") or {}
    networks = (data.get("NetworkSettings") or {}).get("Networks") or {}
    return Container(
        id=data["Id"],
        name=data["Name"].lstrip("/"),
        image_id=_image_id(data["Image"]),
        status=state["Status"],
        health="" if health.get("Status") == "none" else health.get("Status", ""),
        restart_count=int(data.get("RestartCount", 0)),
        exit_code=int(state.get("ExitCode", 0)),
        oom_killed=bool(state.get("OOMKilled")),
        error=state.get("Error", ""),
        started_at=state.get("StartedAt", ""),
        labels=config.get("Labels") or {},
        addresses={name: n.get("IPAddress", "") for name, n in networks.items()},
        host_ports=frozenset(_bound(host.get("PortBindings") or {})),
        restart_policy=(host.get("RestartPolicy") or {}).get("Name") or "no",
        health_log=tuple(entry.get("Output", "").strip() for entry in health.get("Log") or ()),
    )


def _image_id(text: str) -> ImageId:
    return ImageId(text if text.startswith("sha256:") else f"sha256:{text}")


def _bound(bindings: Mapping[str, Any]) -> set[tuple[str, int]]:
    ports = set()
    for key, places in bindings.items():
        for place in places or ():
            if place.get("HostPort"):
                ports.add((key.partition("/")[2] or "tcp", int(place["HostPort"])))
    return ports


def listed_image(row: Mapping[str, Any]) -> Image:
    """From GET /images/json, which tells names and no configuration."""
    names = (tuple(row.get("RepoTags") or ()), tuple(row.get("RepoDigests") or ()))
    return Image(_image_id(row["Id"]), *names, Platform("", ""))


def note_layer(layers: dict[str, tuple[int, int]], event: Mapping[str, Any]) -> None:
    """Add a pull's event to the bytes that are done and in all, by layer."""
    layer, detail = event.get("id"), event.get("progressDetail") or {}
    if layer and detail.get("total") and event.get("status") == "Downloading":
        layers[layer] = (detail["current"], detail["total"])
    elif layer in layers and event.get("status") in ("Download complete", "Pull complete"):
        layers[layer] = (layers[layer][1], layers[layer][1])


def creation(spec: RunSpec) -> dict[str, Any]:
    """The body of POST /containers/create."""
    settings = spec.settings
    own = [n for n in settings.networks if n != "host"]
    mode = "host" if "host" in settings.networks else own[0] if own else "default"
    body: dict[str, Any] = {
        "Image": spec.image,
        "Labels": dict(spec.labels),
        "Env": [f"{k}={v}" for k, v in settings.env.items()],
        "ExposedPorts": {f"{p.container}/{p.protocol}": {} for p in settings.ports},
        "StopTimeout": settings.stop_timeout,
        "HostConfig": {
            "NetworkMode": mode,
            "PortBindings": _bindings(settings.ports),
            "Mounts": [_mount(m) for m in settings.volumes],
            "RestartPolicy": {"Name": settings.restart},
            "Memory": settings.resources.memory or 0,
            "NanoCpus": round((settings.resources.cpus or 0) * 1e9),
            "PidsLimit": settings.resources.pids or 0,
        },
    }
    if settings.command is not None:
        body["Cmd"] = list(settings.command)
    if own:
        body["NetworkingConfig"] = {"EndpointsConfig": {own[0]: {"Aliases": aliases_in(own[0], spec)}}}
    return body


def aliases_in(network: str, spec: RunSpec) -> list[str]:
    """The container's names in a network: the engine's own networks know none, and refuse them."""
    return [] if network in PREDEFINED else list(spec.aliases)


def _bindings(ports: Sequence[Port]) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        if port.host_port is not None:
            place = {"HostIp": port.host_ip, "HostPort": str(port.host_port or "")}
            bindings.setdefault(f"{port.container}/{port.protocol}", []).append(place)
    return bindings


def _mount(mount: Mount) -> dict[str, Any]:
    kind = "bind" if mount.is_bind else "volume"
    return {"Type": kind, "Source": mount.source, "Target": mount.target, "ReadOnly": mount.read_only}
