"""What relman says of what it knows: history, runs, inventories, and whether the files are good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relman.app.looking.history_at import time_of
from relman.ci.results.report_store import save
from relman.ledger.entries import HostOutcome
from relman.ledger.ledger import Ledger
from relman.ledger.pending import record_deployment
from relman.model.errors import Symptoms, UsageError
from relman.model.state_dir.journal import Failed
from tests.unit.cli import relman
from tests.unit.test_ci_results import make

REAL = Path(__file__).parents[2] / "inventories"
GOOD = "service: shop\nregistry: registry.example.org:5000\n"
FAILED = Failed("the new container has ended", Symptoms(1, log=("no such table: shop",)))
SILENT = """
staging:
  hosts: {"web[1:2]": {}}
  vars:
    ansible_host: 127.0.0.1
    ansible_port: 1
    ansible_ssh_private_key_file: key
    relman_services: {shop: registry.example.org/shop}
"""
DIGEST = "sha256:" + "a" * 64
INVENTORY = """
production:
  hosts:
    web[1:2]:
      ansible_host: 192.0.2.7
      ansible_user: deploy
      listen: hidden-value
    web3: {ansible_host: 192.0.2.8, ansible_user: deploy}
  vars:
    relman_services: {shop: registry.example.org/shop}
    relman_env: {TOKEN: hidden-value}
"""


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The variables of a user with a ledger: a run, its release, and two deployments."""
    ledger = Ledger(tmp_path / "data/ledger.sqlite3", lambda text: pytest.fail(text))
    ledger.record_run(
        run="team/shop/118",
        service="shop",
        commit="c",
        config=DIGEST,
        outcome="passed",
        by="ci@runner",
        finished="2026-01-01T08:00:00Z",
    )
    ledger.record_release(
        service="shop",
        repository="r:5000/shop",
        tag="118",
        manifest=DIGEST,
        run="team/shop/118",
        by="ci@runner",
        at="2026-01-01T09:00:00Z",
    )
    for number, (environment, outcome) in enumerate((("staging", "done"), ("production", "failed, rolled back"))):
        record_deployment(
            ledger._file,
            ledger._warn,
            id=f"d{number}",
            kind="deployed",
            service="shop",
            environment=environment,
            release="118",
            digest=DIGEST,
            by="ann@laptop",
            started="2026-01-01T10:00:00Z",
            finished=f"2026-01-01T10:0{number}:00Z",
            outcome=outcome,
            hosts=[HostOutcome("web1", "returned", "back on 117", FAILED)],
            reason="the sale begins",
        )
    return {"RELMAN_DATA_DIR": str(tmp_path / "data"), "HOME": str(tmp_path)}


def test_history_says_who_did_what_when_and_how_it_ended(home: dict[str, str]) -> None:
    """A line each, newest first, with the id that show takes."""
    lines = relman("history", env={**home, "COLUMNS": "200"}).stdout.splitlines()
    assert [line.split("  ")[1] for line in lines[1:5]] == [
        "deployed 118",
        "deployed 118",
        "promoted 118",
        "tested team/shop/118",
    ]
    for part in ("2026-01-01 10:01:00", "production", "failed, rolled back (the sale begins)", "ann@laptop", "d1"):
        assert part in lines[1]


def test_history_is_narrowed(home: dict[str, str]) -> None:
    """By -n and --service; where nothing is left, it says of what and where it looked."""
    assert [e["id"] for e in json.loads(relman("history", "-n", "1", "--json", env=home).stdout)["entries"]] == ["d1"]
    done = relman("history", "--service", "qa", env=home)
    assert (done.returncode, "service qa" in done.stdout, home["RELMAN_DATA_DIR"] in done.stdout) == (0, True, True)


def test_history_of_an_environment_whose_hosts_do_not_answer(home: dict[str, str], tmp_path: Path) -> None:
    """What this machine knows is shown: its deployments there, the tests and releases of its services; then each host
    that could not be asked is named, with exit code 11."""
    home["RELMAN_INVENTORY"] = str(tmp_path / "inventory.yml")
    (tmp_path / "inventory.yml").write_text(SILENT)
    done = relman("history", "-e", "staging", "--json", env=home)
    document, error = map(json.loads, done.stdout.splitlines())
    assert done.returncode == error["code"] == 11
    assert [e["what"] for e in document["entries"]] == ["deployed", "promoted", "tested"]
    assert document["entries"][0]["id"] == "d0"
    assert document["unasked"].keys() == {"web1", "web2"}
    for arguments in (["show", "d0"], ["history", "--at", "2026-01-01"]):
        assert relman(*arguments, "-e", "staging", env=home).returncode == 11
    assert "back on 117" in relman("show", "d0", "-e", "staging", env=home).stdout


@pytest.mark.parametrize(
    ("time", "utc"),
    [
        ("2026-01-31", "2026-01-31T00:00:00Z"),
        ("2026-01-31 12:00", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00Z"),
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
    ],
)
def test_a_time_is_in_utc_unless_it_says_otherwise(time: str, utc: str) -> None:
    """As all times are that relman shows."""
    assert time_of(time) == utc


def test_a_time_that_is_none_is_refused(home: dict[str, str]) -> None:
    """With an example; and without an environment there is nobody to ask."""
    with pytest.raises(UsageError, match="not a time"):
        time_of("yesterday")
    with pytest.raises(UsageError, match="calendar"):
        time_of("0001-01-01T00:00:00+14:00")
    assert relman("history", "--at", "2026-01-31", env=home).returncode == 2


def test_a_deployment_in_full(home: dict[str, str]) -> None:
    """What it came to on each host, in both forms."""
    said = relman("show", "d1", env=home).stdout
    assert "the sale begins" in said
    assert "web1  returned  back on 117" in said
    assert "web1: the new container has ended\n  exit code 1\n  log: no such table: shop" in said
    document = json.loads(relman("show", "d1", "--json", env=home).stdout)
    assert (document["kind"], document["hosts"][0]["host"]) == ("deployment", "web1")


def test_a_run_in_full(home: dict[str, str]) -> None:
    """The commands with their results, the commit, what was linked, and what became of it."""
    save(make(argv=("pytest", "a test")), Path(home["RELMAN_DATA_DIR"]) / "results")
    said = relman("show", "team/shop/118", env=home).stdout
    for part in (
        "'a test'",
        "passed (1.5 s)",
        "1" * 40,
        "with uncommitted changes",
        "db: reg.example/db",
        "promoted 118",
    ):
        assert part in said
    document = json.loads(relman("show", "team/shop/118", "--json", env=home).stdout)
    assert [e["what"] for e in document["history"]] == ["tested", "promoted"]
    assert document["results"][0]["commands"][0]["argv"] == ["pytest", "a test"]


def test_a_broken_report_hides_no_other(home: dict[str, str]) -> None:
    """One unreadable file of results does not keep a run from being shown."""
    results = Path(home["RELMAN_DATA_DIR"]) / "results"
    save(make(), results)
    (results / "broken.json").write_text("{")
    assert "passed (1.5 s)" in relman("show", "team/shop/118", env=home).stdout


@pytest.mark.parametrize("id", ["d9", "shop/9", "shop/"])
def test_what_is_not_known_is_the_caller_s_mistake(home: dict[str, str], id: str) -> None:
    """An unknown deployment or run ends with 2 and says where to look."""
    done = relman("show", id, env=home)
    assert (done.returncode, done.stdout) == (2, "")
    assert "hint: " in done.stderr


def test_an_inventory_is_shown_without_values(tmp_path: Path) -> None:
    """Hosts, groups and names of variables; a value, which may be a secret, in neither form."""
    (tmp_path / "hosts.yml").write_text(INVENTORY)
    for line in (["inventory"], ["inventory", "-e", "production"]):
        for json_too in ([], ["--json"]):
            done = relman(*line, "-i", "hosts.yml", *json_too, cwd=tmp_path, env={"HOME": str(tmp_path)})
            assert done.returncode == 0
            assert all(name in done.stdout for name in ("production", "web1", "web2", "web3", "listen"))
            assert "hidden-value" not in done.stdout + done.stderr


def test_how_an_environment_is_reached(tmp_path: Path) -> None:
    """The way to each host, jump hosts included, as the shipped example says."""
    env = {"RELMAN_SSH_CONFIG": str(REAL / "ssh_config.example"), "HOME": str(tmp_path)}
    said = relman("inventory", "-i", str(REAL), "-e", "staging", env=env).stdout
    assert "deploy@stage01.staging.example.com:22" in said
    assert "all: through gate@jump.example.com:2200" in said
    assert "/srv/relman" in said


def test_an_unknown_environment_is_asked_back(tmp_path: Path) -> None:
    """The beginning of a name is enough to be understood, not to be acted on."""
    (tmp_path / "hosts.yml").write_text(INVENTORY)
    done = relman("inventory", "-i", "hosts.yml", "-e", "prod", cwd=tmp_path)
    assert done.returncode == 2
    assert "did you mean production?" in done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout with a good relman.yml and an inventory beside it."""
    (tmp_path / "relman.yml").write_text(GOOD)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories/hosts.yml").write_text(INVENTORY)
    return tmp_path


def test_check_reads_all_that_a_deployment_would(project: Path) -> None:
    """relman.yml and ./inventories are both checked, and both are named."""
    done = relman("check", "--json", cwd=project)
    document = json.loads(done.stdout)
    assert (done.returncode, document["service"], document["environments"]) == (0, "shop", ["production"])


def test_check_shows_the_problems_of_all_files_at_once(project: Path) -> None:
    """A mistake in one file does not hide one in another."""
    (project / "relman.yml").write_text(GOOD + "biuld: {}\n")
    (project / "inventories/hosts.yml").write_text(INVENTORY.replace("ansible_user", "ansible_suer"))
    done = relman("check", cwd=project)
    assert done.returncode == 2
    assert "relman.yml:3:1: biuld" in done.stderr
    assert "inventories/hosts.yml:6:7: production.hosts" in done.stderr


def test_check_finds_the_host_that_lacks_a_variable(project: Path) -> None:
    """What a deployment would refuse on one host is found before anything is built."""
    (project / "relman.yml").write_text(GOOD + 'deploy: {ports: ["${listen}:80:80"]}\n')
    done = relman("check", cwd=project)
    assert done.returncode == 2
    assert "relman.yml, for web3 in production: deploy.ports[0]: the variable listen" in done.stderr
    hosts = INVENTORY.replace("hidden-value\n    web3", "192.0.2.1\n    web3").replace(
        "192.0.2.8,", "192.0.2.8, listen: 192.0.2.2,"
    )
    (project / "inventories/hosts.yml").write_text(hosts)
    assert relman("check", cwd=project).returncode == 0


def test_check_of_inventories_alone(project: Path) -> None:
    """A repository of inventories needs no relman.yml; one that is asked for by name must be there."""
    (project / "relman.yml").unlink()
    done = relman("check", cwd=project)
    assert (done.returncode, "only the inventory was checked" in done.stdout) == (0, True)
    assert relman("check", "-f", "relman.yml", cwd=project).returncode == 2
    env = {"RELMAN_INVENTORY": str(project / "inventories")}
    elsewhere = project / "elsewhere"
    elsewhere.mkdir()
    assert relman("check", cwd=elsewhere, env=env).returncode == 2
    assert relman("check", "-e", "production", cwd=elsewhere, env=env).returncode == 0


def test_an_inventory_that_allows_nothing_is_a_mistake(project: Path) -> None:
    """Groups without relman_services are no environments: nothing could be deployed to them."""
    (project / "inventories/hosts.yml").write_text("production: {hosts: {web1: }}\n")
    done = relman("check", cwd=project)
    assert (done.returncode, "relman_services" in done.stderr) == (2, True)


def test_the_shipped_inventories_pass_the_check() -> None:
    """`relman check` on what readers copy from finds nothing, but says that the CA file is not there."""
    done = relman("check", "-i", str(REAL), cwd=REAL, env={"HOME": "/nonexistent"})
    assert (done.returncode, "registry-ca.pem" in done.stderr) == (0, True)


def test_releases_of_nobody() -> None:
    """Without an environment and without a relman.yml nothing can be listed, and the hint says both ways."""
    done = relman("releases", cwd=REAL)
    assert done.returncode == 2
    assert "-e ENV" in done.stderr
    assert "-f" in done.stderr


@pytest.mark.parametrize("verb", [("status",), ("logs",), ("history",), ("history", "--at", "2026-01-01")])
def test_a_part_of_the_environment_is_looked_at(tmp_path: Path, verb: tuple[str, ...]) -> None:
    """--only and --exclude take patterns, groups and lists, and want no reason; a name that means nobody is refused."""
    (tmp_path / "i.yml").write_text(SILENT + "  children: {front: {hosts: {web1: {}}}}\n")
    (tmp_path / "known_hosts").touch()
    env = {"RELMAN_DATA_DIR": str(tmp_path), "RELMAN_KNOWN_HOSTS": str(tmp_path / "known_hosts")}
    place = (*verb, "-e", "staging", "-i", str(tmp_path / "i.yml"))
    for part in (("--only", "front"), ("--exclude", "w*2,web2")):
        done = relman(*place, *part, env=env)
        said = done.stdout + done.stderr
        assert ("web1" in said, "web2" in said) == (True, False), said
    nobody = relman(*place, "--only", "web7", env=env)
    assert (nobody.returncode, "staging has no host 'web7'" in nobody.stderr) == (2, True)
