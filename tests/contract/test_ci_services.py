"""Linked services against a real engine: releases, dependencies, volumes, references and secrets."""

from __future__ import annotations

from datetime import datetime

import pytest

from relman.ci.engine.containers import object_name
from relman.ci.run.cleanup import cleanup
from relman.model.errors import EngineError, NoEvidence, TestsFailed, UsageError
from relman.model.image import ImageRef, ManifestDigest, Platform, Repository
from relman.model.run import RunName
from relman.model.service import LinkedService, TestCommand, TestStage, WaitFor
from relman.model.settings import Mount
from tests.contract.shop import BUSYBOX, DATABASE, ENV_SH, Shop, left
from tests.lab.lab import Lab

SLEEP = ("/bin/sh", "-c", "busybox sleep 600")
LISTEN = "exec busybox nc -ll -p 5432 -e busybox cat"


def test_both_ways_give_the_same_values(shop: Shop) -> None:
    """What env.sh in the image makes of the link variables is what references in relman.yml give, value for value."""
    (shop.root / "env.sh").write_text(ENV_SH.replace("exec", 'export LOGIN="$DB_ENV_SCHEMA:$DB_ENV_WORD"\nexec'))
    image = shop.build(BUSYBOX + 'COPY env.sh /env.sh\nENTRYPOINT ["/env.sh"]\n')
    mapped = {
        "DATABASE_MAPPED": "tcp:${db.host}:${db.port}",
        "LOGIN_MAPPED": "${db.env.SCHEMA}:${db.env.WORD}",
        "PORT_MAPPED": "${db.port.5432}",
        "RUN": "${run.id}",
        "LITERAL": "$${db.host} ${db.port.81:-none}",
    }
    report = shop.test(
        image,
        '[ "$DATABASE" = "$DATABASE_MAPPED" ] && [ "$LOGIN" = "$LOGIN_MAPPED" ] && echo "$DATABASE"',
        '[ "$PORT_MAPPED" = "$DB_PORT_5432_TCP_PORT" ] && echo "$RUN; $LITERAL"',
        services=(shop.linked(env={"WORD": "a b"}),),
        env=mapped,
    )
    assert report.passed
    assert any(line.startswith("tcp:1") and line.endswith(":5432") for line in shop.output)
    assert f"{shop.run}; ${{db.host}} none" in shop.output


def test_services_of_services(shop: Shop) -> None:
    """Independent services start side by side; one that depends on others starts when they are ready, is linked to
    them as the tests are, and may refer to them."""
    slow = ("/bin/sh", "-c", f"busybox sleep 1; {LISTEN}")
    first = shop.linked(command=slow)
    image = first.image
    api = LinkedService(
        "api",
        image,
        {"UPSTREAM": "${one.host}:${two.port}"},
        ("/bin/sh", "-c", f'[ "$UPSTREAM" = "$ONE_PORT_5432_TCP_ADDR:$TWO_PORT_5432_TCP_PORT" ] && {LISTEN}'),
        depends_on=("one", "two"),
    )
    pair = tuple(LinkedService(alias, image, command=slow) for alias in ("one", "two"))
    tested = shop.build()
    shop.output.clear()
    report = shop.test(
        tested, 'echo "$API_ENV_UPSTREAM"; echo hello | busybox nc -w 20 api 5432', services=(api, *pair)
    )
    assert report.passed
    assert list(report.services) == ["api", "one", "two"]
    assert "hello" in shop.output
    steps = [line for line in shop.output if line.startswith(("starting service", "service "))]
    assert {line.split()[2].rstrip(":") for line in steps[:2]} == {"one", "two"}
    assert set(steps[2:4]) == {"service one is ready", "service two is ready"}
    assert [line.partition(":")[0] for line in steps[4:]] == ["starting service api", "service api is ready"]


def test_a_release_with_evidence(shop: Shop) -> None:
    """A release is resolved once, by what its evidence is about: that digest runs, and the report names it."""
    database = Repository(shop.registry, "database-schema")
    run = RunName("released", "1", "shop")
    image = shop.build(DATABASE, run=run, repository=database)
    digest = shop.push(image, run, database)
    shop.client.remove_image(image.value, force=True)
    asked: list[tuple[str, str]] = []

    def released(reference: ImageRef, platform: Platform) -> ManifestDigest:
        asked.append((str(reference), str(platform)))
        return digest

    service = LinkedService("db", release=ImageRef(database, "stable"))
    stage = TestStage((service,), commands=(TestCommand(("sh", "-c", 'echo "schema $DB_ENV_SCHEMA"')),))
    report = shop.run_stage(shop.build(), stage, released=released)
    assert "schema v7" in shop.output
    assert asked == [(f"{database}:stable", "linux/amd64")]
    assert report.services == {"db": database.at(digest)}


def test_a_release_without_evidence(shop: Shop) -> None:
    """Where nothing shows that a release passed, nothing is started."""
    service = LinkedService("base", release=ImageRef(Repository(shop.registry, "database-schema"), "stable"))
    image = shop.build()
    shop.output.clear()
    with pytest.raises(NoEvidence):
        shop.test(image, "echo never", services=(service, shop.linked(wait=WaitFor(tcp=5432))))
    assert not any(line.startswith("starting") for line in shop.output)
    assert left(shop.client, shop.run) == [shop.local_tag]


def test_volumes_and_tmpfs(shop: Shop, lab: Lab) -> None:
    """A volume of the run is shared by its services and gone after it, an anonymous one too; a directory of the
    repository and a tmpfs are mounted; a bind that is not there is an error, not an empty directory."""
    seed = lab.ci.machine.path("/srv/seed")
    seed.mkdir()
    (seed / "file").write_text("seeded")
    image = shop.linked(DATABASE + "VOLUME /anonymous\n").image
    before = {v["Name"] for v in shop.client.volumes()["Volumes"] or ()}
    writes = (
        "busybox cp /seed/file /shared/file && ! busybox touch /seed/new && busybox grep -q ' /fast tmpfs' /proc/mounts"
    )
    one = LinkedService(
        "one",
        image,
        command=("/bin/sh", "-c", f"{writes} && {LISTEN}"),
        volumes=(Mount("data", "/shared"), Mount("/srv/seed", "/seed", True)),
        tmpfs={"/fast": "size=1m"},
    )
    reads = ("/bin/sh", "-c", f"[ $(busybox cat /kept/file) = seeded ] && {LISTEN}")
    two = LinkedService("two", image, command=reads, volumes=(Mount("data", "/kept", True),), depends_on=("one",))
    assert shop.test(shop.build(), "true", services=(one, two)).passed
    assert {v["Name"] for v in shop.client.volumes()["Volumes"] or ()} == before
    absent = LinkedService("db", image, volumes=(Mount("/srv/absent", "/x"),))
    with pytest.raises(EngineError, match="/srv/absent"):
        shop.test(shop.build(), "true", services=(absent,))
    assert not lab.ci.machine.path("/srv/absent").exists()


def test_a_service_that_dies_during_the_tests(shop: Shop) -> None:
    """Tests that pass while their database dies have not passed; its exit code and last lines are shown."""
    dies = ("/bin/sh", "-c", "busybox nc -l -p 5432 >/dev/null; busybox nc -l -p 5432; echo disk full; exit 4")
    report = shop.test(
        shop.build(), "echo | busybox nc -w 20 db 5432; busybox sleep 1", "true", services=(shop.linked(command=dies),)
    )
    [result] = report.commands
    assert (result.exit_code, result.problem) == (0, "service db died with exit code 4")
    assert not report.passed
    assert "db: disk full" in shop.output


def test_secrets_are_hidden(shop: Shop) -> None:
    """A secret reaches the tests and the service, and nothing else: not the output, not what is said of a service
    that failed, not the results, not the report."""
    secret = "s3cr3t-value"
    environ = {"TOKEN": secret, "OTHER": "not-read"}
    image = shop.build(BUSYBOX + "WORKDIR /work\n")
    xml = "<testsuite><testcase name='$T'><failure>$T</failure></testcase></testsuite>"
    stage = TestStage(
        (shop.linked(env={"PASSWORD": "${secret:TOKEN}"}),),
        {"T": "${secret:TOKEN}"},
        (TestCommand(("sh", "-c", f'echo "says $T $DB_ENV_PASSWORD ${{#T}}"; echo "{xml}" >r.xml'), junit=("r.xml",)),),
    )
    report = shop.run_stage(image, stage, environ=environ)
    assert "says *** *** 12" in shop.output
    assert report.findings
    assert [(c.name, c.message) for c in report.findings.failed] == [("***", "***")]
    dies = shop.linked(env={"PASSWORD": "${secret:TOKEN}"}, command=("/bin/sh", "-c", 'echo "have $PASSWORD"; exit 1'))
    with pytest.raises(TestsFailed) as failure:
        shop.run_stage(image, TestStage((dies,)), environ=environ)
    assert failure.value.details == ("have ***",)
    assert secret not in "".join([*shop.output, str(report.to_json())])


def test_a_missing_value_starts_nothing(shop: Shop) -> None:
    """A secret that is not set and a port that the image does not open are said before any container is made."""
    image = shop.build()
    env = {"A": "${secret:ABSENT}", "B": "${db.port.81}"}
    with pytest.raises(UsageError) as error:
        shop.test(image, "true", services=(shop.linked(),), env=env)
    assert error.value.details == (
        "test.env.A: secret:ABSENT has no value here",
        "test.env.B: db.port.81 has no value here",
    )
    assert not any(line.startswith("starting") for line in shop.output)


def test_what_is_kept(shop: Shop) -> None:
    """With `keep` the service goes on running in its network after the tests, and cleaning up removes it all."""
    stage = TestStage((shop.linked(),), commands=(TestCommand(("busybox", "true")),))
    shop.run_stage(shop.build(), stage, keep=True)
    database = shop.client.inspect_container(object_name(shop.run, "link", "db"))
    assert database["State"]["Running"]
    assert database["NetworkSettings"]["Networks"][object_name(shop.run)]["IPAddress"]
    assert datetime.fromisoformat(database["Created"][:19])
    cleanup(shop.engine, shop.run)
    assert left(shop.client, shop.run) == []
