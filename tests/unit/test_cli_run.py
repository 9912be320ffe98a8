"""relman run, as a process: stages in order, recorded, resumed, cancelled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from relman.app.playbooks.runs import PlaybookRuns, new_run
from relman.model.errors import Locked
from tests.lab.process import started
from tests.lab.serving import serving
from tests.unit.cli import argv, environ, relman

ENV = {"DOCKER_HOST": "unix:///nowhere"}
STEPS = """
vars: {word: hello, file: null}
stages:
  - check: {command: [sh, -c, 'echo "$0 1" >> log', "${word}"]}
  - check: {command: 'test -e "$file" && echo "$word 2" >> log'}
  - confirm: Go on with ${word}?
  - check: {command: [sh, -c, "echo 3 >> log"]}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the playbook is."""
    (tmp_path / "p.yml").write_text(STEPS)
    return tmp_path


def run(home: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """`relman run` with data of its own; it must end with `code`."""
    done = relman(*arguments, cwd=home, env={**ENV, "RELMAN_DATA_DIR": str(home / "data")})
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def log(home: Path) -> list[str]:
    """What the stages wrote."""
    file = home / "log"
    return file.read_text().splitlines() if file.exists() else []


def test_a_failed_playbook_is_resumed_after_the_last_success(home: Path) -> None:
    """The plan is shown, stages run in order, the failing one ends it with its exit code; --resume skips what is done,
    keeps the variables, and `relman show` tells it all."""
    failed = run(home, "playbook", "run", "p.yml", "--yes", "-v", "file=there", code=13)
    assert "a person confirms: Go on with hello?" in failed.stdout
    assert "--resume" in failed.stderr
    assert log(home) == ["hello 1"]
    (home / "there").touch()
    run(home, "run", "p.yml", "--resume", "-v", "file=other", code=2)
    done = run(home, "--json", "run", "p.yml", "--resume", "--yes")
    assert log(home) == ["hello 1", "hello 2", "3"]
    plan, *stages = map(json.loads, done.stdout.splitlines())
    assert [stage["state"] for stage in plan["stages"]] == ["done", "failed", "waiting", "waiting"]
    assert [(stage["number"], stage["exit"]) for stage in stages] == [(2, 0), (3, 0), (4, 0)]
    assert run(home, "show", plan["id"]).stdout.count(" done ") == 4
    assert "last run is complete" in run(home, "run", "p.yml", "--resume", code=2).stderr


def test_the_history_lists_runs_of_playbooks(home: Path) -> None:
    """Each with what came of it, the newest first, and the id that `relman show` takes; not where only one
    service is asked for."""
    run(home, "run", "p.yml", "--yes", "-v", "file=there", code=13)
    (home / "there").touch()
    run(home, "run", "p.yml", "--yes", "-v", "file=there")
    said = run(home, "history").stdout
    assert "ran p.yml" in said
    new, old = json.loads(run(home, "--json", "history").stdout)["entries"]
    assert (new["what"], new["outcome"]) == ("ran", "done")
    assert old["outcome"] == "failed at stage 2 of 4 (exit code 13)"
    assert old["release"] == str(home / "p.yml")
    assert "failed" in run(home, "show", old["id"]).stdout
    assert len(json.loads(run(home, "--json", "history", "-n", "1").stdout)["entries"]) == 1
    assert "nothing is recorded" in run(home, "history", "--service", "shop").stdout


def test_the_history_tells_a_run_at_work_from_one_whose_process_died(tmp_path: Path) -> None:
    """Both left a stage that is running; only one is held."""
    runs, run = PlaybookRuns(tmp_path / "playbooks"), new_run("/p.yml", "0", {}, ["x", "y"])
    runs.save(run.with_stage(0, state="running", started="2026-01-01T00:00:00.000Z"))

    def outcome() -> str:
        said = relman("--json", "history", env={**ENV, "RELMAN_DATA_DIR": str(tmp_path)}).stdout
        return str(json.loads(said)["entries"][0]["outcome"])

    with runs.held(run):
        assert outcome() == "at stage 1 of 2"
    assert outcome() == "interrupted at stage 1 of 2"


def test_nothing_is_done_before_all_is_known(home: Path) -> None:
    """--plan, a missing variable, a person who will be asked and is not there, another playbook than the one that was
    begun: no stage runs."""
    run(home, "run", "p.yml", "--plan", "-v", "file=x")
    assert "-v file=VALUE" in run(home, "run", "p.yml", code=2).stderr
    assert "no terminal" in run(home, "run", "p.yml", "-v", "file=x", code=2).stderr
    assert "nothing to resume" in run(home, "run", "p.yml", "--resume", code=2).stderr
    assert log(home) == []
    run(home, "run", "p.yml", "--yes", "-v", "file=x", code=13)
    (home / "p.yml").write_text(STEPS + "# changed\n")
    assert "has changed" in run(home, "run", "p.yml", "--resume", code=2).stderr


@pytest.mark.parametrize(
    ("stage", "code", "words"),
    [
        ("rollback: {environment: production}", 2, "cannot read inventories"),
        ("ci: {file: nowhere.yml}", 2, "there is no nowhere.yml"),
        ("check: {command: [nothing-of-that-name]}", 2, "cannot run nothing-of-that-name"),
        ("check: {command: [sh, -c, 'echo why; exit 3']}", 13, "exit code 3"),
        ("check: {command: [sleep, '30']}, timeout: 300ms", 13, "did not end within 0.3 s"),
        ("check: {http: {url: 'http://127.0.0.1:1/'}}, timeout: 300ms", 13, "did not answer"),
        ("check: {http: {url: 'ftp://x/'}}", 2, "is not a URL"),
    ],
)
def test_a_stage_ends_the_playbook_with_its_exit_code(home: Path, stage: str, code: int, words: str) -> None:
    """A command of relman's ends as it does alone; a check that fails or times out is 9."""
    (home / "p.yml").write_text(f"stages: [{{{stage}}}, {{check: {{command: [touch, log]}}}}]\n")
    assert words in run(home, "run", "p.yml", code=code).stderr
    assert log(home) == []


def test_a_verb_that_takes_too_long_is_cancelled(home: Path) -> None:
    """The stage's time is the command's own --timeout: it puts in order what it does, and ends with 130."""
    (home / "relman.yml").write_text("service: shop\nregistry: localhost:1\ntest: {commands: [x]}\n")
    (home / "git").write_text("#!/bin/sh\nsleep 20\n")
    (home / "git").chmod(0o755)
    (home / "p.yml").write_text("stages: [{ci: {run: a/1}, timeout: 1}, {check: {command: [touch, log]}}]\n")
    env = {**ENV, "RELMAN_DATA_DIR": str(home / "data"), "PATH": f"{home}:{os.environ['PATH']}"}
    done = relman("run", "p.yml", cwd=home, env=env)
    assert done.returncode == 130, done.stderr
    assert "--timeout has passed" in done.stderr
    assert log(home) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_cancelled_playbook_leaves_no_program_and_can_be_resumed(home: Path, number: signal.Signals) -> None:
    """The program of the stage is ended with all that it started, and the stage counts as failed."""
    (home / "p.yml").write_text("stages:\n  - check: {command: 'sleep 77 & echo $! > pid; echo ready; wait'}\n")
    env = environ({**ENV, "RELMAN_DATA_DIR": str(home / "data")})
    with subprocess.Popen(argv("run", "p.yml"), cwd=home, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert any(line == "ready\n" for line in process.stdout)
        process.send_signal(number)
        assert process.wait(20) == 130
    assert started(int((home / "pid").read_text())) is None
    (file,) = (home / "data/playbooks").glob("*.json")
    assert json.loads(file.read_text())["stages"][0]["state"] == "failed"


class Answers(BaseHTTPRequestHandler):
    """503 twice, then 200."""

    asked = 0

    def do_GET(self) -> None:
        """Answer."""
        type(self).asked += 1
        self.send_response(200 if type(self).asked > 1 else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    """A server that needs a moment."""
    server = HTTPServer(("127.0.0.1", 0), Answers)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_address[1]}/health"


def test_a_url_is_asked_until_it_answers(home: Path, address: str) -> None:
    """What needs a moment after a deployment gets it."""
    (home / "p.yml").write_text(f"stages: [{{check: {{http: {{url: '{address}', status: 200}}}}, timeout: 10}}]\n")
    assert "answers 200" in run(home, "run", "p.yml").stdout


def test_a_run_is_held_by_one_process(tmp_path: Path) -> None:
    """--resume beside the process that is still at work is refused."""
    runs, run = PlaybookRuns(tmp_path), new_run("/p.yml", "0", {}, ["x"])
    runs.save(run)
    assert runs.newest("/p.yml") == runs.get(run.id) == run
    with runs.held(run), pytest.raises(Locked), runs.held(run):
        pass
    (tmp_path / f"{run.id}.json").write_text("{")
    assert runs.newest("/p.yml") is None
