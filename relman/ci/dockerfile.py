"""Read facts from a Dockerfile without building it: images in FROM and COPY --from, ARG, ENTRYPOINT. Pure.

Documentation: https://docs.docker.com/reference/dockerfile/.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile

from relman.model.reference import registry_of

SCRATCH = "scratch"
_NO_SHELL = ("distroless", "cgr.dev/chainguard/static")
_SYNTAX = re.compile(r"(?:\s*#[^\n]*\n)*?#\s*syntax\s*=\s*(\S+)", re.IGNORECASE)
_FROM = re.compile(r"(?:--|[=,])from=([^,]+)")
_HEREDOC = re.compile(r"<<-?([\"']?)([A-Za-z_][A-Za-z0-9_]*)\1")
_VARIABLE = re.compile(
    r"\$(?:\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<bare>[A-Za-z_][A-Za-z0-9_]*))"
)


@dataclass(frozen=True)
class _Stage:
    """One FROM: its image, and its name."""

    image: str
    name: str


def base_of(dockerfile: str, arguments: Mapping[str, str], target: str | None = None) -> str | None:
    """The base image of the last stage, or of `target`, followed through stages that are based on each other.

    None if it cannot be determined; `scratch` is returned like any other name.
    """
    stages = list(_stages(dockerfile, arguments))
    found = (
        next((i for i, s in enumerate(stages) if s.name == (target or "").lower()), None) if target else len(stages) - 1
    )
    if found is None or found < 0:
        return None
    image = stages[found].image
    # FROM can refer only to earlier stages.
    while (earlier := next((i for i in range(found) if stages[i].name == image.lower()), None)) is not None:
        found, image = earlier, stages[earlier].image
    return image or None


def entrypoint_of(dockerfile: str, target: str | None = None) -> tuple[str, ...]:
    """The ENTRYPOINT of the last stage, or of `target`, possibly inherited from an earlier stage; () if the Dockerfile
    sets none. The shell form is returned as the shell command that Docker makes of it."""
    found: dict[str, tuple[str, ...]] = {}
    entrypoint: tuple[str, ...] = ()
    name = ""
    for instruction in instructions(dockerfile):
        keyword, _, rest = instruction.strip().partition(" ")
        if keyword.upper() == "FROM":
            if target and name == target.lower():
                break
            image, *alias = [word for word in rest.split() if not word.startswith("--")] or [""]
            name = alias[1].lower() if len(alias) == 2 else ""
            entrypoint = found.get(image.lower(), ())
        if keyword.upper() == "ENTRYPOINT":
            entrypoint = _exec_form(rest.strip())
        found[name] = entrypoint
    return entrypoint


def stage_names(dockerfile: str) -> tuple[str, ...]:
    """The names of all named stages, in lower case, because Docker ignores case."""
    return tuple(stage.name for stage in _stages(dockerfile, {}) if stage.name)


def lacks_shell(dockerfile: str, arguments: Mapping[str, str], target: str | None = None) -> bool:
    """Whether the base is scratch, or an image known to have no shell."""
    base = base_of(dockerfile, arguments, target) or ""
    return base == SCRATCH or any(word in base for word in _NO_SHELL)


def origin_of(dockerfile: str) -> str:
    """The named stage from which the last one copies, if there is exactly one; else ""."""
    stages = stage_names(dockerfile)
    taken: set[str] = set()
    for keyword, *words in map(str.split, instructions(dockerfile)):
        if keyword.upper() == "FROM":
            taken = set()
        taken |= {word.partition("=")[2].lower() for word in words if word.startswith("--from=")}
    found = [name for name in stages if name in taken]
    return found[0] if len(found) == 1 else ""


def copies(dockerfile: str) -> dict[str, str]:
    """The paths in the image of single files copied from the build context, each with its path in the context."""
    found = {}
    for keyword, *rest in map(str.split, instructions(dockerfile)):
        words = [word for word in rest if not word.startswith("--")]
        if keyword.upper() in ("COPY", "ADD") and len(words) == 2 and not any(w.startswith("--from") for w in rest):
            found[words[1]] = words[0]
    return found


def _exec_form(text: str) -> tuple[str, ...]:
    try:
        words = json.loads(text)
    except ValueError:
        words = None
    if isinstance(words, list) and all(isinstance(word, str) for word in words):
        return tuple(words)
    return ("/bin/sh", "-c", text) if text else ()


def registries_named(dockerfile: str, arguments: Mapping[str, str]) -> set[str]:
    """The registries of all images that a build pulls: in FROM with its arguments, COPY --from and RUN --mount=from=,
    except stages, and in the `syntax` line."""
    stages: list[str] = []
    found = [match[1]] if (match := _SYNTAX.match(dockerfile)) else []
    made = _stages(dockerfile, arguments)
    for keyword, *words in map(str.split, instructions(dockerfile)):
        if keyword.upper() == "FROM" and (stage := next(made, None)):
            found += [stage.image] if stage.image.lower() not in stages else []
            stages.append(stage.name)
        flags = takewhile(lambda word: word.startswith("--"), words)
        for word in flags if keyword.upper() in ("COPY", "RUN") else ():
            origin = _FROM.search(word) if word.startswith(("--from=", "--mount=")) else None
            name = origin[1].strip("\"'") if origin else ""
            found += [name] if name.lower() not in stages and not name.isdigit() else []
    return {registry_of(name) for name in found if name not in ("", SCRATCH)}


def _stages(dockerfile: str, arguments: Mapping[str, str]) -> Iterator[_Stage]:
    variables: dict[str, str] = {}
    before_stages = True
    for keyword, *words in map(str.split, instructions(dockerfile)):
        if keyword.upper() == "ARG" and before_stages:
            for word in words:
                name, _, default = word.partition("=")
                variables[name] = arguments.get(name, _filled(default.strip("\"'"), variables))
        if keyword.upper() == "FROM":
            before_stages = False
            image, *alias = [word for word in words if not word.startswith("--")] or [""]
            name = alias[1].lower() if len(alias) == 2 and alias[0].upper() == "AS" else ""
            yield _Stage(_filled(image.strip("\"'"), variables), name)


def instructions(dockerfile: str) -> Iterator[str]:
    """The instructions, each on one line, without comments and here-documents."""
    joined = ""
    lines = iter(dockerfile.splitlines())
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if text.endswith("\\"):
            joined += text[:-1] + " "
            continue
        instruction, joined = joined + text, ""
        for _, word in _HEREDOC.findall(instruction):
            next((end for end in lines if end.lstrip("\t") == word), None)
        yield instruction
    if joined.strip():
        yield joined


def _filled(text: str, variables: Mapping[str, str]) -> str:
    """The text with its variables expanded; "" if one has no value."""
    missing = False

    def one(match: re.Match[str]) -> str:
        nonlocal missing
        value = variables.get(match["braced"] or match["bare"]) or match["default"]
        missing |= not value
        return value or ""

    filled = _VARIABLE.sub(one, text)
    return "" if missing or "$" in filled else filled
