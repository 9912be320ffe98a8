"""Describe a stage, and expand its variables. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from relman.config import deploy_variables
from relman.model.playbook import OUTPUTS, Action, Command, Confirm, Http, Stage, Verb, Wait


def filled(action: Action, variables: Mapping[str, str]) -> Action:
    """The action with its variables expanded; relman options with an empty value are dropped. Raises ValueError for a
    variable without a value."""
    match action:
        case Verb(argv):
            return Verb(_without_empty([deploy_variables.fill(word, variables) for word in argv]))
        case Command(argv) if not action.is_text:
            return Command(tuple(deploy_variables.fill(word, variables) for word in argv))
        case Http(url, status, ca):
            return Http(deploy_variables.fill(url, variables), status, deploy_variables.fill(ca, variables))
        case Confirm(question):
            return Confirm(deploy_variables.fill(question, variables))
    return action


def _without_empty(argv: list[str]) -> tuple[str, ...]:
    options = {at for at, word in enumerate(argv[:-1]) if word.startswith("--") and word != "--" and not argv[at + 1]}
    return tuple(word for at, word in enumerate(argv) if not {at, at - 1} & options)


def in_words(stage: Stage, variables: Mapping[str, str]) -> str:
    """One line about a stage; variables that an earlier stage will set are shown as `${name}`."""
    shown = {name: f"${{{name}}}" for name in OUTPUTS} | dict(variables)
    match filled(stage.action, shown):
        case Verb(argv):
            words = f"relman {' '.join(_quoted(word) for word in argv if word != '--')}"
        case Command(argv) as command:
            words = f"run: {argv[2] if command.is_text else ' '.join(map(_quoted, argv))}"
        case Http(url, status):
            words = f"check {url} for {status or 'a status from 200 to 399'}"
        case Wait(seconds):
            words = f"wait {seconds:g} s"
        case Confirm(question):
            words = f"a person confirms: {question}"
    return f"{stage.name} ({words})" if stage.name else words


def _quoted(word: str) -> str:
    return word if word.startswith("${") and word.endswith("}") else shlex.quote(word)
