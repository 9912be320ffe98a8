"""The command line's promises to whoever types it and to whoever calls it from a program."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import click
import pytest

from relman import __version__
from relman.cli.exits import EXITS, Exit, exit_of
from relman.cli.main import SECTIONS, VERBS, Verbs
from relman.cli.main import relman as group
from relman.model import errors
from tests.unit.cli import argv, environ, python, relman

GOOD = "service: shop\nregistry: registry.example.org:5000\n"
HEAVY = (
    "docker",
    "paramiko",
    "fabric",
    "pydantic",
    "sqlalchemy",
    "alembic",
    "requests",
    "rich",
    "yaml",
    "platformdirs",
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with a good relman.yml and its Dockerfile."""
    (tmp_path / "relman.yml").write_text(GOOD)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    return tmp_path


def _subclasses(kind: type[BaseException]) -> set[type[BaseException]]:
    return {kind}.union(*(_subclasses(c) for c in kind.__subclasses__()))


def test_every_error_has_an_exit_code_of_its_own_meaning() -> None:
    """Only InternalError, the bare root, and the root of what a command can come to, end as internal errors."""
    kinds = _subclasses(errors.RelmanError) - {errors.RelmanError, errors.Conclusion, errors.InternalError}
    assert {k.__name__ for k in kinds if exit_of(k) is Exit.INTERNAL} == set()
    assert set(EXITS) <= kinds


def test_the_nearest_class_decides_the_code() -> None:
    """A class without a code of its own has its parent's."""
    assert exit_of(errors.TagMoved) == 3
    assert exit_of(errors.HostKeyRejected) == 4
    assert exit_of(ValueError) == 1


@pytest.mark.parametrize("line", [["--help"], ["--version"], []])
def test_help_imports_nothing_heavy(line: list[str]) -> None:
    """Listing the commands loads none of their libraries."""
    loaded = _loaded(*line)
    assert "click" in loaded
    assert set(HEAVY) & {name.partition(".")[0] for name in loaded} == set()


@pytest.mark.parametrize(
    ("verb", "module"),
    [
        (["rollback", "--yes"], "relman.app.deployments.rollback"),
        (["deploy", "1", "--yes"], "relman.app.deployments.deploy"),
        (["status"], "relman.app.looking.status"),
    ],
)
def test_what_is_typed_at_night_loads_nothing_of_ci(verb: list[str], module: str, tmp_path: Path) -> None:
    """Rollback, deploy and status, as far as a host that does not answer: neither the modules of builds and tests, nor
    the libraries of relman.yml, of the CI machine's engine and of the ledger's database."""
    inventory = tmp_path / "hosts.ini"
    inventory.write_text(
        "[production]\nh1 ansible_host=127.0.0.1 ansible_port=1 ansible_user=nobody\n"
        '[production:vars]\nrelman_services={"shop": "127.0.0.1:1/shop"}\n'
    )
    loaded = _loaded(*verb, "-e", "production", "-i", str(inventory))
    assert {module, "relman.rollout.fleet", "paramiko"} <= set(loaded)
    assert [name for name in loaded if name.startswith("relman.ci.")] == []
    assert {"docker", "pydantic", "sqlalchemy", "alembic"} & set(loaded) == set()


ALONE = """
import docker, fabric, importlib, os, rich.console, sqlalchemy, sys
import relman.cli.main, relman.config.schema.service  # far down, and slow
for module in sys.argv[1:]:
    if not (child := os.fork()):
        importlib.import_module(module)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print(module)
"""


def test_every_command_can_be_the_first_that_a_process_loads() -> None:
    """No module needs one that another command brings along. What most tests run has loaded all of relman before."""
    modules = [where.partition(":")[0] for where, _ in VERBS.values()]
    done = subprocess.run(python(ALONE, *modules), capture_output=True, text=True, check=True)
    assert done.stdout == "", done.stderr


def _loaded(*line: str) -> list[str]:
    """The modules that are there after a command."""
    code = (
        "import os, sys\nfrom relman.cli.main import run\nfrom relman.cli.signals import Signals\n"
        "run(sys.argv[1:], os.environ, Signals())\nprint('LOADED', *sys.modules)"
    )
    done = subprocess.run(python(code, *line), capture_output=True, text=True, check=True)
    return done.stdout.rpartition("LOADED")[2].split()


def test_the_listing_says_what_each_verb_says_of_itself() -> None:
    """The table's line for a verb is the first line of its help, and the verb has the name it is listed under."""
    context = click.Context(group)
    assert isinstance(group, Verbs)
    for name, (_, line) in VERBS.items():
        command = group.get_command(context, name)
        assert command is not None
        assert (command.name, (command.help or "").partition("\n")[0]) == (name, line)


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_names_every_verb_once_in_80_columns(option: str) -> None:
    """`relman -h` lists all, each in one section on one line, and ends well; a verb's -h is its help."""
    done = relman(option)
    assert done.returncode == 0
    assert [v for v in VERBS if done.stdout.count(f"  {v} ") != 1] == []
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted(VERBS)
    assert relman("check", option).stdout.startswith("Usage: relman check")


def test_the_version_is_said() -> None:
    """`relman --version` is one line."""
    assert relman("--version").stdout == f"relman {__version__}\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["chekc"], "Did you mean `relman check`?"),
        (["--nonsense"], "See `relman --help`."),
        (["check", "--nonsense"], "See `relman check --help`."),
        (["--timeout", "0", "check"], "above 0"),
        (["--timeout", "nan", "check"], "above 0"),
        (["check", "--timeout", "1e300"], "above 0"),
        (["check", "-f", "/nowhere/relman.yml"], "there is no /nowhere/relman.yml"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(line: list[str], said: str) -> None:
    """A wrong command line ends with 2, says so on stderr, and says what to do."""
    done = relman(*line)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_no_command_shows_the_help_and_fails() -> None:
    """A script whose variable for the command is empty does not go on as if it had run."""
    done = relman()
    assert (done.returncode, done.stdout) == (2, "")
    assert "To begin:" in done.stderr


@pytest.mark.parametrize("line", [["--json", "check"], ["check", "--json"]])
def test_json_is_one_versioned_document(project: Path, line: list[str]) -> None:
    """--json means the same before and after the verb: one document on stdout, nothing else."""
    done = relman(*line, cwd=project)
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert (document["version"], document["kind"], document["service"]) == (1, "check", "shop")
    assert done.stderr == ""


def test_errors_are_documents_too(project: Path) -> None:
    """With --json an error is a document with its exit code, and text on stderr."""
    (project / "relman.yml").write_text("service: shop\nregistri: x:5000\n")
    done = relman("check", "--json", cwd=project)
    document = json.loads(done.stdout)
    assert (document["kind"], document["code"], done.returncode) == ("error", 2, 2)
    assert (document["error"], document["message"]) == ("ConfigError", "2 problems in relman.yml")
    assert document["host"] is None
    assert ("relman.yml", 2, 1, "registri") in [
        (w["file"], w["line"], w["column"], w["key"]) for w in document["where"]
    ]
    assert any(line.startswith("relman.yml:2:1: registri") for line in document["details"])
    assert "error: " in done.stderr


@pytest.mark.parametrize(
    "line",
    [("check", "--nonsense"), ("chekc",), (), ("--timeout", "0", "check"), ("deploy",), ("check", "-f", "no.yml")],
)
@pytest.mark.parametrize("first", [True, False])
def test_json_is_honoured_on_a_line_that_cannot_be_read(line: tuple[str, ...], first: bool) -> None:
    """Also a usage error is one document for a program that asked for them, and its hint says what to type."""
    done = relman(*(("--json", *line) if first else (*line, "--json")))
    document = json.loads(done.stdout)
    assert document["code"] == done.returncode == 2
    assert document["message"]
    assert document["hint"]


def test_debug_shows_the_traceback(project: Path) -> None:
    """--debug adds the traceback of an error to its text."""
    (project / "relman.yml").write_text("{")
    assert "Traceback" not in relman("check", cwd=project).stderr
    done = relman("check", "--debug", cwd=project)
    assert "error: " in done.stderr
    assert "Traceback" in done.stderr


def test_a_bug_is_called_a_bug() -> None:
    """An error that relman does not know ends with 1 and says how to see more."""
    code = (
        "import sys\nimport relman.config.service as s\nfrom relman.cli.main import main\n"
        "def broken(path): raise KeyError('boo\\x1b[2J')\n"
        "s.check_service = broken\nsys.argv = ['relman', 'check', '-f', 'relman.yml', '--json']\nmain()"
    )
    done = subprocess.run(python(code), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (json.loads(done.stdout)["code"], json.loads(done.stdout)["error"]) == (1, "InternalError")
    assert done.stderr.startswith("error: internal error: KeyError: ")
    assert "--debug" in done.stderr
    assert "\x1b" not in done.stderr


def test_a_reader_that_went_away_is_no_error(project: Path) -> None:
    """Output into a closed pipe ends quietly, with the command's own exit code."""
    for line in (["check"], ["--help"], ["check", "--help"], ["--json", "check"]):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            argv(*line), cwd=project, stdout=write, stderr=subprocess.PIPE, text=True, env=environ(), check=False
        )
        os.close(write)
        assert (done.returncode, done.stderr) == (0, ""), line


def test_a_full_disk_under_the_output_is_said(project: Path) -> None:
    """What could not be written is not passed over in silence."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(argv("check"), cwd=project, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert "No space left on device" in done.stderr


def test_closed_standard_streams_do_not_matter(project: Path) -> None:
    """A command started with `>&- 2>&-` does its work."""
    code = "import os, sys\nos.close(1)\nos.close(2)\nos.execv(sys.argv[1], sys.argv[1:])"
    done = subprocess.run(python(code, *argv("check")), cwd=project, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(("extra", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colour_is_for_terminals_that_want_it(extra: dict[str, str], coloured: bool) -> None:
    """A terminal gets colour, unless NO_COLOR or TERM=dumb says otherwise; a pipe gets none."""
    leader, follower = pty.openpty()
    env = environ({"TERM": "xterm"} | extra)
    subprocess.run(argv("check", "-f", "/nowhere"), stderr=follower, stdout=follower, env=env, check=False)
    shown = os.read(leader, 4096)
    os.close(leader)
    os.close(follower)
    assert b"there is no /nowhere" in shown
    assert (b"\x1b[" in shown) is coloured
    assert "\x1b[" not in relman("check", "-f", "/nowhere", env={"TERM": "xterm"}).stderr


@pytest.mark.parametrize("way", ["import", "console script"])
def test_relman_starts_in_both_ways(way: str) -> None:
    """`python -m relman` and the console script are the same program."""
    command = [sys.executable, "-m", "relman"] if way == "import" else [str(Path(sys.executable).with_name("relman"))]
    assert subprocess.run([*command, "--version"], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["build", "--build-arg", "1=x"], "'1' is not NAME=VALUE"),
        (["build", "--build-arg", "SECRET"], "NAME=VALUE"),
        (["cleanup", "--older-than", "2 days"], "expected a duration"),
        (["cleanup", "--older-than", "99999d"], "expected at most 1000000000 seconds"),
        (["cleanup", "--older-than", "2h", "--run", "a/1"], "exclude each other"),
        (["ci"], "this run has no name"),
        (["test", "--run", "shop"], "not a run's name"),
        (["promote", "--image", "elsewhere.example/shop:1"], "is not in registry.example.org:5000/shop"),
        (["promote", "--image", "sha256:123"], "not a sha256 digest"),
        (["promote", "--results", "none.json"], "cannot read the test results in none.json"),
    ],
)
def test_ci_verbs_refuse_what_cannot_be(project: Path, line: list[str], said: str) -> None:
    """What is wrong on the line is found before any engine or registry is asked."""
    unnamed = dict.fromkeys(("BUILD_NUMBER", "GITHUB_RUN_NUMBER", "CI_PIPELINE_IID"), "")
    done = relman(*line, cwd=project, env={"DOCKER_HOST": "unix:///nowhere", **unnamed})
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_fault_of_relman_s_own_leaves_a_report(tmp_path: Path) -> None:
    """The error says where it is; it has the traceback, is for its user alone, and without the command line. Where it
    cannot be written, the error is the same without it."""
    code = (
        "import relman.config.service as service\nfrom relman.cli.main import main\n"
        "def work(path):\n    raise KeyError('boom')\nservice.check_service = work\nmain()"
    )
    env = {**environ(), "RELMAN_DATA_DIR": str(tmp_path / "data")}
    line = python(code, "check", "-f", "relman-of-mine.yml")
    done = subprocess.run(line, capture_output=True, text=True, env=env)
    (report,) = (tmp_path / "data/faults").iterdir()
    assert done.returncode == 1
    assert done.stderr == (
        f"error: internal error: KeyError: 'boom'\n"
        f"hint: This is a bug in relman. Its report is in {report}; --debug shows it here.\n"
    )
    assert report.stat().st_mode & 0o777 == 0o600
    assert "raise KeyError('boom')" in report.read_text() or "KeyError: 'boom'" in report.read_text()
    assert "relman-of-mine" not in report.read_text()
    (tmp_path / "file").touch()
    done = subprocess.run(line, capture_output=True, text=True, env=env | {"RELMAN_DATA_DIR": str(tmp_path / "file")})
    assert (done.returncode, "--debug shows the traceback" in done.stderr) == (1, True)
