"""From compose files to relman's own: ten of the usual kinds (data/compose)."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from relman.config.compose.convert import Checkout, convert
from relman.config.compose.model import ComposeService, Project, PublishedPort
from relman.config.compose.read import read_project
from relman.config.compose.variables import fill, in_relman, names
from relman.config.deploy_variables import fill as fill_in_relman
from relman.config.env_file import read_env_file
from relman.config.schema.values_container import ports
from relman.model.errors import ConfigError
from tests.unit.cli import relman
from tests.unit.converted import Converted, assert_good, conversions, written

DATA = Path(__file__).parent / "data/compose"
KINDS = sorted(path.name for path in DATA.iterdir() if path.is_dir())
NEWER = ("NESTED", "FLAG")
"""Variables with forms of interpolation that the judge does not know."""
PASSWORDS = ("hunter2", "literal-token", "pa$word", "pa$$word")


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """What was written for each kind."""
    return conversions(DATA, "compose.yaml", tmp_path_factory.mktemp("converted"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_compose_file_is_read_as_compose_reads_it(kind: str) -> None:
    """What docker-compose 1.29.2 `config` made of the file (judged.yaml) says the same to relman as the file itself."""
    ours, judged = (
        _plain(read_project(DATA / kind / name, {}), DATA / kind) for name in ("compose.yaml", "judged.yaml")
    )
    for name, service in judged.items():
        own = {key: value for key, value in ours[name].items() if key in service}
        own["environment"] = {n: v for n, v in own["environment"].items() if n not in NEWER}
        assert own == service, name


def _plain(project: Project, root: Path) -> dict[str, dict[str, Any]]:
    return {name: _service(project, service, root) for name, service in project.services.items()}


def _service(project: Project, service: ComposeService, root: Path) -> dict[str, Any]:
    files = [read_env_file(str(root), file.removeprefix("./")) for file, _ in service.env_files]
    env = {name: value for file in files for name, value in file.items()} | {
        name: project.variables.get(name, "") if text is None else fill(text, project.variables.get)
        for name, text in service.environment.items()
    }
    keys = {key: value for key, value in service.keys.items() if key in ("entrypoint", "restart", "cap_drop")}
    build = service.build and replace(service.build, context=service.build.context.rstrip("/").removeprefix("./"))
    return {
        "image": service.image,
        "build": build,
        "environment": env,
        "ports": {each for port in service.ports for each in _ports(port)},
        "mounts": {m.target: (m.type, m.source.removeprefix("./"), m.read_only) for m in service.mounts},
        "networks": dict(service.networks),
        "depends_on": set(service.depends_on),
        "secrets": set(service.secrets),
        **{key: value for key, value in keys.items() if isinstance(value, list)},
    }


def _ports(port: PublishedPort) -> tuple[object, ...]:
    return ports(f"{port.host_ip}:{port.published or 0}:{port.target}/{port.protocol}")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_valid_and_resolves(kind: str, converted: Converted) -> None:
    """Every relman.yml passes `relman check`, its deploy section resolves for the inventory's host, which has every
    secret and permission that it needs; and no password of the compose file was copied."""
    assert_good(converted(kind), PASSWORDS)


def deployed(root: Path, name: str = "relman.yml") -> dict[str, Any]:
    """The deploy section that was written."""
    found: dict[str, Any] = written(root, name)["deploy"]
    return found


def test_volumes_and_networks_keep_the_names_that_compose_gave_them(converted: Converted) -> None:
    """With the project before them, but for those with a name of their own."""
    assert deployed(converted("anchors"))["processes"]["web"]["volumes"] == ["anchors_data:/data"]
    long = deployed(converted("longforms"))
    assert long["volumes"] == ["shop-media:/media:nocopy", "/srv/certs:/certs:ro"]
    assert long["networks"] == {"edge": {"aliases": ["web", "shop"]}, "longforms_back": {"aliases": ["web"]}}


def test_one_build_is_one_image_and_what_must_end_is_a_task(converted: Converted) -> None:
    """Two services of one build are processes, of two builds they are services; what is awaited to end is a task."""
    assert list(deployed(converted("anchors"))["processes"]) == ["web", "worker"]
    root = converted("monorepo")
    assert deployed(root)["tasks"] == [{"name": "migrate", "command": ["python", "manage.py", "migrate"]}]
    assert written(root, "relman-front-end.yml")["build"] == {"context": "front"}


def test_databases_are_tested_with_and_stay_with_compose(converted: Converted) -> None:
    """The database is a service of the tests, empty and with a password for tests; and stays in compose.rest.yaml,
    where the command that starts it stands, with its data under the same name."""
    root = converted("anchors")
    test = written(root)["test"]
    assert test["services"] == {
        "db": {"image": "postgres:15", "env": {"POSTGRES_USER": "app", "POSTGRES_PASSWORD": "test"}}
    }
    assert test["env"]["DATABASE_URL"] == "postgres://app:test@db:5432/app"
    rest = read_project(root / "compose.rest.yaml", {})
    assert (list(rest.services), rest.volumes) == (["db"], {"pg": "anchors_pg"})
    assert "docker compose -f compose.rest.yaml up -d" in (root / "compose.rest.yaml").read_text()


def test_files_of_variables_stay_files_unless_they_hold_secrets(converted: Converted) -> None:
    """Of those that do the plain variables are written out; tests get all, with `test` for the password."""
    root = converted("envfile")
    deploy = deployed(root)
    assert deploy["env_file"] == ["plain.env"]
    assert deploy["processes"]["web"]["env"] == {"HOST": "db", "MODE": "live"}
    assert deploy["processes"]["web"]["secrets"] == {"mysql_password": {"env": "MYSQL_PASSWORD"}}
    test = written(root)["test"]
    assert test["env"] == {"MODE": "live", "COLOR": "red", "HOST": "db", "MYSQL_PASSWORD": "test"}
    assert test["services"]["db"]["env"] == {"MYSQL_PASSWORD": "test", "HOST": "db"}


def test_passwords_become_secrets(converted: Converted) -> None:
    """By their names, or because a password is in their value; and compose's own secrets, with their files."""
    variables = converted("variables")
    assert deployed(variables)["secrets"] == {"api_token": {"env": "API_TOKEN"}}
    assert deployed(converted("anchors"))["secrets"] == {"database_url": {"env": "DATABASE_URL"}}
    root = converted("secrets")
    assert deployed(root)["secrets"] == {"api_key": {}, "tls": {"file": "/run/secrets/tls.key"}}
    production = written(root, "inventories/production.yml")["production"]
    assert production["vars"]["relman_secrets"]["api_key"] == {"file": "../secrets/api_key.txt"}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("anchors", "web.volumes (./src): "),
        ("anchors", "compose.override.yaml: it is not read"),
        ("profiles", "debug: it runs with the profile debug only"),
        ("resources", "web.deploy.placement: it is for a swarm"),
        ("resources", "deploy.processes.web.replicas: 3 containers cannot hold the host's port 8080"),
        ("monorepo", "front_end.configs: "),
        ("shortforms", "web.volumes (/anonymous): "),
        ("shortforms", "worker.command: the secret REDIS_PASSWORD is in it"),
        ("shortforms", "web.build.args.NPM_TOKEN: an image shows its arguments"),
        ("secrets", "web.secrets (tls): "),
    ],
)
def test_what_cannot_be_said_is_listed_with_the_reason(kind: str, said: str, converted: Converted) -> None:
    """Each key once, by its service."""
    assert (converted(kind) / "said.txt").read_text().count(said) == 1


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("services: {web: {build: ., ports: [x]}}", ":1:", "expected a port"),
        ('services:\n  web:\n    environment: ["A=${B"]\n    image: "${B"\n', ":4:", "not closed"),
        ("services: {web: {extends: web}}", ":1:", "extends itself"),
        ("services: {web: {extends: other}}", ":1:", "expected a service other"),
        ('services: {web: {image: "${TAG:?say which}"}}', ":1:", "TAG is required: say which"),
        ("include: [a.yaml]\nservices: {web: {build: .}}", ":1:", "docker compose config"),
        ("services: {web: {build: ., ports: !override [80]}}", ":1:", "!override is for merging files"),
        ("version: 3", ":1:", "expected services"),
        ("services: {web: {build: ., volumes: [{source: a}]}}", ":1:", "the key type is missing"),
        ("services: {web: {build: ., healthcheck: {interval: soon}}}", ":1:", "expected a duration"),
        ("services: {db: {image: redis}}", "", "builds no image"),
        ("services: {web: {build: .}}\nvolumes: {v: x}\n", ":2:", "expected a mapping, found 'x'"),
        ("services: {web: {build: .}}\nnetworks: [a]\n", ":2:", "expected a mapping, found ['a']"),
        ("services: {web: {build: .}}\nconfigs: {c: {content: !x y}}\n", ":2:", "!x is for merging files"),
        ("services: {web: {build: ., deploy: [a]}}", ":1:", "expected a mapping, found ['a']"),
        ("services: {web: {build: ., deploy: {replicas: two}}}", ":1:", "expected a whole number, found 'two'"),
        ("services: {web: {build: ., command: run 'it}}", ":1:", "found an open quote"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(text: str, place: str, said: str, tmp_path: Path) -> None:
    """File, line and what was expected; nothing is written."""
    (tmp_path / "compose.yaml").write_text(text)
    done = relman("init", "--from", "compose.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert f"compose.yaml{place}" in done.stderr or not place
    assert [path.name for path in tmp_path.iterdir()] == ["compose.yaml"]


def test_what_relman_refuses_is_left_out_with_its_words(tmp_path: Path) -> None:
    """Nothing empty remains of it, and all else is there."""
    text = "services: {web: {build: ., restart: sometimes, cap_add: [FLY], ulimits: {nofil: 1}, user: '1000'}}"
    (tmp_path / "compose.yaml").write_text(text)
    done = relman("init", "--from", "compose.yaml", cwd=tmp_path)
    assert deployed(tmp_path) == {"user": "1000", "health": {"none": True}}
    assert "deploy.cap_add[0]: unknown capability 'FLY'" in done.stdout
    assert "deploy.ulimits.nofil: unknown limit; did you mean nofile?" in done.stdout


def test_single_files_travel_with_the_image(tmp_path: Path) -> None:
    """Those of the repository that relman can mount; what may be a secret or is a program does not, nor what a link
    leads to. Each is told, by its mount."""
    (tmp_path / "conf").mkdir()
    for name in ("conf/site.conf", ".env", "tls.key", "db_password.txt", "start.sh", "over.conf"):
        (tmp_path / name).write_text("A=${B}")
    (tmp_path / "start.sh").chmod(0o755)
    (tmp_path / "login").symlink_to("/etc/hostname")
    mounts = ["./conf/site.conf:/etc/site.conf:ro", "over.conf", ".env", "tls.key", "db_password.txt", "start.sh"]
    volumes = [
        mounts[0],
        *(f"./{name}:/data/{name}" for name in mounts[1:]),
        "./login:/login",
        "./conf:/x",
        "d:/data/d",
    ]
    web = {"build": ".", "volumes": volumes}
    (tmp_path / "compose.yaml").write_text(yaml.safe_dump({"services": {"web": web}, "volumes": {"d": {"name": "d"}}}))
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    done = relman("init", "--from", "compose.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    section = deployed(tmp_path)
    assert section["files"] == {"./conf/site.conf": "/etc/site.conf", "./over.conf": "/data/over.conf"}
    assert section["volumes"] == ["d:/data/d"]
    for name, why in {
        "./over.conf": "nobody in the container may write it",
        "./.env": "it may hold secrets",
        "./tls.key": "it may hold secrets",
        "./db_password.txt": "it may hold secrets",
        "./start.sh": "relman mounts no program",
        "./login": "./login is a link",
        "./conf": "no directory of it",
    }.items():
        (line,) = (line for line in done.stdout.splitlines() if f"web.volumes ({name})" in line)
        assert why in line
    assert relman("check", "-f", "relman.yml", cwd=tmp_path).returncode == 0


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """Where one of the files exists none is written."""
    root = tmp_path / "anchors"
    shutil.copytree(DATA / "anchors", root)
    (root / "compose.rest.yaml").write_text("mine")
    assert relman("init", "--from", "compose.yaml", cwd=root).returncode == 2
    assert (root / "compose.rest.yaml").read_text() == "mine"
    assert not (root / "relman.yml").exists()


def test_a_refused_key_is_left_out_alone_whatever_its_name(tmp_path: Path) -> None:
    """Its neighbours stay, be it one that is quoted and escaped in messages."""
    limits = {'no "é"': 1, "nofile": 5}
    (tmp_path / "compose.yaml").write_text(yaml.safe_dump({"services": {"web": {"build": ".", "ulimits": limits}}}))
    assert relman("init", "--from", "compose.yaml", cwd=tmp_path).returncode == 0
    assert deployed(tmp_path)["ulimits"] == {"nofile": 5}


@given(
    st.text(alphabet="ab$${}:-?+{A", max_size=20), st.dictionaries(st.sampled_from("abA"), st.text("xy$", max_size=3))
)
def test_a_text_means_the_same_in_relman(text: str, variables: dict[str, str]) -> None:
    """Whatever is said with relman's placeholders is filled in by relman as by compose."""
    try:
        written, filled = in_relman(text, variables.get), fill(text, variables.get)
    except (ValueError, ConfigError):
        return
    known = {name: variables.get(name, "") for name, default in names(text).items() if default is None} | variables
    assert fill_in_relman(written, known) == filled


def test_what_public_projects_say_can_be_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 56 services with the settings of 18 usual projects (data/compose_services.yaml) relman says 50 in full, and of
    the other ones which key it cannot say."""
    monkeypatch.chdir(tmp_path)
    for file in ("app.env", "db.env", "nginx.conf", "search.toml", "push.json"):
        Path(file).write_text("COLOR=red\n")
    projects: dict[str, dict[str, dict[str, Any]]] = yaml.safe_load((DATA.parent / "compose_services.yaml").read_text())
    expected = {
        f"{project}/{name}": service.pop("unsaid", [])
        for project, services in projects.items()
        for name, service in services.items()
    }
    said = {
        f"{project}/{name}": _unsaid(project, name, services)
        for project, services in projects.items()
        for name in services
    }
    assert said == expected
    assert [len(said), [*said.values()].count([])] == [56, 50]


def _unsaid(project: str, name: str, services: dict[str, dict[str, Any]]) -> list[str]:
    """The keys of a service that cannot be said, if it is the one that is built."""
    built = {each: {**service, "image": "x"} for each, service in services.items()} | {
        name: {**services[name], "build": "."}
    }
    volumes = dict.fromkeys(_named_volumes(services))
    file = Path("compose.yaml")
    file.write_text(yaml.safe_dump({"name": project, "services": built, "volumes": volumes}))
    losses = convert(read_project(file, {}), ".", "registry.example.com", lambda _: Checkout(("true",))).losses
    return [loss.partition(":")[0].removeprefix(f"{name}.") for loss in losses]


def _named_volumes(services: dict[str, dict[str, Any]]) -> set[str]:
    short = [each for service in services.values() for each in service.get("volumes", ()) if isinstance(each, str)]
    return {each.partition(":")[0] for each in short if each[0] not in "/."}
