"""Secrets by reference: what may be written, where values come from, and what is remembered of them."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.app.context import Context
from relman.app.deployments.secrets import fitting, given_to
from relman.cli.output.printer import Output
from relman.config.deploy import resolve
from relman.config.inventory.load import Reading, load_inventory
from relman.config.inventory.vault import Vault, open_vault
from relman.config.secrets.values import LARGEST, Keys, Unresolved, lacking, value_of
from relman.model.errors import ConfigError, PreflightFailed
from relman.model.grants.secrets import Given, SecretRef, SecretSet, changed, hashed
from relman.model.host import Environment, Host
from relman.model.plan import Action, Step
from relman.model.settings import DeploySettings
from relman.model.state_dir.record import Deployed
from relman.rollout.planning.kept_secrets import kept_secrets, older_secrets
from relman.rollout.planning.rollback_target import before
from tests.unit.cli import argv, environ, relman
from tests.unit.model_fleet import killed, serving
from tests.unit.model_host import Died, ModelSftp
from tests.unit.test_config_inventory_forms import LABELLED, VAULTED
from tests.unit.values import SECRET, SET, deployed

SALT = "00" * 16
SERVICES = "relman_services: {shop: 'registry.example.com/shop'}"


def refs(secrets: object, **others: object) -> tuple[SecretRef, ...]:
    """The references that a deploy section means."""
    section = json.loads(json.dumps({"secrets": secrets, **others}))
    return resolve(section, {}, {}, origin="the label").secrets


def test_where_a_container_finds_a_secret() -> None:
    """As a file below /run/secrets unless it is said otherwise."""
    assert refs({"a": None, "b": {}, "c": {"file": "/etc//x"}, "d": {"env": "D"}}) == (
        SecretRef("a", "/run/secrets/a"),
        SecretRef("b", "/run/secrets/b"),
        SecretRef("c", "/etc/x"),
        SecretRef("d", env="D"),
    )


@pytest.mark.parametrize(
    ("secrets", "others", "said"),
    [
        ({"../x": None}, {}, "a secret's name"),
        ({"a": {"file": "x"}}, {}, "absolute path"),
        ({"a": {"file": "/"}}, {}, "the path of a file"),
        ({"a": {"file": "/a", "env": "A"}}, {}, "give one of file, env"),
        ({"a": {"vault": "x"}}, {}, "deploy.secrets.a.vault"),
        ({"a": "hunter2"}, {}, "deploy.secrets.a"),
        ({"a": {"file": "/x"}, "b": {"file": "/x"}}, {}, "/x is the secret a already"),
        ({"a": {"file": "/x"}}, {"volumes": ["data:/x"]}, "/x is the target of a volume already"),
        ({"a": {"env": "A"}}, {"env": {"A": "1"}}, "A is given in env already"),
    ],
)
def test_a_reference_that_cannot_be(secrets: object, others: Mapping[str, object], said: str) -> None:
    """Refused by its key, and what was written in the place of a reference is not repeated: it may be a value."""
    with pytest.raises(ConfigError) as caught:
        refs(secrets, **others)
    text = "\n".join(map(str, caught.value.problems))
    assert said in text
    assert "hunter2" not in text


def test_a_variable_that_the_inventory_gives_too() -> None:
    """Neither wins silently."""
    with pytest.raises(ConfigError, match="1 problem") as caught:
        resolve({"secrets": {"a": {"env": "A"}}}, {}, {"A": "1"}, origin="the label")
    assert "deploy.secrets.a: the inventory's relman_env gives this variable, too" in str(caught.value.problems[0])


def host(folder: Path, secrets: str, more: str = "", vault: Vault | None = None, **files: str) -> Host:
    """The host of an inventory with these relman_secrets in its group."""
    for name, text in files.items():
        file = folder / (name.replace("__", "/") + ".yml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    text = f"production:\n  hosts: {{a: }}\n  vars:\n    {SERVICES}\n    relman_secrets: {secrets}\n{more}"
    (folder / "hosts.yml").write_text(text)
    found = load_inventory([folder / "hosts.yml"], Reading(vault or Vault({})))
    return found.environment("production", ssh_config="/dev/null").hosts[0]


def keys(folder: Path, **environ: str) -> Keys:
    """What opens the test's vaults and age files."""
    (folder / "password").write_text("open sesame\n")
    return Keys(open_vault(str(folder / "password"), ()), environ.pop("RELMAN_AGE_KEY_FILE", ""), environ)


def indented(vaulted: str) -> str:
    """A vaulted text as the value of a variable of the group."""
    lines = "".join(f"      {line}\n" for line in vaulted.splitlines())
    return f"    sealed: !vault |\n{lines}"


@pytest.mark.parametrize("vaulted", [VAULTED, LABELLED], ids=["1.1", "1.2"])
def test_a_variable_in_ansible_vault(tmp_path: Path, vaulted: str) -> None:
    """Decrypted when it is needed: the inventory is read without its password, which, wrong or missing, is told."""
    source = host(tmp_path, "{a: {vault: sealed}}", indented(vaulted)).secrets["a"]
    assert value_of(source, keys(tmp_path)) == b"10.0.0.7"
    assert lacking(source) == ""
    assert "10.0.0.7" not in repr(source)
    with pytest.raises(Unresolved, match="no password is given: set RELMAN_VAULT_PASSWORD_FILE"):
        value_of(source, Keys(Vault({}), "", {}))
    with pytest.raises(Unresolved, match="no password given opens it"):
        value_of(source, Keys(Vault({"default": b"wrong"}), "", {}))


def test_a_variable_that_is_in_no_vault(tmp_path: Path) -> None:
    """Missing or plain text: a secret that stands open in the inventory is none, and is not used as one."""
    found = host(tmp_path, "{a: {vault: nowhere}, b: {vault: plain}}", "    plain: hunter2\n").secrets
    for source in found.values():
        with pytest.raises(Unresolved, match=r"no variable (nowhere|plain) in Ansible Vault: it is missing or plain"):
            value_of(source, keys(tmp_path))
        assert "in Ansible Vault" in lacking(source)


def test_files_variables_and_commands(tmp_path: Path) -> None:
    """Paths and a command's place are the inventory's; of what a command prints a last line end is left out; it gets
    none of relman's variables."""
    (tmp_path / "x").write_bytes(b"\0\xff\n")
    command = "[sh, -c, 'cat x >/dev/null && echo \"$PLAIN-$RELMAN_AGE_KEY_FILE{{ }}\"']"
    found = host(tmp_path, f"{{f: {{file: x}}, v: {{variable: PLAIN}}, c: {{command: {command}}}}}").secrets
    opened = replace(keys(tmp_path), environ={"PLAIN": "p", "RELMAN_AGE_KEY_FILE": "k", "PATH": os.environ["PATH"]})
    assert {name: value_of(source, opened) for name, source in found.items()} == {
        "f": b"\0\xff\n",
        "v": b"p",
        "c": b"p-{{ }}",
    }


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        ("{a: {file: missing}}", "cannot read .*/missing: No such file"),
        ("{a: {variable: NOT_SET}}", "the variable NOT_SET is not set on this machine"),
        ("{a: {variable: EMPTY}}", "the variable EMPTY is empty"),
        ("{a: {command: [false]}}", "false ended with 1"),
        ("{a: {command: ['true']}}", "what true prints is empty"),
        ("{a: {command: [no-such-program]}}", "no-such-program cannot be run: No such file"),
        (f"{{a: {{command: [head, -c, '{LARGEST + 1}', /dev/zero]}}}}", "is larger than 1 MiB"),
        ("{a: {age: x.age}}", "cannot read .*/x.age"),
    ],
)
def test_a_value_that_cannot_be_had(tmp_path: Path, secrets: str, said: str) -> None:
    """Says what is missing, and where."""
    source = host(tmp_path, secrets).secrets["a"]
    assert source.origin == f"{tmp_path / 'hosts.yml'}:5:22"
    with pytest.raises(Unresolved, match=said):
        value_of(source, replace(keys(tmp_path), environ={"EMPTY": "", "PATH": os.environ["PATH"]}))


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        ("[a]", "expected names of secrets and their sources"),
        ("{a: x}", "relman_secrets.a: expected one source: one of vault, age, command, variable, file"),
        ("{a: {file: x, age: y}}", "relman_secrets.a: expected one source"),
        (
            "{a: {bitwarden: x}}",
            "relman_secrets.a: expected one of vault, age, command, variable, file, found bitwarden",
        ),
        ("{a: {command: 'cat x'}}", "relman_secrets.a: command: expected a command as a list of words"),
        ("{a: {variable: RELMAN_REGISTRY_PASSWORD}}", "is relman's own"),
        ("{.a: {file: x}}", "a secret's name"),
        ("{a: {file: x, services: shop}}", "relman_secrets.a: services: expected a list of services"),
    ],
)
def test_a_source_that_cannot_be(tmp_path: Path, secrets: str, said: str) -> None:
    """Refused with its place in the inventory."""
    with pytest.raises(ConfigError) as caught:
        host(tmp_path, secrets)
    assert said in str(caught.value.problems[0])
    assert caught.value.problems[0].line == 5


def test_a_secret_of_another_service(tmp_path: Path) -> None:
    """A release names what it wants itself: what is kept for other services it does not get."""
    one = host(tmp_path, "{a: {variable: A, services: [blog]}, b: {variable: B, services: [shop, blog]}}")
    context = Context(
        events=Output(json=False, environ={}, stdout=io.StringIO(), stderr=io.StringIO(), stdin=None),
        environ={"A": "1", "B": "2"},
    )
    wanted = {name: DeploySettings(secrets=(SecretRef(name, f"/{name}"),)) for name in "ab"}
    environment = Environment("production", (one,))
    assert given_to(context, environment, "shop", {"a": wanted["b"]}).values == {"a": {"b": b"2"}}
    with pytest.raises(PreflightFailed) as caught:
        given_to(context, environment, "shop", {"a": wanted["a"]})
    assert list(caught.value.details) == [f"{tmp_path}/hosts.yml:5:22: a: it is not for shop"]


def test_layers_add_up(tmp_path: Path) -> None:
    """A host's own source wins over its group's, name by name."""
    found = host(tmp_path, "{a: {file: x}, b: {file: x}}", host_vars__a="relman_secrets: {b: {file: own}}").secrets
    assert [(name, each.words, Path(each.folder).name) for name, each in sorted(found.items())] == [
        ("a", ("x",), tmp_path.name),
        ("b", ("own",), "host_vars"),
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"a\0b", "holds a NUL byte"),
        (b"\xff", "not text in UTF-8"),
        (b"x" * (1 << 17), "longer than the 128 KiB"),
    ],
)
def test_what_a_variable_cannot_hold(value: bytes, said: str) -> None:
    """A file can; newlines are good in both."""
    assert fitting(SecretRef("a", "/a"), value) == value
    assert fitting(SecretRef("a", env="A"), b"-----BEGIN\nx\n") == b"-----BEGIN\nx\n"
    with pytest.raises(Unresolved, match=said):
        fitting(SecretRef("a", env="A"), value)


@given(st.dictionaries(st.sampled_from("abc"), st.binary(min_size=1, max_size=3)), st.data())
def test_hashes_tell_what_changed(values: Mapping[str, bytes], data: st.DataObject) -> None:
    """Exactly the names whose values differ; sets that cannot be compared differ in everything."""
    others = data.draw(st.dictionaries(st.sampled_from("abc"), st.binary(min_size=1, max_size=3)))
    one, other = (Given({"h": each}, SALT).set_for("h", "d", ()) for each in (values, others))
    wanted = [SecretRef(name, "/x") for name in "abc"]
    assert changed(wanted, one, other) == tuple(n for n in "abc" if values.get(n) != others.get(n))
    if one and other:
        assert changed(wanted, one, replace(other, salt="11" * 16)) == ("a", "b", "c")


def test_a_host_keeps_its_salt() -> None:
    """So that its sets compare; another host's values hash to something else."""
    known = SecretSet("d0", "ab" * 16, {})
    made = Given({"h": {"a": b"x"}}, SALT).set_for("h", "d1", (None, known))
    assert made == SecretSet("d1", "ab" * 16, {"a": hashed(b"x", "ab" * 16)})
    assert Given({"h": {"a": b"x"}}, SALT).set_for("other", "d1", ()) is None


def with_secrets(id: str, value: str, *names: str) -> Deployed:
    """An entry whose secrets all have this value."""
    kept = SecretSet(id, SALT, {name: hashed(value.encode(), SALT) for name in names or ("key", "password")})
    return replace(deployed(id, settings=SECRET), secrets=kept)


def test_a_changed_value_is_a_rollout_and_no_other_way_back() -> None:
    """Equal values change nothing; another one is a step that names it. What serves with another value only is not what
    a rollback goes back to."""
    world = serving(1, SECRET, "1", "2")
    world.secret = b"2"
    assert world.deploy("2").plan.steps == ()
    world.secret = b"other"
    report = world.deploy("2")
    assert report.error is None
    assert [c.key for c in report.plan.steps[0].changes] == ["secrets.key", "secrets.password"]
    record = world.seen()[0].record
    assert [e.release for e in record.entries] == ["1", "2", "2"]
    assert record.serving
    back = before(record, record.serving)
    assert back
    assert back.release == "1"
    world.tidy()


def test_a_rollback_keeps_what_serves_if_it_is_told_to() -> None:
    """Its container is made anew with the serving values, and nothing stays of its own."""
    world = serving(2, SECRET, "1", "2")
    report = world.rollback(keep_secrets=True)
    assert report.error is None
    assert not any("--keep-secrets" in warning for warning in report.plan.warnings)
    assert all(h.settings[h.running[0].id].env["KEY"] == "2" for h in world.hosts)
    assert set(world.versions) == {"1"}
    world.tidy()
    assert world.deploy("2").error is None
    assert "1 gets its old" not in " ".join(world.rollback().plan.warnings)
    world.tidy()


def test_a_rollback_says_by_name_what_goes_back() -> None:
    """Once for all hosts with the same names."""
    old, new = with_secrets("1", "x"), with_secrets("2", "y")
    steps = [Step(host, Action.REPLACE, old, before=new) for host in ("h1", "h2")]
    (said,) = older_secrets("1", steps)
    assert said.startswith("h1, h2: 1 gets its old key, password back, not the current value")


def test_what_serves_lacks_a_secret_that_is_needed() -> None:
    """Nothing is made up from two sets."""
    world = serving(1, SECRET, "1")
    world.secret = b"x"
    assert world.deploy("2", replace(SECRET, secrets=SECRET.secrets[:1])).error is None
    with pytest.raises(PreflightFailed) as caught:
        world.rollback(keep_secrets=True)
    assert list(caught.value.details) == ["h1: 2 has no password"]
    assert kept_secrets({"h1": deployed("1")}, world.seen()) == {"h1": deployed("1")}


def test_secrets_are_swept_when_nothing_names_them() -> None:
    """Those of a deployment that died before it wrote an intent, too; and `keep` drops the oldest."""
    world = serving(1, replace(SECRET, keep=1), "1", "2", "3")
    (host,) = world.hosts
    where = "/var/lib/relman/production/shop/secrets"
    assert len({d for d in host.directories if d.startswith(f"{where}/")}) == 2
    host.directories.add(f"{where}/d9999")
    host.files[f"{where}/d9999/key"] = (b"x", 0.0)
    assert world.deploy("4").error is None
    world.tidy()


def test_a_secret_that_only_tasks_use_is_there_for_the_way_back() -> None:
    """No process is given it, and yet it lies on the host with its release: a rollback to the kept containers finds
    it."""
    world = serving(1, replace(SET, secrets=SECRET.secrets), "1", "2")
    assert world.rollback().error is None
    assert world.versions == ["1"]
    world.tidy()


def test_a_set_that_was_lost_is_found_before_anything_stops() -> None:
    """Also where the stopped container of the release is still there: it would not start."""
    world = serving(1, SECRET, "1", "2")
    (host,) = world.hosts
    for path in [p for p, (data, _) in host.files.items() if "/secrets/" in p and data == b"1"]:
        ModelSftp(host).remove(path)
    world.before(0, lambda _: None)
    report = world.rollback()
    assert "the host has lost secrets of 1: key, password" in str(report.error and report.error.details)
    assert (world.dark, set(world.versions)) == (0, {"2"})


def test_what_fails_tells_no_value() -> None:
    """Neither what came along nor what the hosts keep: a rollback and a recovery have no values of their own, and read
    those of the containers that may have printed them."""
    world = serving(2, SECRET, "marked-1", "marked-2")
    world.hosts[1].sick = frozenset({"marked-1"})
    assert world.rollback().error
    assert world.watcher.hidden == {"marked-1", "marked-2"}
    world.watcher.hidden.clear()
    world.hosts[1].sick = frozenset()
    world.before(14, killed)
    with pytest.raises(Died):
        world.deploy("marked-3")
    world.calm()
    assert world.recover().error is None
    assert "marked-2" in world.watcher.hidden
    world.tidy(whole=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with an inventory, an age key, and a relman.yml."""
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "key.txt").write_text(f"# created: today\n# public key: {identity.to_public()}\n{identity}\n")
    host(tmp_path, "{db: {age: secrets/db.age}, env: {variable: X}}")
    (tmp_path / "relman.yml").write_text(
        "service: shop\nregistry: registry.example.com\ndeploy: {secrets: {db: , lost: }}\n"
    )
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    return tmp_path


def test_secret_set_get_and_list(folder: Path) -> None:
    """A value goes encrypted into the file that the inventory names, and comes back byte for byte; listed it is not
    read."""
    where, env = ("-e", "production", "-i", "hosts.yml"), {"RELMAN_AGE_KEY_FILE": "key.txt"}
    value = folder / "value"
    value.write_bytes(b"s3cr3t\n\0\xff")
    missing = relman("secret", "list", *where, cwd=folder)
    assert f"there is no file {Path('secrets/db.age')}" in missing.stdout
    made = relman("secret", "set", "db", *where, "--from", "value", cwd=folder, env=env)
    assert (made.returncode, made.stderr) == (0, "")
    assert "db is in secrets/db.age, encrypted for age1" in made.stdout
    assert b"s3cr3t" not in (folder / "secrets/db.age").read_bytes()
    got = subprocess.run(
        argv("secret", "get", "db", *where), cwd=folder, env=environ(env), capture_output=True, check=True
    )
    assert got.stdout == value.read_bytes()
    listed = relman("--json", "secret", "list", *where, cwd=folder)
    assert [(s["name"], s["kind"], s["lacking"]) for s in json.loads(listed.stdout)["secrets"]] == [
        ("db", "age", ""),
        ("env", "variable", ""),
    ]
    assert "s3cr3t" not in made.stdout + listed.stdout


def test_an_empty_secret_is_refused(folder: Path) -> None:
    """As from a command before the pipe that failed; it is said how else a value can be given."""
    done = subprocess.run(
        argv("secret", "set", "db", "-e", "production", "-i", "hosts.yml"),
        cwd=folder,
        env=environ({"RELMAN_AGE_KEY_FILE": "key.txt"}),
        capture_output=True,
        text=True,
        input="\n",
    )
    assert done.returncode == 2
    assert "the value of db is empty" in done.stderr
    assert "--from" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        (("set", "env"), {}, "env comes from the variable X, not from an age file"),
        (("set", "db"), {}, "no key is given: set RELMAN_AGE_KEY_FILE"),
        (("set", "db"), {"RELMAN_AGE_KEY_FILE": "relman.yml"}, "relman.yml is no age key file"),
        (("set", "other"), {}, "add there, for all or some hosts: relman_secrets: {other: {age: secrets/other.age}}"),
        (("get", "db"), {"RELMAN_AGE_KEY_FILE": "key.txt"}, "cannot read secrets/db.age: No such file"),
        (("--json", "get", "env"), {"X": "1"}, "prints the value alone"),
    ],
)
def test_secret_says_what_is_missing(
    folder: Path, arguments: tuple[str, ...], env: Mapping[str, str], said: str
) -> None:
    """And writes nothing."""
    more = ("--from", "relman.yml") if "set" in arguments else ()
    ended = relman("secret", *arguments, "-e", "production", "-i", "hosts.yml", *more, cwd=folder, env=env)
    assert ended.returncode in (2, 4)
    assert said in ended.stderr
    assert not (folder / "secrets").exists()


def test_readers_of_an_age_file(folder: Path) -> None:
    """recipients.txt beside it says for whom; the wrong key is told from a missing one."""
    where = ("-e", "production", "-i", "hosts.yml")
    other = pyrage.x25519.Identity.generate()
    (folder / "other.txt").write_text(str(other))
    (folder / "secrets").mkdir()
    (folder / "secrets/recipients.txt").write_text(f"# ann\n{other.to_public()}\n")
    env = {"RELMAN_AGE_KEY_FILE": "key.txt"}
    assert relman("secret", "set", "db", *where, "--from", "relman.yml", cwd=folder, env=env).returncode == 0
    wrong = relman("secret", "get", "db", *where, cwd=folder, env=env)
    assert (wrong.returncode, wrong.stdout) == (4, "")
    assert "secrets/db.age cannot be decrypted with the key in key.txt: No matching keys found" in wrong.stderr
    right = relman("secret", "get", "db", *where, cwd=folder, env={"RELMAN_AGE_KEY_FILE": "other.txt"})
    assert right.stdout == (folder / "relman.yml").read_text()


def test_check_finds_what_is_missing(folder: Path) -> None:
    """A secret without a source, and a source without its file, each with its place."""
    ended = relman("check", "-i", "hosts.yml", cwd=folder)
    assert ended.returncode == 2
    assert "hosts.yml:5:22: relman_secrets.db: there is no file secrets/db.age" in ended.stderr
    said = "relman.yml: deploy.secrets.lost: relman_secrets of a in production does not say where it comes from"
    assert said in ended.stderr


def test_check_tells_nothing_of_files_that_no_password_opens(folder: Path) -> None:
    """A job without the password checks the rest."""
    host(folder, "{db: {vault: sealed}, lost: {vault: sealed}}")
    assert relman("check", "-i", "hosts.yml", cwd=folder).returncode == 2
    (folder / "group_vars").mkdir()
    (folder / "group_vars/production.yml").write_text(VAULTED)
    ended = relman("check", "-i", "hosts.yml", cwd=folder)
    assert (ended.returncode, "was skipped" in ended.stderr) == (0, True), ended.stderr
