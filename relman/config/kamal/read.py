"""Read Kamal's config/deploy.yml
(https://github.com/basecamp/kamal/tree/main/lib/kamal/configuration/docs)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from relman.config import yaml
from relman.config.compose.model import ImageBuild, Placement, Project
from relman.config.kamal.accessories import accessory
from relman.config.kamal.roles import Role, roles
from relman.config.kamal.section import Section
from relman.config.kamal.variables import sources
from relman.config.yaml_document import KeyPath, Source, tagged
from relman.model.errors import ConfigError, Problem

_READ = {"service", "image", "labels", "volumes", "registry", "servers", "env", "ssh", "builder", "accessories", "boot"}
_READ |= {"proxy", "logging", "stop_timeout", "drain_timeout", "deploy_timeout", "retain_containers", "primary_role"}
_NO_EFFECT = {"allow_empty_roles", "minimum_version", "run_directory", "secrets_path", "hooks_path", "sshkit"}
_REASONS = {
    "aliases": "`relman exec` and `relman logs` do what most are for; others are scripts of yours",
    "asset_path": "old and new files are not kept side by side: let a web server or bucket keep them",
    "error_pages_path": "relman runs no proxy",
    "hooks_output": "relman shows what a hook prints when it fails",
    "output": "`--json` and the journal say what was done",
    "readiness_delay": "deploy.health.window says how long a container is watched",
    "require_destination": "relman always wants an environment, by `-e`",
}
_BUILD = {"arch", "context", "dockerfile", "target", "args", "secrets", "local", "cache", "driver"}


def is_kamal(path: Path) -> bool:
    """Whether the file is Kamal's and not compose's. Raises UsageError if it cannot be read."""
    text = yaml.content(path).decode("utf-8", "replace")
    return bool(re.search(r"^service\s*:", text, re.MULTILINE)) and not re.search(r"^services\s*:", text, re.MULTILINE)


def read_kamal(path: Path, root: Path) -> Project:
    """The services of the file at `path`, in the repository `root`. Raises UsageError if it cannot be read, ConfigError
    for Ruby in it, and for what Kamal refuses, too."""
    _refuse_ruby(path)
    document = yaml.read(path, lenient=True)
    if tags := [document.problem(at, f"Kamal has no values tagged {each.tag}") for at, each in tagged(document.tree)]:
        raise ConfigError(tags)
    return _Reading(Section.at(document, (), document.tree), path, root).project()


def _refuse_ruby(path: Path) -> None:
    text = yaml.content(path).decode("utf-8", "replace")
    source, at = Source.of(str(path), text), 0
    found = []
    for line in text.splitlines(keepends=True):
        if "<%" in line and not line.lstrip().startswith("#"):
            words = f"relman runs no Ruby: write the value, or read the file that `erb {path} >rendered.yml` makes"
            found.append(source.problem(at + line.index("<%"), (), words))
        at += len(line)
    if found:
        raise ConfigError(found)


class _Reading:
    """Reads all parts, and collects what cannot be said."""

    def __init__(self, top: Section, path: Path, root: Path) -> None:
        self.top, self.path, self.root = top, path, root
        self.losses: dict[str, None] = {}

    def lost(self, where: str, why: str) -> None:
        """Note what cannot be said."""
        self.losses[f"{where}: {why}"] = None

    def project(self) -> Project:
        """The whole file."""
        name, image = self.top.required("service"), self.top.required("image")
        for key in self.top.others(_READ | _NO_EFFECT):
            if not key.startswith("x-"):
                self.lost(key, _REASONS.get(key, "relman has no key for it"))
        found = roles(self.top, self.build(), self.lost)
        extra = {key: accessory(name, key, part, self.lost) for key, part in self.accessories().items()}
        services = {role.service.name: role.service for role in found}
        written: dict[str, Any] = {name: {} for name in services}
        services |= {each.service.name: each.service for each in extra.values()}
        written |= {each.service.name: each.written for each in extra.values()}
        networks = {network: network for service in services.values() for network in service.networks}
        places: dict[str, KeyPath] = {role.service.name: ("servers", role.service.name) for role in found}
        places |= {each.service.name: ("accessories", key) for key, each in extra.items()}

        def problem(path: KeyPath, message: str) -> Problem:
            return self.top.document.problem(places.get(str(path[-1]), path), message)

        outside = {network: {"external": True} for network in networks}
        secrets = self.secrets(found)
        placement = self.placement(found, image)
        return Project(
            name, services, {}, networks, secrets, {}, {"services": written, "networks": outside}, problem, placement
        )

    def accessories(self) -> dict[str, Section]:
        """The accessories by their names."""
        return self.top.section("accessories").sections()

    def secrets(self, found: list[Role]) -> dict[str, dict[str, Any]]:
        """The source of each secret of a role, by its name in deploy.secrets."""
        named = {name: secret for role in found for name, secret in role.secrets.items()}
        known = sources(self.root, {*named.values()}, self.lost)
        return {name: known.get(secret, {"environment": secret}) for name, secret in named.items()}

    def build(self) -> ImageBuild:
        """What the image is built from."""
        builder = self.top.section("builder")
        arch = builder.texts("arch")
        for key in builder.others(_BUILD):
            self.lost(f"builder.{key}", "relman has no key for it")
        if len(arch) > 1:
            self.lost("builder.arch", "one platform is built: build.platform says which")
        return ImageBuild(
            builder.text("context", "."),
            builder.text("dockerfile", "Dockerfile"),
            tuple(builder.pairs("args").items()),
            builder.text("target"),
            f"linux/{arch[0]}" if len(arch) == 1 else "",
            tuple(builder.texts("secrets")),
        )

    def placement(self, found: list[Role], image: str) -> Placement:
        """The hosts, and what concerns all of them."""
        self.around()
        hosts: dict[str, tuple[str, ...]] = {}
        for role in found:
            for host in dict.fromkeys(role.hosts):
                hosts[host] = (*hosts.get(host, ()), role.service.name)
        if not hosts:
            raise self.top.fault("expected servers, as Kamal does", "servers")
        registry = self.top.section("registry")
        server = registry.text("server")
        if registry.tree.keys() & {"username", "password"}:
            self.lost("registry", "its password stays where `docker login` keeps it, on this machine")
        if not server or server.startswith("localhost"):
            self.lost("registry.server", "relman wants a registry that all hosts reach: name it with --registry")
            server = ""
        return Placement(hosts, self.ssh(), self.deploy(), server, image.lower(), tuple(self.losses))

    def around(self) -> None:
        """Note what else belongs to Kamal in the repository, and is not read."""
        for other in sorted(self.path.parent.glob(f"{self.path.stem}.*{self.path.suffix}")):
            self.lost(str(other), "a destination is not read: it is another environment of the inventory")
        for hook in sorted((self.root / ".kamal/hooks").glob("*")):
            if hook.suffix != ".sample":
                self.lost(f".kamal/hooks/{hook.name}", "it is not run: see deploy.hooks, and deploy.tasks to migrate")
        if "tags" in self.top.section("env").tree:
            self.lost("env.tags", "write ${NAME} under deploy.env, and give the hosts the variable in the inventory")

    def ssh(self) -> dict[str, Any]:
        """How hosts are reached, as the inventory says it."""
        ssh = self.top.section("ssh")
        keys = ssh.texts("keys")
        found: dict[str, Any] = {"ansible_user": ssh.text("user", "root")}
        found |= {"ansible_port": ssh.text("port")} if "port" in ssh.tree else {}
        found |= {"ansible_ssh_private_key_file": keys[0]} if len(keys) == 1 else {}
        for key in ssh.others(("user", "port", "log_level", "keys_only", "forward_agent")):
            if key != "keys" or len(keys) > 1:
                self.lost(f"ssh.{key}", "say it in your ssh_config, which relman reads")
        return found

    def deploy(self) -> dict[str, Any]:
        """Keys of relman's deploy section for all processes."""
        boot, found = self.top.section("boot"), dict[str, Any]()
        limit, wait = boot.tree.get("limit"), boot.seconds("wait")
        if limit is not None and wait:
            found["strategy"] = {"rolling": {"batches": [limit], "pause": f"{wait:g}s"}}
        elif limit is not None:
            found["max_unavailable"] = limit
        keep = self.top.seconds("retain_containers")
        return found | ({"keep": int(keep)} if keep else {})
