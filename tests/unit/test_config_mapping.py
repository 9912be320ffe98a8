"""References in the environment of tests, and where relman.yml may use them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.config.schema.test_references import Name, check, fill, names
from tests.unit.test_config_service import said, written

VALUES = {"db.host": "10.0.0.2", "db.port": "5432", "run.id": "shop/118", "db.env.EMPTY": ""}


def filled(text: str) -> str:
    """The text, filled from VALUES."""
    return fill(text, lambda name: VALUES.get(name.text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tcp://${db.host}:${db.port}/${run.id}", "tcp://10.0.0.2:5432/shop/118"),
        ("${secret:TOKEN:-none} ${db.env.EMPTY:-x}${db.env.EMPTY}", "none x"),
        ("${db.port.80:-}", ""),
        ("$${db.host} $x $$ ${db.env.A:-$b:-c}", "${db.host} $x $$ $b:-c"),
    ],
)
def test_filling(text: str, expected: str) -> None:
    """References are replaced, a missing or empty value by its default, and every other $ stays."""
    assert filled(text) == expected


def test_what_a_reference_is_taken_apart_into() -> None:
    """Kind, service and item of each form."""
    assert list(names("${my-db.port.80}${a.env.B_1}${run.id}${secret:X}")) == [
        Name("port", "my-db", "80", "my-db.port.80"),
        Name("env", "a", "B_1", "a.env.B_1"),
        Name("run", text="run.id"),
        Name("secret", "", "X", "secret:X"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("${", "${}", "${db}", "${db.hots}", "${db.port.}", "${db.port.x}", "${db.port.70000}", "${db.env.}", "${X}"),
        *("${db.host.x}", "${secret:}", "${secret:1}", "${other:X}", "${run.idd}", "${db.host", "${.host}", "${a b}"),
    ],
)
def test_what_is_no_reference(text: str) -> None:
    """Every other form is an error, wherever a service db is known."""
    with pytest.raises(ValueError, match=r"must follow|unknown name"):
        check(text, ["db", "run"])


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('test: {env: {A: "${secret:RELMAN_REGISTRY_PASSWORD}"}}', "test.env.A"),
        ('test: {services: {db: {image: x, env: {A: "${secret:RELMAN_X:-y}"}}}}', "test.services.db.env.A"),
        ("build: {secrets: {key: {env: RELMAN_SIGNING_KEY}}}", "build.secrets.key.env"),
    ],
)
def test_relman_s_own_variables_are_nobody_s_secrets(text: str, key: str) -> None:
    """A branch's relman.yml cannot have them read out, neither by a build nor by tests and their services."""
    (problem,) = said(text)
    assert problem.partition(": ")[2].startswith(f"{key}: RELMAN_")
    assert "is relman's own" in problem


@given(st.text(alphabet="ab${}:-. \n"))
def test_text_without_references_stays(text: str) -> None:
    """Escaping every `${` gives the text back, whatever it is."""
    assert fill(text.replace("${", "$${"), lambda _: None) == text


@given(st.text(max_size=20), st.text(max_size=20))
def test_values_are_not_filled_again(value: str, default: str) -> None:
    """A value that looks like a reference stays what it is: nothing in an environment can refer to more."""
    assert fill("${db.host:-" + default.replace("}", "") + "}", lambda _: value) == (value or default.replace("}", ""))


SERVICES = """\
test:
  services:
    db: {image: "postgres:15"}
    api: {release: team/api@stable, depends_on: [db], env: {URL: "${db.host}"}}
"""


def test_unknown_names_stand_at_their_place() -> None:
    """A name that nothing has is an error at its line and column, also in a service's own environment."""
    text = SERVICES.replace("db.host", "api.host")
    text += '  env: {A: "${dv.host}", B: "${db.host:-${x}}", C: "${api.port} ${run.x}"}\n'
    forms = "known are ALIAS.host, ALIAS.port, ALIAS.port.NUMBER, ALIAS.env.NAME, run.id and secret:NAME"
    assert said(text) == [
        "relman.yml:6:66: test.services.api.env.URL: unknown name api.host: no service api, known are db; api may "
        "refer to what it names under depends_on",
        "relman.yml:7:12: test.env.A: unknown name dv.host: no service dv, known are api, db",
        f"relman.yml:7:52: test.env.C: unknown name 'run.x': {forms}",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: {image: x, depends_on: [b]}", "a.depends_on[0]: there is no service b; known: a"),
        ("a: {image: x, depends_on: [a]}", "a.depends_on: services depend on each other in a cycle: a -> a"),
        ("a: {image: x, release: y@1}", "a: give one of image, release, not 2 of them"),
        ("a: {env: {}}", "a: say what it runs: one of image, release"),
        (
            "a: {release: db}",
            "a.release: expected NAME@TAG or REGISTRY/NAME@TAG, such as database-schema@stable",
        ),
        ('a: {release: "db@-x"}', "a.release: '-x' is not a tag"),
        ("a: {image: x, tmpfs: [run]}", "a.tmpfs[0]: expected an absolute path, found 'run'"),
        ('a: {image: x, volumes: ["d:/d", "e:/d"]}', "a.volumes[1]: another volume is mounted at /d"),
        ('a: {image: x, volumes: ["../d:/d"]}', "a.volumes[0]: a path of the host must be absolute, found '../d'"),
    ],
)
def test_mistakes_in_services(text: str, problem: str) -> None:
    """What a service cannot be is said at its key."""
    assert [p.partition(": ")[2] for p in said(f"test: {{services: {{{text}}}}}")] == [f"test.services.{problem}"]


def test_a_cycle_of_services() -> None:
    """Services that wait for each other are found before anything starts, with the cycle spelt out."""
    [problem] = said(
        "test:\n  services:\n    a: {image: x, depends_on: [b]}\n    b: {image: x, depends_on: [c]}\n"
        "    c: {image: x, depends_on: [a]}\n"
    )
    place, _, message = problem.partition(": test.services.")
    cycle = message.partition("cycle: ")[2].split(" -> ")
    assert place == f"relman.yml:{'__abc'.index(cycle[0]) + 3}:31"
    assert cycle[0] == cycle[-1]
    assert set(pairwise(cycle)) == {("a", "b"), ("b", "c"), ("c", "a")}


def test_services_in_full() -> None:
    """Releases are in the file's registry unless they name one; relative binds are below the file's directory."""
    stage = written(
        """
test:
  services:
    db: {release: "other.example:5000/db@1.2", volumes: ["data:/d", "./seed:/s:ro"], tmpfs: [/run, "/t:size=1m"]}
    api: {release: "team/api@sha256:DIGEST", depends_on: [db]}
""".replace("DIGEST", "a" * 64)
    ).test
    db, api = stage.services
    assert str(db.release) == "other.example:5000/db:1.2"
    assert str(api.release) == f"10.0.0.1:5000/team/api@sha256:{'a' * 64}"
    assert [m.source.rpartition("/")[2] for m in db.volumes] == ["data", "seed"]
    assert [m.is_bind for m in db.volumes] == [False, True]
    assert (db.tmpfs, api.depends_on) == ({"/run": "", "/t": "size=1m"}, ("db",))


def test_commands_in_full() -> None:
    """A command may be a mapping with a name, a time, result files and retries."""
    unit, plain = written("""
test:
  commands:
    - {name: unit, run: [pytest], timeout: 5m, junit: out.xml, retries: 2, allow_no_tests: true}
    - {run: make it, junit: [a.xml, reports]}
""").test.commands
    assert (unit.name, unit.argv, unit.timeout, unit.junit) == ("unit", ("pytest",), 300.0, ("out.xml",))
    assert (unit.retries, unit.allow_no_tests) == (2, True)
    assert (plain.argv, plain.timeout, plain.junit) == (("/bin/sh", "-c", "make it"), None, ("a.xml", "reports"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[~]", "[0]: expected a command: a list of words, or one text for /bin/sh -c"),
        ("[[]]", "[0]: expected a command: a list of words, or one text for /bin/sh -c"),
        ("[{name: x}]", "[0].run: this key is required"),
        ("[{run: x, junti: y}]", "[0].junti: unknown key; did you mean junit?"),
        ("[{run: x, retries: 11}]", "[0].retries: expected a number of retries from 0 to 10, found 11"),
        ("[{run: x, name: a}, {run: y, name: a}]", "[1].name: another command has this name"),
        (
            "[{run: x, allow_no_tests: true}]",
            "[0].allow_no_tests: nothing counts the tests: say with `junit` where the results are",
        ),
    ],
)
def test_mistakes_in_commands(text: str, problem: str) -> None:
    """What a command cannot be is said at its key."""
    assert [p.partition(": ")[2] for p in said(f"test: {{commands: {text}}}")] == [f"test.commands{problem}"]


def test_what_commands_are_run_with() -> None:
    """The image's ENTRYPOINT, nothing, other words, or not said; a shell's text is none of them."""
    for text, value in (("image", "image"), ("[]", ()), ("[tini, --]", ("tini", "--"))):
        stage = written(f"test: {{entrypoint: {text}}}").test
        assert (stage.entrypoint, stage.own_entrypoint) == (value, value if isinstance(value, tuple) else None)
    assert written("test: {}").test.entrypoint is None
    for text in ("/entry.sh", "true", "{a: b}"):
        (problem,) = said(f"test: {{entrypoint: {text}}}")
        assert "test.entrypoint: expected image, [] or a list of words, found" in problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("secrets: {npm: {}}", "secrets.npm: say where the secret is: one of env, file"),
        ("secrets: {npm: {env: A, file: b}}", "secrets.npm: give one of env, file, not 2 of them"),
        (
            "cache_from: [a b]",
            "cache_from[0]: expected an image, such as postgres:15 or REGISTRY/NAME:TAG; found 'a b'",
        ),
    ],
)
def test_mistakes_in_the_build(text: str, problem: str) -> None:
    """What a build cannot take is said at its key."""
    assert [p.partition(": ")[2] for p in said(f"build: {{{text}}}")] == [f"build.{problem}"]
