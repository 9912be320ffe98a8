"""What relman does not deploy: services of others, in a compose file of their own and in the tests."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from relman.config.compose import forms
from relman.config.compose.container import health_command
from relman.config.compose.environment import ProjectVariables
from relman.config.compose.model import ComposeService, Project, ServiceMount

REST = "compose.rest.yaml"
_DATABASES = (
    "postgres",
    "postgis",
    "timescaledb",
    "pgvector",
    "mysql",
    "mariadb",
    "mongo",
    "redis",
    "valkey",
    "keydb",
    "memcached",
    "rabbitmq",
    "nats",
    "kafka",
    "elasticsearch",
    "opensearch",
    "minio",
    "localstack",
    "cassandra",
    "clickhouse",
    "clickhouse-server",
    "neo4j",
)


def rest_tree(project: Project, names: Collection[str]) -> dict[str, Any]:
    """The compose file of these services alone, as written, under the same project."""
    services = {name: _without(project.written["services"][name], names) for name in names}
    used: dict[str, set[str]] = {
        "volumes": {m.source for n in names for m in project.services[n].mounts if m.type == "volume"},
        "networks": {key for n in names for key in project.services[n].networks},
        "secrets": {use.name for n in names for use in project.services[n].secrets},
        "configs": {str(c.get("source") if isinstance(c, Mapping) else c) for n in names for c in _configs(project, n)},
    }
    sections = {
        kind: {key: value for key, value in (project.written.get(kind) or {}).items() if key in keys}
        for kind, keys in used.items()
    }
    return {"name": project.name, "services": services, **{kind: found for kind, found in sections.items() if found}}


def _configs(project: Project, name: str) -> list[Any]:
    return forms.items(project.services[name].keys.get("configs"))


def _without(written: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The service without its dependencies on what is not in the file."""
    found = {key: value for key, value in written.items() if not key.startswith("x-")}
    needs = found.pop("depends_on", None)
    if isinstance(needs, Mapping):
        kept: Any = {name: options for name, options in needs.items() if name in names}
    else:
        kept = [name for name in forms.items(needs) if name in names]
    return {**found, "depends_on": kept} if kept else found


def test_services(project: Project, built: Iterable[ComposeService], rest: Collection[str]) -> list[ComposeService]:
    """The services of others that the tests of these need: what they depend on, and every database."""
    todo, found = [*built], dict[str, ComposeService]()
    todo += [s for s in map(project.services.__getitem__, rest) if _is_database(s)]
    while todo:
        service = todo.pop(0)
        if service.name in rest and not service.profiles:
            found.setdefault(service.name, service)
        links = [str(each).partition(":")[0] for each in forms.items(service.keys.get("links"))]
        needs = [n for n in (*service.depends_on, *links) if n in rest and n not in found]
        todo += [project.services[name] for name in dict.fromkeys(needs)]
    return [found[name] for name in rest if name in found]


def _is_database(service: ComposeService) -> bool:
    return service.image.partition("@")[0].rpartition("/")[2].partition(":")[0] in _DATABASES


def linked(service: ComposeService, known: Collection[str], given: ProjectVariables) -> dict[str, Any]:
    """A service of others as a service of the tests. It begins empty: its data stays where it is."""
    found: dict[str, Any] = {"image": service.image}
    if needs := [name for name in service.depends_on if name in known]:
        found["depends_on"] = needs
    if env := given.in_tests(replace(service, environment=_without_files(service.environment))):
        found["env"] = env
    if command := service.keys.get("command"):
        found["command"] = forms.words(command)
    if volumes := [_seed(mount) for mount in service.mounts if _is_seed(mount)]:
        found["volumes"] = volumes
    check = service.keys.get("healthcheck") or {}
    if check.get("test") and check["test"] not in (["NONE"], "NONE"):
        found["wait"] = {"command": health_command(check["test"])}
    return found


def _without_files(environment: Mapping[str, str | None]) -> dict[str, str | None]:
    """POSTGRES_PASSWORD for POSTGRES_PASSWORD_FILE: tests have no secrets, and what reads the one reads the other."""
    inside = "/run/secrets/"
    return {(n.removesuffix("_FILE") if (v or "").startswith(inside) else n): v for n, v in environment.items()}


def _is_seed(mount: ServiceMount) -> bool:
    return mount.type == "bind" and mount.source.startswith("./") and mount.target.startswith("/docker-entrypoint-init")


def _seed(mount: ServiceMount) -> str:
    return f"{mount.source}:{mount.target}:ro"
