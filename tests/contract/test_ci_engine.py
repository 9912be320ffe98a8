"""Build, push, clean up and being stopped, against a real Docker Engine and a real registry with a password."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from docker import APIClient

from relman.ci.engine import images
from relman.ci.engine.containers import create, create_network, object_name
from relman.ci.engine.push import push
from relman.ci.run.cleanup import cleanup, cleanup_older
from relman.model.errors import AccessDenied, BuildFailed, NotFound, Unreachable
from relman.model.image import ImageId, ManifestDigest, Repository
from relman.model.run import RunName
from relman.model.service import Build
from relman.registry.auth import Credentials
from tests.contract.shop import BUSYBOX, Shop, away, left
from tests.lab.lab import Lab
from tests.lab.process import patience, until


class TestBuild:
    """Build."""

    def test_broken_dockerfile(self, shop: Shop) -> None:
        """A Dockerfile that does not parse, or is not there, is a failed build."""
        with pytest.raises(BuildFailed):
            shop.build("FRM scratch\n")
        with pytest.raises(BuildFailed):
            shop.build(build=Build(dockerfile="Other"))


class TestPush:
    """Push."""

    def test_the_digest_is_the_registry_s(self, shop: Shop, lab: Lab) -> None:
        """The digest returned is the one under which the registry holds the run's tag, with the image as its config."""
        image = shop.build()
        digest = shop.push(image)
        answer = shop.client.inspect_distribution(shop.local_tag, auth_config=lab.registry.auth)
        assert answer["Descriptor"]["digest"] == digest.value
        assert isinstance(digest, ManifestDigest)

    def test_refusals_are_told_apart(self, shop: Shop) -> None:
        """No password, a wrong one, a registry that is away, an image that is not there."""
        image, sink = shop.build(), shop.output.append
        for wrong in (None, Credentials("ci", "wrong")):
            with pytest.raises(AccessDenied):
                push(shop.engine, shop.service.repository, image, shop.run, {shop.registry: wrong}.get, sink)
        with pytest.raises(Unreachable):
            push(shop.engine, Repository(away(shop.registry), "shop"), image, shop.run, shop.credentials, sink)
        with pytest.raises(NotFound):
            push(shop.engine, shop.service.repository, ImageId.of(b"none"), shop.run, shop.credentials, sink)


class TestCleanup:
    """Clean up."""

    def test_only_the_run_s_own(self, shop: Shop) -> None:
        """All of this run goes; another run, a production container of the very image, its tag and volumes stay."""
        engine, client, run, other = shop.engine, shop.client, shop.run, RunName(shop.run.job, "2", "shop")
        image, theirs = shop.build(BUSYBOX + "VOLUME /data\n"), shop.build(run=other)
        client.tag(image.value, "shop", "production")
        for each, made in ((run, image), (other, theirs)):
            network = create_network(engine, each)
            sleep = ("busybox", "sleep", "600")
            client.start(create(engine, each, object_name(each, "a"), made, network, command=sleep, env={}, alias="a"))
        kept = client.create_host_config(binds=["precious:/data"])
        production = client.create_container(image.value, ["busybox", "sleep", "600"], host_config=kept)["Id"]
        client.start(production)
        volumes = {v["Name"] for v in client.volumes()["Volumes"]}
        before = left(client, other)

        removed = cleanup(engine, run)

        assert len(removed) == 3
        assert left(client, run) == [production]
        assert client.inspect_container(production)["State"]["Running"]
        assert images.inspect(engine, "shop:production").id == image
        assert left(client, other) == before
        assert len(before) == 3
        assert volumes - {v["Name"] for v in client.volumes()["Volumes"]} == {v for v in volumes if len(v) == 64}
        assert cleanup(engine, run) == ()
        cleanup(engine, other)
        client.remove_network(client.create_network("unused")["Id"])

    def test_the_builder_s_cache_stays(self, shop: Shop) -> None:
        """After cleaning up, the next build of the same Dockerfile takes its layers from the cache."""
        dockerfile = BUSYBOX + 'RUN ["/bin/sh", "-c", "echo slow >/slow"]\n'
        shop.build(dockerfile)
        cleanup(shop.engine, shop.run)
        shop.output.clear()
        shop.build(dockerfile, run=RunName(shop.run.job, "2", "shop"))
        assert any("Using cache" in line for line in shop.output)
        cleanup(shop.engine, RunName(shop.run.job, "2", "shop"))

    def test_what_a_killed_machine_left(self, shop: Shop) -> None:
        """Runs older than the limit are cleaned up; younger ones stay."""
        shop.build()
        create_network(shop.engine, shop.run)
        made = _epoch_now(shop.client)
        assert cleanup_older(shop.engine, 3600, made) == ()
        assert len(cleanup_older(shop.engine, 3600, made + 7200)) >= 2
        assert left(shop.client, shop.run) == []


def _epoch_now(client: APIClient) -> float:
    return datetime.fromisoformat(client.info()["SystemTime"][:26].rstrip("Z") + "+00:00").timestamp()


JOB = """
import os
import sys
from functools import partial
from relman.docker.local import connect
from relman.ci.build.stage import build
from relman.ci.run.teardown import cleaned_up
from relman.ci.testing.stage import run_tests
from relman.ci.engine.stopwatch import Watch
from relman.cli.signals import Signals
from relman.model.image import Repository
from relman.model.run import Commit, RunName
from relman.model.service import LinkedService, Service, TestCommand, TestStage

root, repository, database = sys.argv[1:]
commands = (TestCommand(("sh", "-c", "echo in the middle; busybox sleep 600")),)
stage = TestStage((LinkedService("db", database),), {}, commands)
service = Service("shop", Repository.parse(repository), test=stage, root=root)
run, commit, say, none = RunName("stopped", "1", "shop"), Commit(), partial(print, flush=True), {}.get
watch = Watch()
Signals().install()
try:
    client = connect()
    with cleaned_up(client, run, say):
        image = build(
            client, service, run, commit, version="", created="", deploy_section="{}", files={},
            environ=os.environ, credentials=none, progress=say, watch=watch
        )
        run_tests(
            client, service, run, image, commit, environ={}, credentials=none, released=print, progress=say,
            watch=watch
        )
except KeyboardInterrupt:
    sys.exit(130)
"""


class TestStopped:
    """A run that is stopped."""

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    @pytest.mark.parametrize("phase", ["building now", "in the middle"])
    def test_by_a_signal(self, shop: Shop, lab: Lab, number: signal.Signals, phase: str) -> None:
        """SIGINT and SIGTERM, in the build and in the tests: containers, network and image tag are gone soon after."""
        service = shop.linked()
        slow = 'RUN ["/bin/sh", "-c", "echo building now; busybox sleep 600"]\n' if phase == "building now" else ""
        (shop.root / "Dockerfile").write_text(BUSYBOX + slow)
        argv = [sys.executable, "-c", JOB, str(shop.root), str(shop.service.repository), service.image]
        env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        with subprocess.Popen([*lab.ci.prefix, *argv], stdout=subprocess.PIPE, text=True, env=env) as job:
            assert job.stdout
            assert any(line.strip() == phase for line in job.stdout)
            job.send_signal(number)
            assert job.wait(timeout=20 * patience()) == 130
        assert left(shop.client, RunName("stopped", "1", "shop")) == []
        until(lambda: not shop.client.containers(), "the engine to end the build")
