"""A host dies at a random moment of a command: what the command says then is true, and what it advises mends it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from relman.cli.exits import Exit
from relman.model.plan import Result
from tests.e2e.stage import ALL_AT_ONCE, DEPLOY, Ended, Stage
from tests.lab.host import LabHost
from tests.lab.lab import at_once
from tests.lab.process import until
from tests.soak.left_behind import files_of, state_of, tidy
from tests.soak.moments import DELAY, Kill
from tests.soak.points import AT_ONCE, SECRETS

TAGS = ("k1", "k2", "k3", "k4", "k5")
TASK = {"name": "migrate", "command": "echo begun; sleep 0.4; echo done", "rollback_safe": True}
RELEASED: Mapping[str, Any] = {
    **AT_ONCE,
    "health": {**AT_ONCE["health"], "window": "0.3s", "interval": "0.1s", "timeout": DEPLOY["health"]["timeout"]},
    "tasks": [TASK],
}
BALLAST = 20_000_000  # bytes: a pull that takes a moment
ROUNDS = 4
FOUGHT_OVER = ("port is already allocated", "address already in use")


@dataclass(frozen=True)
class Seen:
    """How a command ended whose host `died`."""

    ended: Ended
    died: str
    during: tuple[str, ...]
    in_vain: bool

    @property
    def documents(self) -> dict[str, dict[str, Any]]:
        """What it printed for programs, by kind."""
        return {d["kind"]: d for d in map(json.loads, self.ended.out.splitlines())}


class Kills:
    """A stage on which hosts are killed."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def prepare(self) -> None:
        """Releases with a task and something to pull; two of them deployed."""
        self.stage.write_inventory(relman_secrets=SECRETS)
        for tag in TAGS:
            self.stage.release(tag, deploy=RELEASED, ballast=BALLAST)
        self.reset()

    def reset(self) -> None:
        """Hosts as new, with two releases deployed."""
        at_once(host.reset for host in self.stage.lab.hosts)
        self._deploy()
        self._deploy()

    def trial(self, kill: Kill) -> str:
        """Try it: returns a line about it, empty where the moment never came. Raises AssertionError with the kill in
        its text; whoever goes on after that resets."""
        begin = time.monotonic()
        try:
            return self._trial(kill, begin)
        except AssertionError as error:
            raise AssertionError(f"{kill}: {error}") from error

    def _trial(self, kill: Kill, begin: float) -> str:
        origin = self._ready(kill)
        arguments = self._arguments(kill)
        before = self._running()
        seen = self._run(kill, arguments)
        if not seen.died:
            assert seen.ended.code == 0, f"nobody died, and it ended with {seen.ended.text}"
            return ""
        claims = _claims(kill, seen, before, origin)
        self._hold({h: c for h, c in claims.items() if h != seen.died}, seen)
        dead = next(h for h in self.stage.lab.hosts if h.name == seen.died)
        dead.start()
        self._hold({h: c for h, c in claims.items() if h == seen.died}, seen)
        way = self._mend()
        said = f"exit {seen.ended.code}, during {'+'.join(seen.during) or 'nothing'}"
        return f"{seen.died} {said}, {way}, {time.monotonic() - begin:.1f} s"

    # Before

    def _ready(self, kill: Kill) -> str:
        """Bring the hosts to where the command begins; returns the release that all of them served in the end."""
        if kill.command == "rollback" and not all(row["rollback"] for row in self.stage.status()):
            self._deploy()
        origin = _only(self._running())
        if kill.command == "recovery":
            what, number = kill.interrupted
            argv = ("deploy", self._fresh(), "-e", "production", "--yes")
            self.stage.relman_killed(what, number, *argv)
        return origin

    def _deploy(self) -> None:
        self.stage.deploy(self._fresh(), *ALL_AT_ONCE)
        for host in self.stage.lab.hosts:
            tidy(host)

    def _fresh(self) -> str:
        """A release that no host remembers, so that it has to be pulled."""
        known: set[str] = set()
        for host in self.stage.lab.hosts:
            file = host.path(state_of("production")) / "record.json"
            known |= {e["release"] for e in json.loads(file.read_text())["entries"]} if file.exists() else set()
        return next(tag for tag in TAGS if tag not in known)

    def _arguments(self, kill: Kill) -> tuple[str, ...]:
        place = ("-e", "production")
        if kill.command == "deployment":
            return ("deploy", self._fresh(), *place, "--yes")
        return ("rollback", *place, "--yes") if kill.command == "rollback" else ("recover", *place)

    # The kill

    def _run(self, kill: Kill, arguments: tuple[str, ...]) -> Seen:
        stage, report = self.stage, self.stage.home / "death.json"
        head = ("tests.soak.mortal", str(stage.lab.layout.id), kill.moment, str(kill.number), f"{kill.seconds}")
        report.unlink(missing_ok=True)
        with ExitStack() as stack:
            if kill.far:
                at_once(lambda h=host: stack.enter_context(h.delay(DELAY)) for host in stage.lab.hosts)  # type: ignore[misc]
            done = stage.run(*head, str(report), "--json", *arguments)
        ended = Ended(done.returncode, done.stdout, done.stderr)
        for word in ("internal error", "Traceback"):
            assert word not in ended.text, ended.text
        assert ended.code in set(Exit) - {Exit.INTERNAL, Exit.USAGE}, ended.text
        said = json.loads(report.read_text())
        return Seen(ended, said["died"], tuple(said["during"]), said["in_vain"])

    def _hold(self, claims: Mapping[str, tuple[str, ...]], seen: Seen) -> None:
        """What was claimed about these hosts is so."""
        running = {host: releases for host, releases in self._running().items() if host in claims}
        assert running == claims, f"it said {claims}, but there runs {running}\n{seen.ended.text}"

    def _running(self) -> dict[str, tuple[str, ...]]:
        """The releases that run on the hosts that are on, from their engines themselves."""
        return {h.name: _releases(h) for h in self.stage.lab.hosts if h.pid}

    # After

    def _mend(self) -> str:
        """Do what `status` advises until it says that all is well; returns what that took."""
        did: list[str] = []
        while code := (said := self.stage.any("status", "-e", "production")).code:
            assert len(did) < ROUNDS, f"status ends with {code} after {', '.join(did)}\n{said.text}"
            did.append(self._advised(said))
        release = _only(self._running())
        until(
            lambda: set(self.stage.versions()) == {release}, f"{release} to be served, not {self.stage.versions()}", 15
        )
        if any(len(files_of(host)) > 1 for host in self.stage.lab.hosts):
            self.stage.relman("recover", "-e", "production")  # a lock that means nothing, or what was half written
            did.append("recover for what lay about")
        for host in self.stage.lab.hosts:
            tidy(host, images=False)
        return " and ".join(did) or "nothing to mend"

    def _advised(self, said: Ended) -> str:
        """Type what the advice says; an engine that keeps a port for nobody is restarted first."""
        found = re.search(r"relman (recover|deploy|rollback)\b", said.text)
        assert found, f"it advises nothing: {said.text}"
        verb = found[1]
        words = {
            "deploy": ("deploy", self._fresh(), "--yes"),
            "rollback": ("rollback", "--yes"),
            "recover": ("recover",),
        }
        ended = self.stage.any(*words[verb], "-e", "production")
        if ended.code and any(text in ended.text for text in FOUGHT_OVER):
            at_once(host.restart_engine for host in self.stage.lab.hosts)
            return f"{verb} (a port was kept for nobody)"
        assert ended.code == 0, f"{verb} as advised ended with {ended.code}\n{said.text}\n{ended.text}"
        return verb


def _claims(kill: Kill, seen: Seen, before: Mapping[str, tuple[str, ...]], origin: str) -> dict[str, tuple[str, ...]]:
    """What the command says that hosts run; nothing about one that is unknown. The code is the one for that."""
    documents, ended = seen.documents, seen.ended
    error = documents.get("error")
    assert (error["code"] if error else 0) == ended.code, ended.text
    if "report" not in documents:
        assert ended.code in (Exit.NOTHING_CHANGED, Exit.UNKNOWN), ended.text
        return {host: releases for host, releases in before.items() if host != seen.died}
    report = documents["report"]
    results = {row["host"]: Result(row["result"]) for row in report["hosts"]}
    assert results.keys() == before.keys(), ended.text
    assert ended.code in _codes(set(results.values()), way_back=kill.command == "recovery"), ended.text
    unknown = {host for host, result in results.items() if result is Result.UNKNOWN}
    assert unknown <= {seen.died}, ended.text
    assert seen.died in unknown or not seen.in_vain, f"{seen.died} did not answer, and is not unknown\n{ended.text}"
    return {
        host: _runs(result, report["release"], before[host], origin)
        for host, result in results.items()
        if host not in unknown
    }


def _runs(result: Result, release: str, before: tuple[str, ...], origin: str) -> tuple[str, ...]:
    """What runs on a host with this result: no other result is right for a host that lives."""
    now = {Result.CHANGED: (release,), Result.RETURNED: (origin,)}
    stays = (Result.UNCHANGED, Result.NOT_REACHED)
    assert result in now or result in stays, result
    return now.get(result, before)


def _codes(results: set[Result], *, way_back: bool) -> set[int]:
    """The exit codes that may go with these results (docs/reference/exit-codes.md); a `way_back` returns hosts."""
    for result, code in (
        (Result.NOT_SERVING, Exit.NOT_SERVING),
        (Result.INTERRUPTED, Exit.LOCKED),
        (Result.FAILED, Exit.MIXED_FLEET),
        (Result.UNKNOWN, Exit.UNKNOWN),
    ):
        if result in results:
            return {code}
    if way_back or results <= {Result.CHANGED, Result.UNCHANGED}:
        return {Exit.DONE}
    return {Exit.MIXED_FLEET} if Result.CHANGED in results else {Exit.ROLLED_BACK, Exit.NOTHING_CHANGED}


def _releases(host: LabHost) -> tuple[str, ...]:
    """The releases that run on a host."""
    with host.engine() as engine:
        found = engine.containers(filters={"label": "relman.service=demo"})
    return tuple(sorted(c["Labels"]["relman.release"] for c in found if "relman.task" not in c["Labels"]))


def _only(running: Mapping[str, tuple[str, ...]]) -> str:
    """The one release that runs on all hosts, once on each."""
    releases = set(running.values())
    assert len(releases) == 1, f"different releases run: {running}"
    (release,) = releases.pop()
    return release
