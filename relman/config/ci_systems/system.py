"""What relman knows of a CI system: which variables say what, and how its log is written."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Group = Callable[[int, str, int], str]
Annotate = Callable[[str, str, int, int], str]
Output = Callable[[str, str], str]


def _plain(_number: int, _title: str, _now: int) -> str:
    return ""


def _unmarked(_message: str, _file: str, _line: int, _column: int) -> str:
    return ""


def as_variable(name: str, value: str) -> str:
    """One output as a line that a shell, a dotenv file or a properties file takes: RELMAN_RELEASE, RELMAN_DIGEST."""
    return f"RELMAN_{name.upper()}={value}"


@dataclass(frozen=True)
class System:
    """One CI system. Where several variables are named for a fact, the first that is set counts.

    `job` are those that together name the job, `build` numbers the run, and `matrix` says which of several parallel
    copies of a job this is; `url` has them in braces. `begin` and `end`
    make the line that opens and closes a group of the log, from the group's number, its title and the time in seconds
    since the epoch; `annotate` marks an error at file, line and column (empty or 0 where there is none). All three are
    empty texts where the system has no such thing. `summary` and `outputs` name the variables that hold the path of the
    job's summary (Markdown) and of its outputs, which are written with `output`; `workspace` is where the paths of
    annotations start.
    """

    title: str = ""
    job: tuple[str, ...] = ()
    build: str = ""
    matrix: str = ""
    commit: tuple[str, ...] = ()
    branch: tuple[str, ...] = ()
    actor: tuple[str, ...] = ()
    url: str = ""
    begin: Group = _plain
    end: Group = _plain
    annotate: Annotate = _unmarked
    summary: str = ""
    outputs: str = ""
    output: Output = as_variable
    workspace: str = ""

    def is_here(self, env: Mapping[str, str]) -> bool:
        """Whether these are the variables of one of its jobs."""
        return all(env.get(name) for name in (*self.job, self.build))

    def facts(self, env: Mapping[str, str]) -> Facts:
        """What its variables say; RELMAN_BRANCH, RELMAN_ACTOR and RELMAN_RUN_URL win."""
        branch = env.get("RELMAN_BRANCH") or _first(env, self.branch).removeprefix("origin/")
        actor = env.get("RELMAN_ACTOR") or _first(env, self.actor)
        return Facts(_first(env, self.commit), branch, actor, env.get("RELMAN_RUN_URL") or _filled(self.url, env))


@dataclass(frozen=True)
class Facts:
    """What a job's variables say: commit, branch, who asked for it, and where its log is; empty where they do not."""

    commit: str = ""
    branch: str = ""
    actor: str = ""
    url: str = ""


def _first(env: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((env[name] for name in names if env.get(name)), "")


def _filled(template: str, env: Mapping[str, str]) -> str:
    names = [name for _, name, _, _ in string.Formatter().parse(template) if name]
    return template.format_map({name: env[name] for name in names}) if all(env.get(name) for name in names) else ""


NONE = System()
