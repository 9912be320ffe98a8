"""Images that hold neither a shell nor the tests, against a real Docker Engine: tests beside them, and smoke tests."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from relman.ci.run.cleanup import cleanup
from relman.evidence.attest import statement_for
from relman.evidence.test_result import SMOKE_ONLY, read_statement, read_test_result
from relman.model.errors import ConfigError, TestsFailed, UsageError
from relman.model.image import ManifestDigest
from relman.model.run import TestReport
from relman.model.service import TestCommand, TestStage
from tests.contract.shop import BUSYBOX, Shop, left

# Without a shell: the program alone is called by its path.
BARE = """FROM scratch AS tests
COPY busybox /bin/busybox
COPY busybox /bin/sh
ENV HERE=tests
FROM scratch
COPY busybox /busybox
COPY busybox /www/index.html
STOPSIGNAL SIGKILL
EXPOSE 8080
"""
HTTPD = ["/busybox", "httpd", "-f", "-p", "8080", "-h", "/www"]
HEALTH = {"http": {"port": 8080, "path": "/index.html"}, "window": "300ms", "timeout": "5s"}


def tried(shop: Shop, stage: TestStage, **deploy: Any) -> TestReport:
    """Build the image and what its tests want, and test it."""
    settings = {"command": HTTPD, "health": HEALTH, **deploy}
    shop.service = dataclasses.replace(shop.service, deploy=settings)
    image = shop.build(BARE, test=stage)
    return shop.run_stage(image, stage)


def test_tests_beside_an_image_without_a_shell(shop: Shop) -> None:
    """Commands run in a stage of the Dockerfile and in another image, and reach the image under test as `app`, started
    with its deploy command, entrypoint and user, literal variables and health. The evidence names the digests of all
    three, and nothing stays but the images, which `cleanup` removes."""
    fetch = 'busybox wget -q -O /dev/null "http://app:$APP_PORT_8080_TCP_PORT/index.html" && echo "$APP_ENV_WORD"'
    other = shop.linked(BUSYBOX).image
    stage = TestStage(
        commands=(
            TestCommand(("sh", "-c", f'[ "$HERE" = tests ] && {fetch}'), "stage", stage="tests"),
            TestCommand(("sh", "-c", f'[ -z "$HERE" ] && {fetch}'), "image", image=other),
        )
    )
    report = tried(shop, stage, env={"WORD": "a $${b}"}, entrypoint=HTTPD[:1], command=HTTPD[1:], user="65534")
    assert report.passed
    assert not report.smoke_only
    assert shop.output.count("a ${b}") == 2
    ran_in = [command.image for command in report.commands]
    assert ran_in[1] == other
    assert len({report.config.value, *ran_in}) == 3
    found = read_test_result(read_statement(statement_for(report, ManifestDigest(f"sha256:{'1' * 64}"), name="x/shop")))
    assert (found.config, found.beside) == (report.config, {"stage": ran_in[0], "image": ran_in[1]})
    assert sorted(left(shop.client, shop.run)) == [shop.local_tag]
    tags = {f"image {shop.local_tag}", f"image {shop.local_tag}.tests"}
    assert tags <= set(cleanup(shop.engine, shop.run))
    assert not shop.client.images(name=f"{shop.local_tag}.tests")


def test_a_tool_has_nothing_beside_its_tests(shop: Shop) -> None:
    """With `test.app: false` an image that ends by itself is tested in itself and in a stage: it is not started as it
    is deployed, and nothing is linked to the tests as `app`."""
    alone = TestCommand(("sh", "-c", '[ "$HERE" = tests ] && [ -z "$APP_NAME" ]'), "stage", stage="tests")
    stage = TestStage(commands=(TestCommand(("/busybox", "true"), "itself"), alone), app=False)
    assert tried(shop, stage, command=["/busybox", "false"]).passed
    with pytest.raises(TestsFailed, match="died with exit code 1"):
        tried(shop, dataclasses.replace(stage, app=True), command=["/busybox", "false"])


def test_a_smoke_test(shop: Shop) -> None:
    """An image that starts and stays healthy passes, and its evidence says that this is all; one that dies, or is not
    healthy, fails with what it printed."""
    stage = TestStage(smoke=True)
    report = tried(shop, stage)
    assert report.passed
    statement = statement_for(report, ManifestDigest(f"sha256:{'1' * 64}"), name="x/shop")
    found = read_test_result(read_statement(statement))
    assert (found.judged_by, found.tests, found.fault) == (SMOKE_ONLY, 0, "")
    died = tried(shop, stage, command=["/busybox", "sh", "-c", "echo no database; exit 3"])
    assert not died.passed
    assert "exit code 3" in died.commands[0].end
    assert "app: no database" in shop.output
    sick = tried(shop, stage, command=["/busybox", "sleep", "60"], health={**HEALTH, "timeout": "300ms"})
    assert "was not ready within 0.3 s" in sick.commands[0].end
    assert left(shop.client, shop.run) == [shop.local_tag]


def test_health_as_it_is_deployed(shop: Shop) -> None:
    """A command in the container decides; and the image's HEALTHCHECK is overridden, or switched off, as on a host."""
    stage = TestStage(smoke=True)
    brief = {"window": "100ms", "timeout": "1s"}
    there, missing = (["/busybox", "test", "-e", path] for path in ("/www/index.html", "/nothing"))
    assert tried(shop, stage, health={"command": there, **brief}).passed
    assert "command /busybox" in tried(shop, stage, health={"command": missing, **brief}).commands[0].end
    often = {"interval": "100ms", "retries": 1}
    by_image = {"health": {"image": True, "window": "100ms", "timeout": "5s"}}
    assert tried(shop, stage, healthcheck={"command": there, **often}, **by_image).passed
    assert not tried(shop, stage, healthcheck={"command": missing, **often}, health={"image": True, **brief}).passed


def test_what_cannot_be_started(shop: Shop) -> None:
    """A smoke test that fails ends the stage; a command that no image has, a value that only an inventory has and a
    stage that was not built are told apart."""
    beside = TestStage(commands=(TestCommand(("true",), stage="tests"),), smoke=True)
    report = tried(shop, beside, command=["/busybox", "false"])
    assert [c.smoke for c in report.commands] == [True]
    with pytest.raises(TestsFailed, match="cannot start the image under test"):
        tried(shop, beside, command=["/nothing"])
    with pytest.raises(ConfigError) as failure:
        tried(shop, beside, env={"DATABASE": "${database}"})
    assert "deploy.env.DATABASE" in failure.value.details[0]
    assert "test.env" in failure.value.details[0]
    cleanup(shop.engine, shop.run)
    image = shop.build()
    with pytest.raises(UsageError, match="no stage tests"):
        shop.run_stage(image, beside)
