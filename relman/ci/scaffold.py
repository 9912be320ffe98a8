"""Write a first relman.yml from the content of a repository."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from relman.ci.dockerfile import instructions, lacks_shell, origin_of
from relman.ci.entrypoint.checkout import unseen_here
from relman.ci.entrypoint.judge import shown
from relman.model.errors import UsageError

_DOCKERFILES = ("Dockerfile", "deploy/Dockerfile", "docker/Dockerfile", ".docker/Dockerfile")
_TEST_DIRECTORIES = ("tests", "test")


@dataclass(frozen=True)
class Look:
    """What was found in a repository: its name, the Dockerfile with its last stage's declarations, and a test command.

    `entrypoint` is the image's if it may not start test commands, else (). A `bare` image has no shell, and was built
    in the stage `origin`, "" if that is not unique.
    """

    name: str
    dockerfile: str = "Dockerfile"
    ports: tuple[int, ...] = ()
    volumes: tuple[str, ...] = ()
    healthcheck: bool = False
    tests: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    bare: bool = False
    origin: str = ""


def look(root: Path) -> Look:
    """Examine the repository at `root`. Raises UsageError if it has no Dockerfile."""
    dockerfile = next((name for name in _DOCKERFILES if (root / name).is_file()), None)
    if dockerfile is None:
        raise UsageError(
            f"there is no Dockerfile in {root}", hint="Write one first: relman builds and tests its image."
        )
    return look_at(root, dockerfile)


def look_at(root: Path, dockerfile: str) -> Look:
    """Examine the project at `root`, whose image is made by this Dockerfile below it. Raises OSError."""
    name = re.sub(r"[^a-z0-9]+", "-", root.resolve().name.lower()).strip("-") or "service"
    text = (root / dockerfile).read_text(encoding="utf-8", errors="replace")
    entrypoint, why = unseen_here(text, root)
    return Look(
        name,
        dockerfile,
        *declared(text),
        tests=_tests(root),
        entrypoint=entrypoint if why else (),
        bare=lacks_shell(text, {}),
        origin=origin_of(text),
    )


def declared(dockerfile: str) -> tuple[tuple[int, ...], tuple[str, ...], bool]:
    """The TCP ports and volumes of the last stage, and whether it has a HEALTHCHECK."""
    ports: dict[int, None] = {}
    volumes: dict[str, None] = {}
    healthcheck = False
    for instruction in instructions(dockerfile):
        keyword, _, rest = instruction.partition(" ")
        match keyword.upper():
            case "FROM":
                ports, volumes, healthcheck = {}, {}, False
            case "EXPOSE":
                found = re.findall(r"(?:^|\s)(\d{1,5})(?:/tcp)?(?=\s|$)", rest, re.IGNORECASE)
                ports |= dict.fromkeys(n for n in map(int, found) if 0 < n < 1 << 16)
            case "VOLUME":
                volumes |= dict.fromkeys(path for path in _words(rest) if re.fullmatch(r"/[\w./-]*\w", path))
            case "HEALTHCHECK":
                healthcheck = rest.strip().upper() != "NONE"
    return tuple(sorted(ports)), tuple(volumes), healthcheck


def _words(text: str) -> list[str]:
    try:
        found = json.loads(text)
    except ValueError:
        return text.split()
    return [str(word) for word in found] if isinstance(found, list) else text.split()


def _pytest(root: Path) -> tuple[str, ...]:
    where = next((name for name in _TEST_DIRECTORIES if any((root / name).glob("**/*.py"))), None)
    return ("python3", "-m", "pytest", "-q", where) if where else ()


def _npm(root: Path) -> tuple[str, ...]:
    try:
        scripts = json.loads((root / "package.json").read_text(encoding="utf-8"))["scripts"]
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    return ("npm", "test") if isinstance(scripts, dict) and "test" in scripts else ()


def _make(root: Path) -> tuple[str, ...]:
    try:
        text = (root / "Makefile").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    return ("make", "test") if re.search(r"^test\s*:", text, re.MULTILINE) else ()


def _if_there(name: str, *argv: str) -> Callable[[Path], tuple[str, ...]]:
    return lambda root: argv if (root / name).is_file() else ()


LANGUAGES: Mapping[str, Callable[[Path], tuple[str, ...]]] = {
    "python": _pytest,
    "node": _npm,
    "go": _if_there("go.mod", "go", "test", "./..."),
    "rust": _if_there("Cargo.toml", "cargo", "test"),
    "ruby": _if_there("Rakefile", "bundle", "exec", "rake", "test"),
    "java": _if_there("pom.xml", "mvn", "--batch-mode", "test"),
    "make": _make,
}
"""The test command of each kind of project: a function of its root, () if it is not of that kind."""


def _tests(root: Path) -> tuple[str, ...]:
    return next((argv for find in LANGUAGES.values() if (argv := find(root))), ())


def first_file(found: Look, registry: str) -> str:
    """The text of a relman.yml for what was found. Pure."""
    parts = [
        "# What relman knows of this service; docs/reference/ of relman explains every key, `relman check` reads it.",
        f"service: {_quoted(found.name)}",
        f"registry: {registry}  # host[:port] of your private registry",
        *([f"build:\n  dockerfile: {found.dockerfile}"] if found.dockerfile != "Dockerfile" else []),
        _test_section(found),
        'release:\n  tag: "{build}"\n  channels: [stable]',
        *_deploy_section(found),
    ]
    return "\n".join(parts) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text) if text[0].isdigit() or text in ("true", "false", "null") else text


def _test_section(found: Look) -> str:
    services = (
        "  # services:  # containers that the tests need, linked as host names\n"
        "  #   db: {image: postgres:15, env: {POSTGRES_PASSWORD: test}}\n"
    )
    if found.bare:
        return f"test:\n{services}{_beside(found)}"
    if found.entrypoint:
        services += (
            f"  # The image's ENTRYPOINT, {shown(found.entrypoint)}, may not start the commands below.\n"
            "  entrypoint: []  # they run without it; image: they are its arguments, as in `docker run`\n"
        )
    if found.tests:
        where = "# run inside the image, which has to hold what they need"
        return f"test:\n{services}  commands:  {where}\n    - {json.dumps(found.tests)}"
    return f"test:\n{services}  commands: []  # nothing is released untested: name your tests, as [make, test]"


def _beside(found: Look) -> str:
    """The tests of an image without a shell."""
    smoke = "  smoke: true  # the image has no shell: at least it has to start, and be healthy for its window\n"
    if not (found.tests and found.origin):
        return (
            f"{smoke}  commands: []  # better: tests in another image (image: …) or stage, which reach this one as app"
        )
    stage = f"{{stage: {found.origin}, run: {json.dumps(found.tests)}}}"
    where = "# in a stage of the Dockerfile; the image runs beside it as app"
    return f"{smoke}  entrypoint: []\n  commands:  {where}\n    - {stage}"


def _deploy_section(found: Look) -> list[str]:
    lines = ["deploy:"]
    if found.ports:
        lines.append(f"  ports: {json.dumps([f'{n}:{n}' for n in found.ports])}  # HOST:CONTAINER")
    if found.volumes:
        names = [f"{found.name}-{path.strip('/').replace('/', '-')}:{path}" for path in found.volumes]
        lines.append(f"  volumes: {json.dumps(names)}  # kept from release to release")
    if found.healthcheck:
        lines.append("  health: {image: true}  # the image's HEALTHCHECK")
    elif found.ports:
        port = found.ports[0]
        lines.append(f"  health: {{tcp: {{port: {port}}}}}  # better: http: {{port: {port}, path: /health}}")
    else:
        lines.append("  health: {none: true}  # nothing tells whether it works: say how, with tcp, http or command")
    return lines
