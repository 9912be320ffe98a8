"""What the Engine API is sent to create a container. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from relman.docker import log_limit
from relman.model.container import RunSpec
from relman.model.container_settings import ContainerSettings, Logging
from relman.model.settings import Healthcheck, Mount, Port

PREDEFINED = ("bridge", "default", "none", "host")


def creation(spec: RunSpec, *, limit_log: bool = False) -> dict[str, Any]:
    """The body of POST /containers/create. With `limit_log` the log has a limit if the settings say nothing of it."""
    settings, container = spec.settings, spec.settings.container
    limited = limit_log and container.logging is None
    own = [n for n in settings.networks if n != "host"]
    mode = "host" if "host" in settings.networks else own[0] if own else "default"
    body: dict[str, Any] = {
        "Image": spec.image,
        "Labels": {**container.labels, **spec.labels, **({log_limit.LABEL: "limited"} if limited else {})},
        "Env": [f"{k}={v}" for k, v in settings.env.items()],
        "ExposedPorts": {f"{p.container}/{p.protocol}": {} for p in settings.ports},
        "StopTimeout": settings.stop_timeout,
        "HostConfig": {
            "NetworkMode": mode,
            "PortBindings": _bindings(settings.ports),
            "Mounts": [_mount(m) for m in settings.volumes if not m.selinux],
            "Binds": [_bind(m) for m in settings.volumes if m.selinux],
            "RestartPolicy": restart_policy(settings.restart),
            "Memory": settings.resources.memory or 0,
            "NanoCpus": round((settings.resources.cpus or 0) * 1e9),
            "PidsLimit": settings.resources.pids or 0,
            **_given(_host_config(container)),
            **({"LogConfig": log_limit.LIMITED} if limited else {}),
            **({"AutoRemove": True} if spec.passing else {}),
        },
        **_given(_config(container)),
    }
    if spec.interactive:
        body |= {"OpenStdin": True, "StdinOnce": True, "AttachStdin": True}
    if settings.healthcheck:
        body["Healthcheck"] = health_config(settings.healthcheck)
    if settings.command is not None:
        body["Cmd"] = list(settings.command)
    if own:
        body["NetworkingConfig"] = {"EndpointsConfig": {own[0]: endpoint(own[0], spec)}}
    return body


def endpoint(network: str, spec: RunSpec) -> dict[str, Any]:
    """How the container is in a network: its names, and its address if it is a fixed one."""
    fixed = {"IPAMConfig": {"IPv4Address": spec.addresses[network]}} if network in spec.addresses else {}
    return {"Aliases": aliases_in(network, spec), **fixed}


def _config(container: ContainerSettings) -> dict[str, Any]:
    """An ENTRYPOINT of one empty word is none at all."""
    return {
        "Entrypoint": None if container.entrypoint is None else list(container.entrypoint) or [""],
        "User": container.user,
        "WorkingDir": container.working_dir,
        "Hostname": container.hostname,
        "Tty": container.tty,
    }


def _host_config(container: ContainerSettings) -> dict[str, Any]:
    return {
        "Init": container.init,
        "ReadonlyRootfs": container.read_only,
        "Tmpfs": {each.target: each.options for each in container.tmpfs},
        "ShmSize": container.shm_size,
        "Ulimits": [{"Name": each.name, "Soft": each.soft, "Hard": each.hard} for each in container.ulimits],
        "CapDrop": list(container.cap_drop),
        "ExtraHosts": list(container.extra_hosts),
        "Dns": list(container.dns),
        "DnsSearch": list(container.dns_search),
        "DnsOptions": list(container.dns_opt),
        "Privileged": container.privileged,
        "CapAdd": list(container.cap_add),
        "SecurityOpt": list(container.security_opt),
        "Sysctls": dict(container.sysctls),
        "Devices": [
            {"PathOnHost": each.source, "PathInContainer": each.target, "CgroupPermissions": each.permissions}
            for each in container.devices
        ],
        "GroupAdd": list(container.group_add),
        "PidMode": container.pid,
        "LogConfig": _log_config(container.logging) if container.logging else None,
    }


def _log_config(logging: Logging) -> dict[str, Any]:
    return {"Type": logging.driver or "", "Config": dict(logging.options)}


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Those that say something: the rest is the image's or the engine's own."""
    return {name: value for name, value in fields.items() if value is False or value}


def health_config(check: Healthcheck) -> dict[str, Any]:
    """The engine's HealthConfig. What is absent is the image's, and so is what is 0."""
    if check.off:
        return {"Test": ["NONE"]}
    given = {
        "Test": ["CMD", *check.command] if check.command else None,
        "Interval": _nanoseconds(check.interval),
        "Timeout": _nanoseconds(check.timeout),
        "StartPeriod": _nanoseconds(check.start_period),
        "Retries": check.retries,
    }
    return {name: value for name, value in given.items() if value is not None}


def _nanoseconds(seconds: float | None) -> int | None:
    """At least the millisecond that engines want."""
    return None if seconds is None else max(1_000_000, round(seconds * 1e9))


def aliases_in(network: str, spec: RunSpec) -> list[str]:
    """The container's names in a network: the engine's own networks know none, and refuse them."""
    return [] if network in PREDEFINED else [*spec.aliases, *spec.settings.aliases.get(network, ())]


def restart_policy(text: str) -> dict[str, Any]:
    """The engine's RestartPolicy of `docker run --restart`'s text."""
    name, _, times = text.partition(":")
    return {"Name": name, "MaximumRetryCount": int(times)} if times.isdecimal() else {"Name": text}


def _bindings(ports: Sequence[Port]) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        if port.host_port is not None:
            last = f"-{port.host_last}" if port.host_last else ""
            place = {"HostIp": port.host_ip, "HostPort": f"{port.host_port or ''}{last}"}
            bindings.setdefault(f"{port.container}/{port.protocol}", []).append(place)
    return bindings


def _mount(mount: Mount) -> dict[str, Any]:
    kind = "bind" if mount.is_bind else "volume"
    made: dict[str, Any] = {"Type": kind, "Source": mount.source, "Target": mount.target, "ReadOnly": mount.read_only}
    if mount.propagation:
        made["BindOptions"] = {"Propagation": mount.propagation}
    if mount.nocopy:
        made["VolumeOptions"] = {"NoCopy": True}
    return made


def _bind(mount: Mount) -> str:
    """The older form: only it can relabel for SELinux."""
    options = [
        "ro" if mount.read_only else "rw",
        mount.selinux,
        mount.propagation,
        "nocopy" if mount.nocopy else "",
    ]
    return f"{mount.source}:{mount.target}:{','.join(filter(None, options))}"
