"""A service that tests build and test on a real engine, with a Dockerfile and files of their choice."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relman.ci.build.stage import build
from relman.ci.engine.push import push
from relman.ci.engine.stopwatch import Watch
from relman.ci.testing.stage import run_tests
from relman.docker.local import LocalClient
from relman.model.errors import NoEvidence
from relman.model.image import ImageId, ImageRef, ManifestDigest, Platform, Repository
from relman.model.run import Commit, RunName, TestReport
from relman.model.service import LinkedService, Service, TestCommand, TestStage
from relman.registry.auth import Credentials

if TYPE_CHECKING:
    import docker

COMMIT = Commit("1" * 40, "main", "ssh://git.example/shop")
USUAL: dict[str, Any] = {
    "commit": COMMIT,
    "version": "1.2",
    "created": "2026-01-01T00:00:00Z",
    "deploy_section": '{"ports":[]}',
    "files": {},
}
BUSYBOX = """FROM scratch
COPY busybox /bin/busybox
COPY busybox /bin/sh
STOPSIGNAL SIGKILL
"""
ENV_SH = '#!/bin/sh\nexport DATABASE="tcp:$DB_PORT_5432_TCP_ADDR:$DB_PORT_5432_TCP_PORT"\nexec "$@"\n'
SERVE = 'CMD ["/bin/sh", "-c", "echo up; exec busybox nc -ll -p 5432 -e busybox cat"]\n'
DATABASE = BUSYBOX + "ENV SCHEMA=v7 HOME=/db\nEXPOSE 5432\n" + SERVE


class Shop:
    """A service rooted in `root`; `engine` is relman's client of the engine, `client` the tests' own; `output` is every
    line of progress so far."""

    def __init__(
        self,
        root: Path,
        engine: LocalClient,
        client: docker.APIClient,
        run: RunName,
        registry: str,
        logins: Mapping[str, Credentials],
    ) -> None:
        self.root, self.engine, self.client, self.run = root, engine, client, run
        self.registry, self.logins = registry, logins
        self.output: list[str] = []
        self.environ: dict[str, str] = {"DOCKER_BUILDKIT": "0"}
        shutil.copy("/usr/bin/busybox", root / "busybox")
        (root / "env.sh").write_text(ENV_SH)
        (root / "env.sh").chmod(0o755)
        self.service = Service("shop", Repository(registry, "shop"), root=str(root))

    def build(self, dockerfile: str = BUSYBOX, *, run: RunName | None = None, **changes: Any) -> ImageId:
        """Build with this Dockerfile, and other options or fields of the service than usual."""
        (self.root / "Dockerfile").write_text(dockerfile)
        options = {name: changes.pop(name, usual) for name, usual in USUAL.items()}
        return build(
            self.engine,
            dataclasses.replace(self.service, **changes),
            run or self.run,
            options.pop("commit"),
            environ=self.environ,
            credentials=self.credentials,
            progress=self.output.append,
            watch=Watch(),
            **options,
        )

    def test(self, image: ImageId, *commands: str, argv: tuple[str, ...] | None = None, **stage: Any) -> TestReport:
        """Run shell commands as the tests."""
        lines = [TestCommand(("sh", "-c", command)) for command in commands] or [TestCommand(argv or ())]
        return self.run_stage(image, TestStage(commands=tuple(lines), **stage))

    def run_stage(self, image: ImageId, stage: TestStage, **options: Any) -> TestReport:
        """Run a test stage."""
        given: dict[str, Any] = {"environ": {}, "credentials": self.credentials, "released": self.released}
        service = dataclasses.replace(self.service, test=stage)
        given |= {"progress": self.output.append, "watch": Watch(), **options}
        return run_tests(self.engine, service, self.run, image, COMMIT, **given)

    def credentials(self, registry: str) -> Credentials | None:
        """The login for a registry."""
        return self.logins.get(registry)

    def released(self, reference: ImageRef, _platform: Platform) -> ManifestDigest:
        """No release has evidence."""
        raise NoEvidence(f"nothing shows that {reference} passed")

    def linked(self, dockerfile: str = DATABASE, **fields: Any) -> LinkedService:
        """A linked service whose image is on this engine only."""
        image = self.build(dockerfile, run=RunName("database", "1", "shop"))
        return LinkedService("db", image.value, **fields)

    def push(self, image: ImageId, run: RunName | None = None, repository: Repository | None = None) -> ManifestDigest:
        """Push the image under the run's tag."""
        target = repository or self.service.repository
        return push(self.engine, target, image, run or self.run, self.credentials, self.output.append)

    @property
    def local_tag(self) -> str:
        """The tag that build gives the image on the engine."""
        return self.service.repository.tag(self.run.tag)


def left(client: docker.APIClient, run: RunName) -> list[str]:
    """What the engine still holds of the run."""
    mine = {"label": f"relman.run={run}"}
    found = [c["Id"] for c in client.containers(all=True, filters=mine)]
    found += [n["Name"] for n in client.networks(filters=mine)]
    return found + [t for i in client.images(filters=mine) for t in i["RepoTags"] or () if t.endswith(f":{run.tag}")]


def away(registry: str) -> str:
    """A registry's address at which nothing answers."""
    return registry.replace(":5000", ":5999")
