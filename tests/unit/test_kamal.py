"""From Kamal's configuration to relman's own: three files of the usual kinds (data/kamal)."""

from __future__ import annotations

from pathlib import Path

import pytest

from relman.config.compose.read import read_project
from tests.unit.cli import relman
from tests.unit.converted import Converted, assert_good, conversions, written

DATA = Path(__file__).parent / "data/kamal"
KINDS = sorted(path.name for path in DATA.iterdir())
PASSWORDS = ("hunter2", "literal-token")


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """What was written for each kind."""
    return conversions(DATA, "config/deploy.yml", tmp_path_factory.mktemp("kamal"))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_valid_and_resolves(kind: str, converted: Converted) -> None:
    """relman.yml passes `relman check`, its deploy section resolves for every host, which has every secret that it
    needs; and no password was copied."""
    assert_good(converted(kind), PASSWORDS)


def test_roles_become_processes_on_their_hosts(converted: Converted) -> None:
    """With commands and settings of their own; a host that runs all of them needs no list, nor does one role."""
    processes = written(converted("accessories"))["deploy"]["processes"]
    assert processes["workers"]["command"] == ["bundle", "exec", "sidekiq", "-q", "default"]
    assert processes["workers"]["stop_timeout"] == 60
    assert processes["web"]["resources"] == {"memory": "2g", "cpus": "4"}
    assert processes["web"]["health"] == {"http": {"port": 3000, "path": "/health"}, "timeout": "45s"}
    production = written(converted("accessories"), "inventories/production.yml")["production"]
    assert production["hosts"] == {
        "web1.example.com": {"relman_processes": {"shop": ["web"]}},
        "web2.example.com": None,
        "jobs.example.com": {"relman_processes": {"shop": ["workers"]}},
    }
    assert production["vars"]["ansible_user"] == "deploy"
    simple = converted("simple")
    assert "processes" not in written(simple)["deploy"]
    assert written(simple, "inventories/production.yml")["production"]["hosts"] == {
        "192.0.2.1": None,
        "192.0.2.2": None,
    }


def test_secrets_are_taken_from_where_kamal_takes_them(converted: Converted) -> None:
    """From a variable of another name, from the file that `cat` prints, else from the variable of their name; a plain
    `$` stays one."""
    root = converted("rails")
    sources = written(root, "inventories/production.yml")["production"]["vars"]["relman_secrets"]
    assert sources == {
        "rails_master_key": {"command": ["cat", "../config/master.key"]},
        "seed": {"variable": "SEED"},
        "smtp_url.mail_url": {"variable": "PRODUCTION_MAIL_URL"},
    }
    deploy = written(root)["deploy"]
    assert deploy["secrets"]["smtp_url.mail_url"] == {"env": "SMTP_URL"}
    assert deploy["env"]["PRICE"] == "$5 $${each}"
    assert written(root)["repository"] == "shelf/books"
    assert written(converted("simple"))["deploy"]["secrets"].keys() == {"api_token", "database_url"}


def test_accessories_stay_beside_and_are_tested_with(converted: Converted) -> None:
    """Under Kamal's names, with their data where Kamal put it; in tests the files are the repository's."""
    root = converted("accessories")
    rest = read_project(root / "compose.rest.yaml", {"DB_PASSWORD": "x"})
    assert list(rest.services) == ["shop-db", "shop-redis"]
    database = written(root, "compose.rest.yaml")["services"]["shop-db"]
    assert database["container_name"] == "shop-db"
    assert database["environment"] == {"POSTGRES_USER": "shop", "COST": "$$1", "POSTGRES_PASSWORD": "${DB_PASSWORD}"}
    assert "./shop-db/data:/var/lib/postgresql/data" in database["volumes"]
    services = written(root)["test"]["services"]
    assert services["shop-db"]["volumes"] == ["./db/init.sql:/docker-entrypoint-initdb.d/init.sql:ro"]
    assert services["shop-db"]["env"]["POSTGRES_PASSWORD"] == "test"
    assert services["shop-redis"]["command"] == ["redis-server", "--appendonly", "yes"]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("rails", "servers.web.proxy: "),
        ("rails", "asset_path: "),
        ("rails", ".kamal/hooks/pre-deploy: "),
        ("rails", ".kamal/secrets (SEED): its text is not copied"),
        ("rails", "docker network create kamal"),
        ("accessories", "config/deploy.staging.yml: a destination is not read"),
        ("accessories", "env.tags: "),
        ("accessories", "builder.arch: "),
        ("accessories", "ssh.proxy: "),
        ("accessories", "servers.web.options.label-file: "),
        ("accessories", "accessories.db.files: config/my.cnf.erb"),
        ("accessories", "accessories.db.host: it ran on host db.example.com"),
        ("accessories", "docker network create kamal"),
        ("simple", "registry.server: "),
    ],
)
def test_what_cannot_be_said_is_listed_with_the_reason(kind: str, said: str, converted: Converted) -> None:
    """Each once; samples of hooks are none."""
    text = (converted(kind) / "said.txt").read_text()
    assert text.count(said) == 1
    assert ".sample" not in text


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ('service: a\nimage: a\nservers: [h]\nenv:\n  A: <%= ENV["A"] %>\n', "5:6", "relman runs no Ruby"),
        ("service: a\nservers: [h]\n", "1:1", "expected the key image"),
        ("service: a\nimage: a\n", "1:1", "expected servers"),
        ("service: a\nimage: a\nservers: [h]\nenv: [A]\n", "4:6", "expected a mapping"),
        ("service: a\nimage: a\nservers: [h]\nstop_timeout: soon\n", "4:15", "expected a number of seconds"),
        ("service: a\nimage: a\nservers: {web: {hosts: [h], options: {publish: x}}}\n", "3:16", "expected a port"),
        ("service: a\nimage: a\nservers: {web: {hosts: [h], options: {volume: 'a:b:c:d'}}}\n", "3:16", "a volume"),
        ("service: a\nimage: a\nservers: [h]\naccessories:\n  db: {host: h}\n", "5:7", "expected the key image"),
        ("service: a\nimage: a\nservers: [h]\naccessories:\n  db: {image: d, files: [x]}\n", "5:26", "LOCAL:REMOTE"),
        ("service: a\nimage: a\nservers: [[h]]\n", "3:", "expected text"),
        ("service: a\nimage: [a\n", "2:9", "not valid YAML"),
        ("service: a\nimage: a\nservers: [h]\nlogging: {driver: !x y}\n", "4:19", "no values tagged !x"),
        ("service: a\nimage: a\nservers: [h]\nboot: {limit: !x y}\n", "4:15", "no values tagged !x"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(text: str, place: str, said: str, tmp_path: Path) -> None:
    """File, line, column and what was expected; nothing is written."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config/deploy.yml").write_text(text)
    done = relman("init", "--from", "config/deploy.yml", cwd=tmp_path)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert f"config/deploy.yml:{place}" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["config"]
