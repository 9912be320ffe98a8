"""The CI stages' pure parts: lines, references, image answers, labels, what is stale, and how tests ended."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.ci.build.stage import image_labels
from relman.ci.dockerfile import base_of, registries_named
from relman.ci.engine.containers import object_name
from relman.ci.engine.line_buffer import LONGEST, Lines
from relman.ci.engine.owner import TEMPORARY, built_by, labels, run_of
from relman.ci.run.cleanup import stale_runs
from relman.ci.run.teardown import check_passed
from relman.docker.events import line_of
from relman.docker.images import image
from relman.model.errors import TestsFailed
from relman.model.image import ConfigDigest, Platform
from relman.model.image_config import exposed_ports, variables
from relman.model.reference import registry_of, repository_of, tag_of
from relman.model.run import CommandResult, Commit, RunName, TestReport


@given(st.lists(st.text(alphabet="ab\n", max_size=20), max_size=20))
def test_lines_are_those_of_the_whole(pieces: list[str]) -> None:
    """However the text was cut into pieces, its lines come out, and the last ones are remembered."""
    shown: list[str] = []
    lines = Lines(shown.append, keep=3)
    for piece in pieces:
        lines.feed(piece)
    lines.end()
    assert shown == "".join(pieces).removesuffix("\n").split("\n") if "".join(pieces) else shown == []
    assert list(lines.last) == shown[-3:]


@given(st.integers(0, 5 * LONGEST), st.booleans())
def test_a_flood_without_line_ends_stays_bounded(length: int, at_once: bool) -> None:
    """A line longer than the limit comes out in parts of it, and nothing of it is lost."""
    shown: list[str] = []
    lines = Lines(shown.append)
    text = "x" * length
    for piece in [text] if at_once else [text[i : i + 1000] for i in range(0, length, 1000)]:
        lines.feed(piece)
    lines.feed("\n")
    assert "".join(shown) == text
    assert max(map(len, shown)) <= LONGEST


@pytest.mark.parametrize(
    ("reference", "registry", "repository", "tag"),
    [
        ("reg.example:5000/a/b:1", "reg.example:5000", "reg.example:5000/a/b", "1"),
        ("reg.example:5000/a", "reg.example:5000", "reg.example:5000/a", ""),
        ("localhost/a:x@sha256:ff", "localhost", "localhost/a", "x"),
        ("postgres:15", "index.docker.io", "postgres", "15"),
        ("team/app", "index.docker.io", "team/app", ""),
    ],
)
def test_references_are_taken_apart(reference: str, registry: str, repository: str, tag: str) -> None:
    """Registry, repository and tag, as Docker reads a reference; a port is no tag."""
    assert (registry_of(reference), repository_of(reference), tag_of(reference)) == (registry, repository, tag)


def test_the_registries_of_a_dockerfile() -> None:
    """Registries are those of the images that the build pulls: FROM with its arguments filled in, COPY --from and RUN
    --mount, and the syntax line; none of a stage, of an argument that no FROM uses, or of a text."""
    text = (
        "# syntax=zero.example/dockerfile:1\n"
        "ARG HOST=one.example\nARG BASE=$HOST/a:1\nARG UNUSED=no.example/u\nARG X\n"
        "FROM --platform=linux/amd64 ${BASE} AS B\nFROM $X AS no.example/stage\nFROM b\n"
        'from two.example:5000/c\nCOPY --from=three.example/d /x /y\nARG U="https://no.example/"\n'
        "COPY --from=no.example/stage /x /y\nCOPY --from=0 /x /y\nCOPY --from=B /x /y\n"
        "RUN --mount=type=bind,from=five.example/e,target=/m echo no.example/e --from=no.example/z\n"
        "FROM scratch\nFROM s-${TARGETARCH}\n"
    )
    named = {"zero.example", "one.example", "two.example:5000", "three.example", "four.example", "five.example"}
    assert registries_named(text, {"X": "four.example/f", "OTHER": "no.example/o"}) == named
    assert registries_named(text, {"HOST": "six.example", "X": "b"}) == {*named, "six.example"} - {
        "one.example",
        "four.example",
    }


def test_an_image_as_the_engine_describes_it() -> None:
    """Ports, variables, volumes and HEALTHCHECK are read, also where the engine says null."""
    answer = {"Id": "sha256:" + "a" * 64, "Os": "linux", "Architecture": "arm64", "Variant": "v8", "Config": None}
    bare = image(answer)
    assert (bare.exposed_ports, bare.env, bare.volumes, bare.has_healthcheck) == ((), {}, (), False)
    config = {
        "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
        "Env": ["A=b=c", "EMPTY=", "NONE"],
        "Volumes": {"/data": {}},
        "Healthcheck": {"Test": ["CMD", "true"]},
    }
    full = image(answer | {"Config": config})
    assert full.exposed_ports == ((53, "udp"), (8080, "tcp"))
    assert full.env == {"A": "b=c", "EMPTY": ""}
    assert full.volumes == ("/data",)
    assert full.has_healthcheck
    for test in (["NONE"], [""], []):
        assert not image(answer | {"Config": {"Healthcheck": {"Test": test}}}).has_healthcheck


@given(st.dictionaries(st.from_regex(r"[A-Z_]{1,5}", fullmatch=True), st.text(max_size=9), max_size=4))
def test_variables_come_back(env: dict[str, str]) -> None:
    """The engine's NAME=value list gives back every variable, whatever its value."""
    assert variables([f"{name}={value}" for name, value in env.items()]) == env


def test_ports_without_a_protocol_are_tcp() -> None:
    """`80` is `80/tcp`."""
    assert exposed_ports(["80"]) == exposed_ports(["80/tcp"]) == ((80, "tcp"),)


def test_labels_leave_out_what_is_not_known() -> None:
    """Without a commit, no label claims one."""
    labels = image_labels(RunName("a", "1", "shop"), Commit(), "", "2026-01-01T00:00:00Z", "{}")
    assert labels == {
        "org.opencontainers.image.created": "2026-01-01T00:00:00Z",
        "relman.run": "a/1",
        "relman.service.name": "shop",
        "relman.deploy": "{}",
    }


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("FROM a:1", "a:1"),
        (
            "ARG V=1\nFROM --platform=$BUILDPLATFORM reg.example/a:${V}-slim AS x\nFROM b\nFROM x",
            "reg.example/a:1-slim",
        ),
        ("ARG V=1\nARG W=$V.2\nFROM a:$W\nARG V=9\n", "a:1.2"),
        ("ARG GIVEN=0\nFROM a:${GIVEN}", "a:7"),
        ("FROM a:${NONE:-3}", "a:3"),
        ("FROM a:$NONE", None),
        ("FROM a:${NONE:+x}", None),
        ("from scratch as One\nFROM one AS two\nFROM TWO", "scratch"),
        ("# FROM x\nFROM \\\n  # a comment between\n  'a' \\\n AS b\nRUN <<EOF\nFROM y\nEOF\nRUN echo \\\nFROM z", "a"),
        ("FROM a AS a", "a"),
        ("", None),
        ("RUN true", None),
        ("FROM", None),
    ],
)
def test_the_base_of_a_dockerfile(text: str, base: str | None) -> None:
    """The base is that of the last stage, through other stages and arguments; where only the builder can tell, none."""
    assert base_of(text, {"GIVEN": "7"}) == base


def test_the_base_of_a_target() -> None:
    """With a target it is that stage's; of one that is not there, none is known."""
    text = "FROM a AS one\nFROM b AS Two\nFROM one"
    assert [base_of(text, {}, target) for target in ("one", "two", "three")] == ["a", "b", None]


@given(st.text(alphabet="FROMARG as\n\\<-EOF${}:'\"x=#", max_size=60))
def test_any_dockerfile_is_read(text: str) -> None:
    """Whatever stands in a Dockerfile, looking for its base ends."""
    assert base_of(text, {}) != ""


@given(st.text(max_size=30), st.text(max_size=30), st.text(min_size=1, max_size=9), st.text(min_size=1, max_size=9))
def test_object_names_tell_runs_apart(one: str, two: str, build: str, other: str) -> None:
    """Two runs never share a name, also where their tags are the same, and every name is one that Docker takes."""
    first, second = RunName("j" + one, build), RunName("j" + two, other)
    if str(first) != str(second):
        assert object_name(first, "x") != object_name(second, "x")
    assert set(object_name(first, "link", "db")) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
    )


def test_progress_bars_are_not_lines() -> None:
    """An event that moves a bar, or says that a layer waits, gives no line; one of a layer that is done gives one."""
    assert line_of({"status": "Pushing", "progressDetail": {"current": 1}, "id": "a"}) == ""
    assert line_of({"status": "Preparing", "progressDetail": {}, "id": "a"}) == ""
    assert line_of({"status": "Pushed", "progressDetail": {}, "id": "a"}) == "a: Pushed"
    assert line_of({"aux": {"Digest": "x"}}) == ""


RUNS = (RunName("a", "1", "x"), RunName("a", "1", "y"), RunName("a", "1", "x", "2"), RunName("b", "1", "x"), None)


@given(st.lists(st.tuples(st.sampled_from(RUNS), st.floats(0, 100))), st.floats(0, 100))
def test_only_runs_with_nothing_young_are_stale(seen: list[tuple[RunName | None, float]], limit: float) -> None:
    """A run is stale when all that it has is older than the limit, whatever another service or matrix job of the same
    name has; what is no run's never is."""
    assert set(stale_runs(seen, limit)) == {
        run for run, _ in seen if run and all(time < limit for other, time in seen if other == run)
    }


def test_a_run_is_known_by_its_labels() -> None:
    """What relman writes on its objects names run, service and matrix job again; another's labels name none."""
    for run in filter(None, RUNS):
        assert run_of(labels(run)) == run_of(built_by(run)) == run
        assert TEMPORARY not in built_by(run)
    for foreign in ({}, {"relman.run": "none"}, None):
        assert run_of(foreign) is None


def report(*codes: int | None) -> TestReport:
    """A report whose commands ended so."""
    return TestReport(
        run=RunName("shop", "118", "shop"),
        service="shop",
        config=ConfigDigest.of(b"image"),
        platform=Platform("linux", "amd64"),
        commit=Commit(),
        commands=tuple(CommandResult(("run", str(n)), code, 1.0) for n, code in enumerate(codes)),
    )


def test_passed_means_all_passed() -> None:
    """Only a report whose commands all ended with 0 goes on; the error lists how each ended."""
    check_passed(report(0, 0))
    with pytest.raises(TestsFailed) as failed:
        check_passed(report(0, 3))
    assert failed.value.details == ("run 0: passed (1.0 s)", "run 1: exit code 3 (1.0 s)")
    with pytest.raises(TestsFailed) as ended:
        check_passed(report(None))
    assert ended.value.details == ("run 0: timed out (1.0 s)",)
    with pytest.raises(TestsFailed, match="no test command"):
        check_passed(report())
    nothing = CommandResult(("ctest",), 0, 1.0, ran_nothing=True)
    check_passed(replace(report(0), commands=(*report(0).commands, nothing)))
    with pytest.raises(TestsFailed, match="no test of shop ran") as empty:
        check_passed(replace(report(0), commands=(nothing,)))
    assert empty.value.details == ("ctest: no test ran, which is allowed (1.0 s)",)
