"""Inventories: what Ansible would understand, relman understands; what it cannot, it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from relman.app.documents.inventory import environment_document, inventory_document
from relman.config.inventory.environments import Inventory
from relman.config.inventory.load import load_inventory
from relman.model.errors import ConfigError, UsageError
from relman.model.host import DEFAULT_STATE_DIR, Environment
from relman.model.image import Repository

REAL = Path(__file__).parents[2] / "inventories"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's own ssh_config and keys take part."""
    (tmp_path / "home/.ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USER", "me")
    monkeypatch.setenv("LOGNAME", "me")


def inventory(folder: Path, text: str, **others: str) -> Inventory:
    """The inventory of one file, and others beside it (`__` in a name is a slash)."""
    (folder / "hosts.yml").write_text(text)
    for name, content in others.items():
        file = folder / (name.replace("__", "/") + ".yml")
        file.parent.mkdir(exist_ok=True)
        file.write_text(content)
    return load_inventory([folder / "hosts.yml"])


def environment(found: Inventory, name: str) -> Environment:
    """An environment reached without any ssh_config."""
    return found.environment(name, ssh_config="/dev/null")


def said(folder: Path, text: str, name: str = "production") -> list[str]:
    """The problems of an inventory, loaded and asked for an environment."""
    with pytest.raises(ConfigError) as caught:
        environment(inventory(folder, text), name)
    return [str(p).removeprefix(f"{folder}/") for p in caught.value.problems]


def test_the_shipped_inventories_are_understood() -> None:
    """Every shipped inventory loads, alone and together, and its hosts are reached as its ssh_config says."""
    together = load_inventory([REAL])
    assert together.environments == ("production", "staging")
    assert "web" in together.groups
    for file in REAL.glob("*.yml"):
        assert environment(load_inventory([file]), file.stem).hosts
    production = environment(together, "production")
    assert [h.name for h in production.hosts] == [
        *(f"web{n}.example.com" for n in (1, 2, 3)),
        "reports1.example.com",
    ]
    assert production.services["shop"] == Repository("registry.example.com", "shop")
    assert production.registry_ca == str(REAL / "registry-ca.pem")
    assert production.hosts[3].env == {"SHOP_ENVIRONMENT": "production", "REPORTS_CACHE": "/data/cache"}
    staging = together.environment("staging", ssh_config=REAL / "ssh_config.example")
    assert [(h.endpoint.address, h.endpoint.user) for h in staging.hosts] == [
        ("stage01.staging.example.com", "deploy"),
        ("stage02.staging.example.com", "deploy"),
    ]
    assert [(j.address, j.port, j.user) for j in staging.hosts[0].jumps] == [("jump.example.com", 2200, "gate")]


def test_a_host_in_full(tmp_path: Path) -> None:
    """Each variable that relman knows reaches the host; the others fill in names in relman.yml."""
    found = environment(
        inventory(
            tmp_path,
            """
production:
  hosts:
    web1:
      ansible_host: 10.0.0.1
      ansible_port: 2222
      ansible_user: deploy
      ansible_ssh_private_key_file: ~/key
      ansible_become: yes
      relman_env: {A: 1, B: "$(reboot); `x`"}
      relman_state_dir: /srv/relman
      relman_docker_socket: /run/podman.sock
      relman_docker_command: sudo -n "/opt/my docker"
      site: eu
      version: 1.10
      debug: true
      password: "a b;$c"
      list: [1]
      nothing:
  vars:
    relman_services: {shop: "10.0.0.9:5000/team/shop"}
    relman_registry_ca: /etc/ca.pem
    relman_insecure_registries: ["Registry.lan:5000", 10.0.0.9]
""",
        ),
        "production",
    )
    host = found.hosts[0]
    assert (host.endpoint.address, host.endpoint.port, host.endpoint.user) == ("10.0.0.1", 2222, "deploy")
    assert host.endpoint.identity_files == (str(tmp_path / "home/key"),)
    assert host.env == {"A": "1", "B": "$(reboot); `x`"}
    assert host.docker_command == ("sudo", "-n", "/opt/my docker")
    assert (host.state_dir, host.docker_socket) == ("/srv/relman", "/run/podman.sock")
    assert host.variables == {
        "inventory_hostname": "web1",
        "site": "eu",
        "version": "1.10",
        "debug": "true",
        "password": "a b;$c",
    }
    assert found.services == {"shop": Repository("10.0.0.9:5000", "team/shop")}
    assert found.registry_ca == "/etc/ca.pem"
    assert found.insecure_registries == ("registry.lan:5000", "10.0.0.9")


def test_what_a_bare_host_is(tmp_path: Path) -> None:
    """Without any variable a host is reached under its name by the local user."""
    host = environment(inventory(tmp_path, "production: {hosts: {web1: }}"), "production").hosts[0]
    assert (host.endpoint.address, host.endpoint.port, host.endpoint.user) == ("web1", 22, "me")
    assert (host.jumps, host.state_dir) == ((), DEFAULT_STATE_DIR)


def test_who_wins(tmp_path: Path) -> None:
    """all < parent < child < group_vars/ < host < host_vars/, as in Ansible."""
    found = inventory(
        tmp_path,
        """
all:
  vars: {a: all, b: all, c: all, d: all, e: all, f: all}
  children:
    production:
      vars: {b: parent, c: parent, d: parent, e: parent, f: parent}
      children:
        web:
          vars: {c: child, d: child, e: child, f: child}
          hosts: {web1: {e: host, f: host}}
""",
        group_vars__production="d: group_vars\ne: group_vars\nf: group_vars",
        host_vars__web1="f: host_vars",
    )
    variables = environment(found, "production").hosts[0].variables
    assert [variables[k] for k in "abcdef"] == ["all", "parent", "child", "group_vars", "host", "host_vars"]


def test_two_environments_on_one_host(tmp_path: Path) -> None:
    """A host of two environments gets the variables of the one that is asked for, and none of the other's."""
    found = inventory(
        tmp_path,
        """
production:
  hosts: {h1: }
  vars: {site: p, relman_services: {shop: "r:1/shop"}, relman_env: {A: p}}
staging:
  hosts: {h1: }
  vars: {site: s, only: s, relman_services: {shop: "r:1/shop-staging"}, relman_env: {A: s, DEBUG: 1}}
rack:
  hosts: {h1: }
  vars: {site: rack, power: a}
""",
    )
    production, staging = environment(found, "production").hosts[0], environment(found, "staging").hosts[0]
    assert dict(production.variables) == {"inventory_hostname": "h1", "site": "p", "power": "a"}
    assert dict(production.env) == {"A": "p"}
    assert dict(staging.env) == {"A": "s", "DEBUG": "1"}
    assert environment(found, "staging").services["shop"].name == "shop-staging"


def test_ranges_and_files_of_a_directory(tmp_path: Path) -> None:
    """Ranges are expanded as Ansible does; the files of a directory are merged in order, encrypted ones left out."""
    (tmp_path / "a.yml").write_text("web: {hosts: {'w[08:10].x': , 'db-[a:c]': , 'n[1:9:4]': }, vars: {v: 1}}")
    (tmp_path / "b.yaml").write_text("web: {hosts: {extra: }, vars: {v: 2}}")
    (tmp_path / "notes.txt").write_text("{")
    (tmp_path / "group_vars/web").mkdir(parents=True)
    (tmp_path / "group_vars/web/vault.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n3836\n")
    (tmp_path / "group_vars/web/main.yml").write_text("# nothing yet\n")
    found = load_inventory([tmp_path])
    hosts = environment(found, "web").hosts
    assert [h.name for h in hosts] == [
        *("w08.x", "w09.x", "w10.x"),
        *("db-a", "db-b", "db-c", "n1", "n5", "n9", "extra"),
    ]
    assert hosts[0].variables["v"] == "2"
    assert found.skipped == (str(tmp_path / "group_vars/web/vault.yml"),)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[web1]", "1:1: expected names and their values, found a list"),
        ("", "1:1: the file is empty"),
        ("production: {host: {a: }}", "1:14: production.host: unknown key; did you mean hosts?"),
        ("production: {hosts: [a]}", "1:21: production.hosts: expected names and their values, found a list"),
        (
            "production: {hosts: {a: }, vars: {relman_evn: {}}}",
            "1:35: production.vars.relman_evn: unknown key; did you mean relman_env?",
        ),
        (
            "production: {hosts: {a: {ansible_hots: x}}}",
            "1:26: production.hosts.a.ansible_hots: unknown key; did you mean ansible_host?",
        ),
        (
            "production: {hosts: {a: {ansible_port: 0}}}",
            "1:40: production.hosts.a.ansible_port: expected a port from 1 to 65535, found 0",
        ),
        (
            "production: {hosts: {a: {ansible_host: 'web1:2222'}}}",
            "1:40: production.hosts.a.ansible_host: expected a host name or an IP address alone: the port of "
            "'web1:2222' is ansible_port",
        ),
        (
            "production: {hosts: {a: {ansible_host: '{{ ip }}'}}}",
            "1:40: production.hosts.a.ansible_host: relman does not evaluate Jinja: write the value itself",
        ),
        (
            "production: {hosts: {a: }, vars: {relman_env: {B: 1, A: !vault x}}}",
            "1:57: production.vars.relman_env.A: is in Ansible Vault, in a format that relman does not know (it knows "
            "1.1 and 1.2, AES256)",
        ),
        (
            "production: {hosts: {a: {ansible_ssh_common_args: -J x}}}",
            "1:26: production.hosts.a.ansible_ssh_common_args: relman does not run ssh: say it in your ssh_config "
            "(ProxyJump, ProxyCommand)",
        ),
        (
            "production: {hosts: {a: {ansible_connection: local}}}",
            "1:46: production.hosts.a.ansible_connection: relman reaches hosts by ssh only, not by 'local': leave this "
            "host out",
        ),
        (
            "production: {hosts: {'a;reboot': }}",
            '1:22: production.hosts."a;reboot": expected a host\'s name of letters, digits and - _ . : or a range such '
            "as web[1:3]",
        ),
        (
            "production: {hosts: {'a[3:1]': }}",
            '1:22: production.hosts."a[3:1]": the range [3:1] is empty: write the smaller end first',
        ),
        (
            "production: {hosts: {a: }, children: {b: {children: {production: }}}}",
            "1:54: production.children.b.children.production: production already contains b",
        ),
        (
            "production: {hosts: {a: {relman_registry_ca: /x}, b: }}",
            "1:26: production.hosts.a.relman_registry_ca: a and b differ in it: give it to the whole environment",
        ),
        (
            "production: {hosts: {a: {relman_insecure_registries: [r.lan]}, b: }}",
            "1:26: production.hosts.a.relman_insecure_registries: a and b differ in it: give it to the whole "
            "environment",
        ),
        (
            "production: {hosts: {a: }, vars: {relman_insecure_registries: r.lan}}",
            "1:63: production.vars.relman_insecure_registries: expected a list of registries, each as HOST:PORT; "
            "found 'r.lan'",
        ),
        (
            "production: {hosts: {a: }, vars: {relman_insecure_registries: [r.lan, 'http://x']}}",
            "1:63: production.vars.relman_insecure_registries: expected HOST or HOST:PORT, without http://; "
            "found 'http://x'",
        ),
        (
            "production: {hosts: {a: }, vars: {relman_services: {shop: shop}}}",
            "1:59: production.vars.relman_services.shop: expected REGISTRY/NAME: 'shop' is not a registry's host[:port]",  # noqa: E501
        ),
    ],
)
def test_typical_mistakes(tmp_path: Path, text: str, problem: str) -> None:
    """A typical mistake is said in plain words at its place, once however many hosts it concerns."""
    assert said(tmp_path, text) == [f"hosts.yml:{problem}"]


def test_another_environments_hosts_do_not_matter(tmp_path: Path) -> None:
    """What relman cannot use is refused only in the environment that needs it."""
    text = "production: {hosts: {a: }}\nlocal: {hosts: {b: {ansible_connection: local}}}"
    assert environment(inventory(tmp_path, text), "production").hosts[0].name == "a"


def test_an_unknown_environment(tmp_path: Path) -> None:
    """An unknown environment is answered with the nearest one and all there are; an empty group is none."""
    found = inventory(tmp_path, "production: {hosts: {a: }}\nstaging: {}\nUpper: {hosts: {a: }}")
    with pytest.raises(UsageError, match="did you mean production") as caught:
        environment(found, "prodution")
    assert caught.value.hint == "Environments: production, Upper"
    for name in ("staging", "a b; reboot", "Upper"):
        with pytest.raises(UsageError):
            environment(found, name)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    """A missing inventory or known_hosts file is a usage error."""
    for paths in ([tmp_path / "none.yml"], [tmp_path], []):
        with pytest.raises(UsageError):
            load_inventory(paths)
    with pytest.raises(UsageError, match="known_hosts"):
        inventory(tmp_path, "p: {hosts: {a: }}").environment("p", known_hosts=[tmp_path / "none"])


def test_descriptions_name_variables_and_never_show_values(tmp_path: Path) -> None:
    """What `relman inventory` shows has the names of variables only: values may be secrets."""
    found = inventory(tmp_path, "p: {hosts: {a: {token: s3cret, relman_env: {T: s3cret}}}}")
    shown = [inventory_document(found), environment_document(environment(found, "p"))]
    assert "s3cret" not in repr(shown)
    assert shown[0]["hosts"] == {"a": {"groups": ["all", "p"], "variables": ["relman_env", "token"]}}
    assert shown[1]["hosts"][0]["endpoint"] == "me@a:22"
    assert shown[1]["hosts"][0]["env"] == ["T"]
