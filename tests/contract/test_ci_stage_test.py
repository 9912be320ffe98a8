"""The test stage against a real Docker Engine: linked services, commands in the exact image, and what goes wrong."""

from __future__ import annotations

import pytest

from relman.ci.engine.containers import object_name
from relman.ci.testing.links import link_variables
from relman.model.errors import AccessDenied, NotFound, TestsFailed, Unreachable
from relman.model.image import Repository
from relman.model.image_config import exposed_ports, variables
from relman.model.run import RunName
from relman.model.service import LinkedService, TestCommand, TestStage, WaitFor
from relman.registry.auth import Credentials
from tests.contract.shop import BUSYBOX, DATABASE, Shop, away, left


def test_exact_image_entrypoint_and_links(shop: Shop) -> None:
    """The commands run in the image built, through its ENTRYPOINT, which finds the service by the variables."""
    image = shop.build(BUSYBOX + 'COPY env.sh /env.sh\nENTRYPOINT ["/env.sh"]\n')
    shop.output.clear()
    report = shop.test(
        image,
        'echo "$DATABASE $DB_NAME $DB_ENV_SCHEMA"; echo hello | busybox nc -w 20 db 5432',
        "busybox hostname",
        services=(shop.linked(),),
    )
    assert report.passed
    assert [c.exit_code for c in report.commands] == [0, 0]
    assert report.config.value == image.value
    assert report.platform.os == "linux"
    assert report.services["db"].startswith("sha256:")
    shown = next(line for line in shop.output if line.startswith("tcp:"))
    assert shown.split()[0].endswith(":5432")
    assert shown.split()[1] == f"/{object_name(shop.run, 'test', '1')}/db"
    assert shown.split()[2] == "v7"
    assert "hello" in shop.output
    assert left(shop.client, shop.run) == [shop.local_tag]


def test_environment_with_metacharacters(shop: Shop) -> None:
    """Values full of shell metacharacters arrive as they were written, and a linked service's too."""
    nasty = "a 'b' \"c\" $(d) `e` ;|&<>\\ $${f} *\n=g"
    service = shop.linked(env={"NASTY": nasty})
    image = shop.build()
    report = shop.test(
        image,
        '[ "$WORD" = "$WANT" ] && [ "$DB_ENV_NASTY" = "$WANT" ] && [ "${#WANT}" = LENGTH ]'.replace(
            "LENGTH", str(len(nasty) - 1)
        ),
        services=(service,),
        env={"WORD": nasty, "WANT": nasty},
    )
    assert report.passed


def test_stops_at_the_first_failure(shop: Shop) -> None:
    """A failed command is reported with its exit code, and the ones after it are not run."""
    report = shop.test(shop.build(), "true", "echo broken >&2; exit 3", "echo never")
    assert [c.exit_code for c in report.commands] == [0, 3]
    assert not report.passed
    assert "broken" in shop.output
    assert "never" not in shop.output


def test_a_command_over_its_time_is_ended(shop: Shop) -> None:
    """A command that hangs is killed; its exit code is None."""
    report = shop.test(shop.build(), "echo begun; busybox sleep 600", "echo never", timeout=1)
    assert [c.exit_code for c in report.commands] == [None]
    assert "begun" in shop.output
    assert left(shop.client, shop.run) == [shop.local_tag]


def test_a_command_that_is_not_there(shop: Shop) -> None:
    """A command that cannot be started is an error that names it, and nothing is left."""
    with pytest.raises(TestsFailed, match="no-such-program"):
        shop.test(shop.build(), argv=("no-such-program",))
    assert left(shop.client, shop.run) == [shop.local_tag]


def test_a_flood_of_output(shop: Shop) -> None:
    """Thirty megabytes without a line end and a hundred thousand lines go through, whole and in bounded lines."""
    flood = "busybox head -c 30000000 /dev/zero | busybox tr '\\0' x; echo; busybox seq 100000"
    image = shop.build()
    shop.output.clear()
    assert shop.test(image, flood).passed
    assert sum(line.count("x") for line in shop.output if set(line) == {"x"}) == 30_000_000
    assert shop.output.count("100000") == 1
    assert max(map(len, shop.output)) <= 8192


def test_a_service_that_dies(shop: Shop) -> None:
    """A service that exits is shown with its exit code and its last 20 lines."""
    service = shop.linked(command=("/bin/sh", "-c", "busybox seq 30; echo no space left; exit 4"))
    with pytest.raises(TestsFailed) as failure:
        shop.test(shop.build(), "true", services=(service,))
    assert "db" in failure.value.what
    assert "exit code 4" in failure.value.what
    assert len(failure.value.details) == 20
    assert failure.value.details[-1] == "no space left"
    assert left(shop.client, shop.run) == [shop.local_tag]


def test_a_service_that_is_never_ready(shop: Shop) -> None:
    """A service that listens nowhere is given up after its time, with what it said."""
    service = shop.linked(
        command=("/bin/sh", "-c", "echo still loading; busybox sleep 600"), wait=WaitFor(tcp=5432, timeout=1)
    )
    with pytest.raises(TestsFailed) as failure:
        shop.test(shop.build(), "true", services=(service,))
    assert "TCP on port 5432" in failure.value.what
    assert failure.value.details == ("still loading",)


@pytest.mark.parametrize(
    ("dockerfile", "wait"),
    [
        (DATABASE + 'HEALTHCHECK --interval=1s CMD ["/bin/sh", "-c", "[ -e /ready ]"]\n', WaitFor()),
        (DATABASE, WaitFor(command=("/bin/sh", "-c", "[ -e /ready ]"))),
        (DATABASE, WaitFor(http_port=80, http_path="/ready")),
        (DATABASE, WaitFor(tcp=80)),
    ],
    ids=["healthcheck", "command", "http", "tcp"],
)
def test_every_way_to_be_ready(shop: Shop, dockerfile: str, wait: WaitFor) -> None:
    """The tests start only after the check holds: the service gets ready well after it has started."""
    late = "busybox sleep 1; echo 1 >/ready; exec busybox httpd -f -p 80 -h /"
    service = shop.linked(dockerfile, command=("/bin/sh", "-c", late), wait=wait)
    report = shop.test(shop.build(), "busybox wget -q -O - http://db/ready", services=(service,))
    assert report.passed
    assert "service db is ready" in shop.output


def test_a_readiness_command_that_hangs(shop: Shop) -> None:
    """A check that never ends does not outlast the service's time."""
    service = shop.linked(wait=WaitFor(command=("/bin/busybox", "sleep", "600"), timeout=1))
    with pytest.raises(TestsFailed, match="not ready within 1 s"):
        shop.test(shop.build(), "true", services=(service,))


def test_a_service_from_the_registry_is_what_its_tag_means_now(shop: Shop) -> None:
    """A tag is resolved anew, pulled by digest with the caller's credentials, and recorded as that digest."""
    database = Repository(shop.registry, "database-schema")
    run = RunName("stable", "1", "shop")
    first = shop.build(DATABASE, run=run, repository=database)
    shop.push(first, run, database)
    second = shop.build(DATABASE + "ENV SCHEMA=v8\n", run=run, repository=database)
    digest = shop.push(second, run, database)
    shop.client.remove_image(second.value, force=True)
    shop.client.tag(first.value, str(database), run.tag)
    service = LinkedService("db", database.tag(run.tag))
    report = shop.test(shop.build(), 'echo "schema $DB_ENV_SCHEMA"', services=(service,))
    assert "schema v8" in shop.output
    assert report.services == {"db": database.at(digest)}


def test_a_service_that_cannot_be_had(shop: Shop) -> None:
    """An unknown tag, a wrong password and a registry that is away are told apart."""
    image = shop.build()
    with pytest.raises(NotFound):
        shop.test(image, "true", services=(LinkedService("db", f"{shop.registry}/shop:nothing"),))
    with pytest.raises(Unreachable):
        shop.test(image, "true", services=(LinkedService("db", f"{away(shop.registry)}/shop:1"),))
    stage = TestStage((LinkedService("db", f"{shop.registry}/shop:nothing"),), commands=(TestCommand(("true",)),))
    for wrong in (None, Credentials("ci", "wrong")):
        with pytest.raises(AccessDenied):
            shop.run_stage(image, stage, credentials={shop.registry: wrong}.get)


def test_link_variables_are_docker_s_own(shop: Shop) -> None:
    """`--link` on the default bridge and relman give the same variables with the same values."""
    ports = "EXPOSE 5432 8000 8001/udp 8002 8003 9000 9001 9999/udp\n"
    image = shop.build(DATABASE + ports + 'ENV WITH="a = b" EMPTY=\n')
    host = shop.client.create_host_config()
    service = shop.client.create_container(image.value, name="service", environment={"X": "1"}, host_config=host)["Id"]
    shop.client.start(service)
    linked = shop.client.create_host_config(links={"service": "my-db"})
    consumer = shop.client.create_container(image.value, ["busybox", "env"], name="consumer", host_config=linked)["Id"]
    shop.client.start(consumer)
    shop.client.wait(consumer, timeout=30)
    printed = dict(line.split("=", 1) for line in shop.client.logs(consumer).decode().splitlines())
    answer = shop.client.inspect_container(service)
    ours = link_variables(
        "my-db",
        "consumer",
        answer["NetworkSettings"]["IPAddress"],
        list(exposed_ports(answer["Config"]["ExposedPorts"])),
        variables(answer["Config"]["Env"]),
    )
    assert ours == {name: value for name, value in printed.items() if name.startswith("MY_DB_")}
