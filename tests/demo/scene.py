"""The demo's scene: the lab, checkouts of two applications, a CI job and an engineer on call."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from relman.model.image import Repository
from relman.registry.auth import Credentials
from relman.registry.client import Registry
from tests.apps import HAPROXY, bases
from tests.apps.checkout import checkout, commit, git
from tests.demo.narrator import Person, Untrue
from tests.lab.counted import Counted, Target
from tests.lab.host import LabHost
from tests.lab.images import push
from tests.lab.lab import Lab
from tests.lab.layout import LabError
from tests.lab.load import Users, load
from tests.lab.process import until

ROOT = Path(__file__).resolve().parents[2]
PORT = 8080
SHOP = "shop.example.com"
CANARY = """\
  strategy:
    canary:
      bake: 2s  # longer where it is no demo
      check:
        http: {url: "http://${address}:8080/"}
        timeout: 2s
"""


class Demo:
    """The lab, the checkouts, two people, and the numbers of this demo's builds: none was used before."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.home = lab.dir / "demo"
        self.shop = self.home / "shop"
        self.schema = self.home / "database-schema"
        self.queue = self.home / "queue"
        self.inventory = self.home / "engineer/production.yml"

    @cached_property
    def first(self) -> int:
        """The number of this demo's first build of the shop."""
        return self.next_build("shop")

    def next_build(self, repository: str) -> int:
        """The lowest number above those of all releases that the registry has."""
        tags = json.loads(self.lab.registry.get(f"/v2/{repository}/tags/list")[1]).get("tags") or []
        return max((int(tag) for tag in tags if tag.isdecimal()), default=0) + 1

    @property
    def ci(self) -> Person:
        """The CI system's job, on the CI machine."""
        return Person(self._env("ci-data"), self.shop, self.lab.ci.prefix)

    @property
    def engineer(self) -> Person:
        """Whoever is on call: no checkout, no engine, no ledger; an inventory, a key, the registry's password."""
        return self._on_call("engineer", "carol")

    @property
    def colleague(self) -> Person:
        """Another one, at another laptop, who was asleep."""
        return self._on_call("colleague", "dave")

    def _on_call(self, home: str, user: str) -> Person:
        named = {"USER": user, "LOGNAME": user, "DOCKER_HOST": "unix:///nowhere"}
        return Person({**self._env(f"{home}/data"), **self.production, **named}, self.home / home)

    @property
    def production(self) -> dict[str, str]:
        """Where whoever is on call finds the inventory, and the key of its secrets: that of SSH."""
        return {"RELMAN_INVENTORY": str(self.inventory), "RELMAN_AGE_KEY_FILE": f"{self.lab.dir}/ssh/id_ed25519"}

    def _env(self, data: str) -> dict[str, str]:
        return {**self.lab.env, "RELMAN_DATA_DIR": str(self.home / data), "PYTHONPATH": str(ROOT)}

    def prepare(self) -> None:
        """New checkouts of the applications, and an engineer who never did anything."""
        people = [self.home / name for name in ("engineer", "colleague")]
        for path in (self.shop, self.schema, self.queue, *people):
            shutil.rmtree(path, ignore_errors=True)
        for path in people:
            path.mkdir(parents=True)
        checkout("database-schema", self.schema, self.lab.registry.address)
        checkout("queue", self.queue, self.lab.registry.address)
        self._write_inventory()
        settings = checkout("shop", self.shop, self.lab.registry.address) / "relman.yml"
        quicker = settings.read_text().replace("window: 10s", "window: 3s") + "  max_unavailable: 2\n"
        settings.write_text(quicker)
        commit(self.shop, "Watch a new container for 3 seconds, and change two at once: this is a demo")

    def _write_inventory(self) -> None:
        """Every host serves the shop's pages; the first also has the scheduler and Redis, the others have workers."""
        tree = yaml.safe_load((self.lab.dir / "inventory/lab.yml").read_text())["all"]
        hosts, registry = tree["hosts"], self.lab.registry
        first, *others = hosts
        runs = {first: "scheduler", **dict.fromkeys(others, "worker")}
        variables = {
            "relman_registry_ca": str(registry.ca),
            "relman_secrets": {"queue_password": {"age": "secrets/queue_password.age"}},
            "queue_url": f"redis://{hosts[first]['ansible_host']}:6379/0",
        }
        production = {
            "vars": {"relman_services": {"shop": f"{registry.address}/shop"}},
            "hosts": {name: {"relman_processes": {"shop": ["web", other]}} for name, other in runs.items()},
        }
        queue = {"vars": {"relman_services": {"queue": f"{registry.address}/queue"}}, "hosts": {first: None}}
        tree = {"all": {"vars": variables, "hosts": hosts, "children": {"production": production, "queue": queue}}}
        self.inventory.write_text(yaml.safe_dump(tree, sort_keys=False))

    def ask_for_reports_more_often(self) -> None:
        """Change the file that only the scheduler reads."""
        schedule = self.shop / "schedule.ini"
        schedule.write_text(schedule.read_text().replace("every = 5", "every = 2"))

    def canary(self) -> None:
        """From the next commit on the shop's first host is a canary, which is asked for its products."""
        settings = self.shop / "relman.yml"
        settings.write_text(settings.read_text() + CANARY)

    def proxy(self) -> None:
        """Put HAProxy into the registry, and into the inventory what each host's proxy is and sends to the shop."""
        image = f"{self.lab.registry.address}/haproxy"
        base, tag = bases.ensure(HAPROXY, self.lab.dir / "ci/docker.sock"), "2.6"
        with self.lab.ci.engine() as engine:
            engine.tag(base, image, tag)
            push(engine, f"{image}:{tag}", self.lab.registry.auth)
        tree = yaml.safe_load(self.inventory.read_text())
        tree["all"]["children"]["production"]["vars"] |= {
            "relman_proxy": {"image": f"{image}:{tag}", "keep_alive": "1s"},
            "relman_routes": {"shop": {"hosts": [SHOP]}},
        }
        self.inventory.write_text(yaml.safe_dump(tree, sort_keys=False))

    def behind_the_proxy(self) -> None:
        """From the next commit on two web servers of the shop are behind each host's proxy, and no canary."""
        settings = self.shop / "relman.yml"
        behind = "replicas: 2\n      proxy: {port: 8080, response_timeout: 5s}"
        text = settings.read_text().replace(CANARY, "").replace('ports: ["8080:8080"]', behind)
        settings.write_text(text)

    def used(self) -> AbstractContextManager[Counted]:
        """Users who ask for the shop's version all the time, on every host."""
        targets = (Target(host.address, 80, SHOP, "/version") for host in self.lab.hosts)
        return load(*targets, users=Users(new=2, kept=2, pause=0.05))

    @contextmanager
    def moved(self, tag: str, to: str) -> Iterator[None]:
        """Let a tag of the shop stand for another one's image, as somebody with the registry's password can."""
        auth, host = self.lab.registry.auth, self.lab.registry.address
        credentials, repository = Credentials(auth["username"], auth["password"]), Repository(host, "shop")
        with Registry(host, credentials=credentials, ca=str(self.lab.registry.ca)) as registry:
            own, other = (registry.resolve(repository, name) for name in (tag, to))
            registry.put_manifest(repository, tag, other)
            print(f"\n(somebody puts the image of {to} under the tag {tag})", flush=True)
            try:
                yield
            finally:
                registry.put_manifest(repository, tag, own)
                print(f"\n(and the tag {tag} is put right again)", flush=True)

    def library(self) -> Person:
        """A new checkout of the library with a remote, in a version that the index does not have, and its CI job."""
        home, lab = self.home / "library", self.lab
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        root = checkout("money", home / "money", lab.registry.address)
        settings, project = root / "relman.yml", root / "pyproject.toml"
        settings.write_text(settings.read_text().replace("10.77.0.254", lab.layout.gateway))
        number = len(lab.index.names()) + 1
        project.write_text(re.sub(r'^version = ".*"', f'version = "1.0.{number}"', project.read_text(), flags=re.M))
        shutil.copytree(ROOT / "playbooks", root / "playbooks")
        git(home, "init", "--quiet", "--bare", "money.git")
        git(root, "remote", "add", "origin", str(home / "money.git"))
        commit(root, f"Make it 1.0.{number}")
        git(root, "push", "--quiet", "origin", "master")
        job = {"JOB_NAME": "money", "BUILD_NUMBER": str(number)}
        return Person({**self._env("ci-data"), **lab.index.env, **job}, root, lab.ci.prefix)

    def build(self, number: int, *arguments: str) -> None:
        """A run of the shop's CI job."""
        build = self.first + number
        line = " ".join(("relman ci --run", f"shop/{build}", f"--build-arg VERSION={build}", *arguments))
        self.ci.types(line, says=f"shop:{build}")

    def deploy(self, number: int, *, code: int = 0, says: str = "") -> None:
        """The engineer deploys."""
        self.engineer.types(f"relman deploy {self.first + number} -e production --yes", code=code, says=says)

    def new_password(self) -> None:
        """The engineer gives the queue a new password, which nobody reads."""
        self.engineer.types(
            "python3 -c 'import secrets; print(secrets.token_hex())' | relman secret set -e queue queue_password"
        )

    def serves(self, number: int) -> None:
        """Ask every host as a visitor would, and order something. Raises Untrue unless all is served and packed by this
        release."""
        version = str(self.first + number)
        print()
        for host in self.lab.hosts:
            said = _served(host, version)
            print(f"  GET http://{host.address}:{PORT}/version  ->  {said}", flush=True)
        print(f"  POST /orders to each; GET /work  ->  {_packed(self.lab.hosts, version)}", flush=True)


def _packed(hosts: Sequence[LabHost], version: str) -> str:
    wanted = _work(hosts[0]).get("order", 0) + len(hosts)
    for host in hosts:
        host.http(PORT, "/orders", json={"product_id": 1, "quantity": 1})

    def packed() -> bool:
        said = _work(hosts[0])
        return bool(said.get("order") == wanted and said["worker"] == version)

    try:
        until(packed, "", 15)
    except LabError:
        raise Untrue(f"not all is packed by {version}: {_work(hosts[0])}") from None
    return json.dumps(_work(hosts[0]))


def _work(host: LabHost) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.http(PORT, "/work").text)
    return found


def _served(host: LabHost, version: str) -> str:
    def answer() -> str:
        try:
            text = host.http(PORT, "/version").text.strip()
        except OSError:
            return ""
        return text if json.loads(text)["version"] == version else ""

    try:
        return until(answer, "", 10)
    except LabError:
        raise Untrue(f"{host.name} does not serve {version}") from None
