"""The properties of a CI system: the variables of its jobs, and the syntax of its log."""

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
    """One output as a line for a shell, a dotenv file or a properties file: RELMAN_RELEASE=…, RELMAN_DIGEST=…."""
    return f"RELMAN_{name.upper()}={value}"


@dataclass(frozen=True)
class System:
    """One CI system. Where several variables are named for one fact, the first that is set is used.

    `job` are the variables that together name the job, `build` is the number of the run, `matrix` the index of a
    parallel copy of a job; `url` is a template of them. `begin` and `end` return the line that opens and closes a
    section of the log, given its number, its title and the time in seconds since the epoch; `annotate` marks an error
    at file, line and column ("" or 0 if unknown). All three return "" where the system has no such feature. `summary`
    and `outputs` name the variables with the paths of the job's summary (Markdown) and of its outputs, which `output`
    formats; `workspace` is the directory to which paths in annotations are relative.
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

    def facts(self, env: Mapping[str, str]) -> JobFacts:
        """Read the job's variables; RELMAN_BRANCH, RELMAN_ACTOR and RELMAN_RUN_URL take precedence."""
        branch = env.get("RELMAN_BRANCH") or _first(env, self.branch).removeprefix("origin/")
        actor = env.get("RELMAN_ACTOR") or _first(env, self.actor)
        return JobFacts(_first(env, self.commit), branch, actor, env.get("RELMAN_RUN_URL") or _filled(self.url, env))


@dataclass(frozen=True)
class JobFacts:
    """A job's commit, branch, triggering person, and log URL; "" where unknown."""

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
