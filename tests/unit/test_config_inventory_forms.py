"""Inventories in forms that relman does not read by itself, vaulted values, and which groups are environments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relman.config.deploy import resolve
from relman.config.inventory import ini
from relman.config.inventory.load import Reading, load_inventory
from relman.config.inventory.vault import Vault, open_vault
from relman.model.errors import ConfigError, UsageError

SERVICES = "relman_services: {shop: r.example.com/shop}"


def write(folder: Path, **files: str) -> Path:
    """Files of these names (`__` is a slash, `_0` no ending); returns the folder."""
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("name", "text", "form"),
    [
        ("hosts.toml", "[web.hosts]\nw1 = {}\n", "is TOML"),
        ("hosts.sh", "#!/bin/sh\necho {}\n", "is a script"),
        ("aws_ec2.yml", "plugin: aws_ec2\nregions: [eu]\n", "is the configuration of an inventory plugin"),
    ],
)
def test_what_only_a_program_can_tell_is_refused_with_the_way_to_convert_it(
    tmp_path: Path, name: str, text: str, form: str
) -> None:
    """The refusal names the form and the converting command; nothing is run."""
    (tmp_path / name).write_text(text)
    (tmp_path / name).chmod(0o755)
    for path in (tmp_path / name, tmp_path):
        with pytest.raises(UsageError, match=form) as caught:
            load_inventory([path])
        assert "ansible-inventory -i" in caught.value.hint


def test_a_script_is_run_where_a_person_says_so(tmp_path: Path) -> None:
    """It gets none of relman's variables, an empty ANSIBLE_CONFIG, and a directory of its own."""
    said = {"production": {"hosts": ["w1"], "vars": {"relman_services": {"shop": "r.example.com/shop"}}}}
    script = tmp_path / "hosts.sh"
    script.write_text(
        f"#!/bin/sh\nenv > '{tmp_path}/env'\npwd >> '{tmp_path}/env'\ncat \"$ANSIBLE_CONFIG\"\n"
        f"cat <<'END'\n{json.dumps({**said, '_meta': {'hostvars': {'w1': {'ansible_host': '10.0.0.1'}}}})}\nEND\n"
    )
    script.chmod(0o755)
    environ = {"PATH": "/usr/bin:/bin", "RELMAN_REGISTRY_PASSWORD": "s3cret"}
    found = load_inventory([script], Reading(run=True, environ=environ))
    environment = found.environment("production", ssh_config="/dev/null")
    assert environment.hosts[0].endpoint.address == "10.0.0.1"
    seen = (tmp_path / "env").read_text()
    assert "RELMAN_" not in seen
    assert str(Path.cwd()) not in seen.splitlines()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("exit 3", "ended with 3"),
        ("echo no", "did not print an inventory"),
        ("head -c 20000000 /dev/zero", "printed more than 16 MiB"),
    ],
)
def test_a_script_that_fails_is_said(tmp_path: Path, body: str, said: str) -> None:
    """By its exit code, by what it prints, and by how much."""
    script = tmp_path / "hosts.sh"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)
    with pytest.raises(UsageError, match=said):
        load_inventory([script], Reading(run=True, environ={"PATH": "/usr/bin:/bin"}))


def test_an_ini_inventory_names_its_faults(tmp_path: Path) -> None:
    """Each with line and column, all at once."""
    (tmp_path / "hosts").write_text(
        "[web]\nw1 port\nw2 a='\n[web:hosts:x]\n[lost:vars]\na=1\n[top:children]\nnone\n[web:vars]\nno\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_inventory([tmp_path / "hosts"])
    said = [str(p).rpartition("/")[2] for p in caught.value.problems]
    assert said == [
        "hosts:2:4: web.hosts.w1: expected NAME=VALUE, found 'port'",
        "hosts:3:1: expected HOST NAME=VALUE …: No closing quotation",
        "hosts:4:1: expected [GROUP], [GROUP:children] or [GROUP:vars], without blanks",
        "hosts:5:1: [lost:vars] names a group that has no section of its own",
        "hosts:8:1: [top:children] names none, which has no section of its own",
        "hosts:10:1: expected NAME=VALUE, found 'no'",
    ]


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200) | st.text("[]:=# \nabc'\"{}()\\", max_size=80))
@settings(deadline=None)
def test_no_text_breaks_the_ini_reader(text: str) -> None:
    """Whatever the file holds: a tree and faults with places."""
    document = ini.parse(text.encode(), "hosts")
    assert isinstance(document.tree, dict)
    assert all(p.line >= 1 and p.column >= 1 for p in document.problems)


def test_which_groups_are_environments(tmp_path: Path) -> None:
    """Those whose own variables, group_vars included, name services; a group inside of one is refused with the command
    that means it."""
    found = load_inventory(
        [write(tmp_path, **{"hosts": "[web]\nw1\n[production:children]\nweb\n[rack]\nw1\nw2\n"}) / "hosts"]
    )
    assert found.environments == ("production", "rack")
    write(tmp_path, **{"group_vars__production.yml": SERVICES})
    found = load_inventory([tmp_path / "hosts"])
    assert (found.environments, found.deployable) == (("production",), ("production",))
    with pytest.raises(UsageError, match="web is part of production") as caught:
        found.environment("web")
    assert caught.value.hint == "-e production --only web"
    with pytest.raises(UsageError, match="rack is a group, not an environment"):
        found.environment("rack")


def test_services_of_the_whole_inventory_make_every_top_group_an_environment(tmp_path: Path) -> None:
    """Where only `all` names services, each group directly below it."""
    write(
        tmp_path, **{"hosts": "[web]\nw1\n[production:children]\nweb\n[staging]\ns1\n", "group_vars__all.yml": SERVICES}
    )
    found = load_inventory([tmp_path / "hosts"])
    assert found.deployable == ("production", "staging")


def test_what_relman_never_uses_is_never_refused(tmp_path: Path) -> None:
    """Numbers as keys, duplicates, control characters and vaults in others' variables; in its own they are faults."""
    write(
        tmp_path,
        **{
            "hosts": "[production]\nw1\n",
            "group_vars__production.yml": f'ports: {{80: a}}\nx: 1\nx: 2\nbell: "\\a"\nv: !vault |\n  y\n{SERVICES}\n',
        },
    )
    found = load_inventory([tmp_path / "hosts"])
    assert found.environment("production", ssh_config="/dev/null").hosts
    write(tmp_path, **{"group_vars__production.yml": "relman_services: {shop: a/b}\nrelman_services: {1: r.io/x}\n"})
    with pytest.raises(ConfigError, match="2 problems"):
        load_inventory([tmp_path / "hosts"])


def test_what_a_directory_has_besides_is_listed(tmp_path: Path) -> None:
    """A file that Ansible would pass over, or could not read, is left out by name; a broken inventory is a fault."""
    write(tmp_path, **{"a.yml": "web: {hosts: {w1: }}", "notes.txt": "hi", "conf.example": "Host *\n  User x\n"})
    found = load_inventory([tmp_path])
    assert [Path(said.partition(": ")[0]).name for said in found.left_out] == ["conf.example", "notes.txt"]
    write(tmp_path, **{"b.ini": "[web\nw2 x\n"})
    with pytest.raises(ConfigError):
        load_inventory([tmp_path])


# Made by `ansible-vault encrypt_string --vault-id LABEL@FILE` of ansible-core 2.19 with the password "open sesame".
VAULTED = (Path(__file__).parent / "data/vaulted.txt").read_text()
LABELLED = (Path(__file__).parent / "data/vaulted_labelled.txt").read_text()


def test_values_in_ansible_vault(tmp_path: Path) -> None:
    """They are decrypted where a variable of Ansible's or relman's uses them, by the password of their label or any."""
    (tmp_path / "password").write_text("open sesame\n")
    (tmp_path / "wrong").write_text("open barley\n")
    for vault in (
        open_vault(str(tmp_path / "password"), ()),
        open_vault("", [f"prod@{tmp_path}/password", f"dev@{tmp_path}/wrong"]),
    ):
        assert vault.decrypt(VAULTED) == "10.0.0.7"
        assert vault.decrypt(LABELLED) == "10.0.0.7"
    with pytest.raises(ValueError, match="no password given opens it"):
        open_vault(str(tmp_path / "wrong"), ()).decrypt(VAULTED)
    with pytest.raises(ValueError, match="set RELMAN_VAULT_PASSWORD_FILE"):
        Vault({}).decrypt(LABELLED)
    indented = VAULTED.replace("\n", "\n        ")
    text = f"production:\n  hosts:\n    w1:\n      ansible_host: !vault |\n        {indented}\n      token: !vault x\n"
    (tmp_path / "hosts.yml").write_text(text)
    reading = Reading(open_vault(str(tmp_path / "password"), ()))
    host = load_inventory([tmp_path / "hosts.yml"], reading).environment("production", ssh_config="/dev/null").hosts[0]
    assert (host.endpoint.address, host.secret_variables) == ("10.0.0.7", ("token",))
    with pytest.raises(ConfigError) as caught:
        resolve({"env": {"T": "${token}"}}, host.variables, {}, origin="x", secret=host.secret_variables)
    assert "is in Ansible Vault" in str(caught.value.problems[0])


def test_a_password_file_is_read_and_never_run(tmp_path: Path) -> None:
    """A script is refused, and so are files that hold no password."""
    for text in ("#!/bin/sh\necho x\n", "", "x" * 5000):
        (tmp_path / "password").write_text(text)
        with pytest.raises(UsageError, match="not a vault password file"):
            open_vault(str(tmp_path / "password"), ())
    with pytest.raises(UsageError, match="cannot read"):
        open_vault(str(tmp_path / "none"), ())
    with pytest.raises(UsageError, match="not LABEL@FILE"):
        open_vault("", ["prod"])
