"""Inventories in all forms that teams have: relman understands what ansible-inventory understands."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from relman.config.inventory.environments import Inventory
from relman.config.inventory.load import load_inventory
from relman.config.inventory.tree import ALL

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE = ROOT / ".peers/ansible-core/bin/python"

INI = "[web]\nweb1 ansible_host=10.0.0.1\n"
# Name: the files of an inventory; where there is but `hosts…` at the top that file is given, else the directory.
SHAPES: Mapping[str, Mapping[str, str]] = {
    "yaml": {"hosts.yml": "web: {hosts: {web1: {a: 1}}, vars: {b: two}}"},
    "yaml without an ending": {"hosts": "---\nweb:\n  hosts:\n    web1:\n"},
    "ini without an ending": {"hosts": INI},
    "ini": {"hosts.ini": INI},
    "ini with another ending": {"hosts.lab": INI},
    "json": {"hosts.json": '{"web": {"hosts": {"web1": {"a": "x"}}}}'},
    "hosts in no group": {"hosts": "web1 a=1\nweb2\n[db]\ndb1\n"},
    "a group of groups": {"hosts": "[web]\nw1\n[db]\nd1\n[site:children]\nweb\ndb\n[site:vars]\nregion=eu\n"},
    "children before their sections": {"hosts": "[site:children]\nweb\n[web]\nw1\n"},
    "variables before the section": {"hosts": "[web:vars]\na=1\n[web]\nw1\n"},
    "all:vars": {"hosts": "[all:vars]\na=x\n[web]\nw1 b=y\n"},
    "ranges": {"hosts": "[web]\nweb[01:03].example.com\ndb-[a:c]\nn[1:9:4]\n"},
    "two ranges": {"hosts": "[web]\nr[1:2]-n[1:2]\n"},
    "a port behind the name": {"hosts": "[web]\nweb1:2222\nweb2:2200 ansible_port=23\n"},
    "a port behind a range": {"hosts": "[web]\nweb[1:2]:2222\n"},
    "a port in yaml": {"hosts.yml": "web: {hosts: {'web[1:2]:2222': {a: 1}}}"},
    "an IPv6 address": {"hosts": "[web]\n2001:db8::1 a=x\n[2001:db8::2]:2222 a=y\n"},
    "comments": {"hosts": "# one\n; two\n[web] # three\nw1 a=x # four\n\n  w2\n"},
    "quotes": {"hosts": '[web]\nw1 a="x y" b=\'z\' c="it\'s"\n[web:vars]\nd="q r"\ne=\'s\'\n'},
    "values of all kinds": {"hosts": "[web]\nw1 t=True f=False n=None i=7 l=\"['a', 'b']\" d=\"{'k': 'v'}\" y=yes\n"},
    "equals signs in values": {"hosts": "[web]\nw1 a=b=c\n[web:vars]\nopts=-o A=1 -o B=2\n"},
    "blanks around equals signs": {"hosts": "[web]\nw1\n[web:vars]\na = x\nb= y z\n"},
    "a variable without a value": {"hosts": "[web]\nw1 a=\n[web:vars]\nb=\n"},
    "an empty section": {"hosts": "[web]\n[db]\nd1\n"},
    "a section twice": {"hosts": "[web]\nw1 a=1\n[db]\nd1\n[web]\nw2\nw1 b=2\n"},
    "a host twice": {"hosts": "[web]\nw1 a=x b=x\n[db]\nw1 a=y\n"},
    "dashes in groups": {"hosts": "[my-web]\nw1\n[my-web:vars]\na=x\n"},
    "carriage returns": {"hosts": "[web]\r\nw1 a=x\r\n"},
    "a byte order mark": {"hosts.yml": "\ufeffweb: {hosts: {w1: }}"},
    "a directory of both": {"a.yml": "web: {hosts: {w1: }}", "b.ini": "[db]\nd1 a=x\n"},
    "a directory in order": {"01-a": "[web]\nw1 a=x\n", "02-b.yml": "web: {hosts: {w1: {a: y}}}"},
    "nested directories": {"a/hosts": "[web]\nw1\n", "b/more/hosts.yml": "db: {hosts: {d1: }}"},
    "ignored files": {"hosts": INI, "README.md": "# hi", "old.bak": "[web]\nx\n", ".DS_Store": "\0\1", "a.retry": "w9"},
    "group_vars as a file": {"hosts": INI, "group_vars/web.yml": "a: x", "group_vars/all": "b: y"},
    "group_vars as json": {"hosts": INI, "group_vars/web.json": '{"a": "x"}'},
    "group_vars as a directory": {"hosts": INI, "group_vars/web/b.yml": "a: b", "group_vars/web/a.yml": "a: a\nc: a"},
    "a directory hides the file": {"hosts": INI, "group_vars/web/a.yml": "a: x", "group_vars/web.yml": "b: y"},
    "nested group_vars": {"hosts": INI, "group_vars/web/sub/a.yml": "a: x", "group_vars/web/.hidden.yml": "b: y"},
    "host_vars": {"hosts": INI, "host_vars/web1.yml": "a: x"},
    "who wins": {
        "hosts": "[all:vars]\na=all\n[top:children]\nweb\n[top:vars]\na=top\nb=top\n"
        "[web]\nw1 d=host\n[web:vars]\nc=web\n",
        "group_vars/web.yml": "c: file\nd: file",
        "host_vars/w1.yml": "e: host",
    },
    "one name for a mapping": {"hosts.yml": "web: {hosts: w1, children: db}\ndb: {hosts: d1}"},
    "merge keys": {"hosts.yml": "x: {vars: &v {a: x, b: x}}\nweb: {hosts: {w1: {<<: *v, b: y}}}"},
    "numbers as keys": {"hosts": INI, "group_vars/web.yml": "ports: {80: a, 443: b}"},
    "the same key twice": {"hosts": INI, "group_vars/web.yml": "a: 1\na: x"},
    "control characters in others' values": {"hosts": INI, "group_vars/web.yml": 'a: "x"\nmotd: "\\u0007"'},
    "an empty file of variables": {"hosts": INI, "group_vars/web.yml": "# nothing\n", "host_vars/web1.yml": ""},
}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[Path, Any]]:
    """Every shape, written out, and what ansible-inventory says of it."""
    home = tmp_path_factory.mktemp("shapes")
    paths = {name: _written(home / str(number), files) for number, (name, files) in enumerate(SHAPES.items())}
    (home / "ansible.cfg").touch()
    environ = {**os.environ, "ANSIBLE_CONFIG": str(home / "ansible.cfg"), "ANSIBLE_LOCAL_TEMP": str(home / "tmp")}
    argv = [str(ANSIBLE), str(Path(__file__).with_name("ansible_judge.py")), *map(str, paths.values())]
    done = subprocess.run(argv, env=environ, cwd=home, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(SHAPES), done.stderr
    return {name: (path, json.loads(line)) for (name, path), line in zip(paths.items(), lines, strict=True)}


def _written(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
    tops = [name for name in files if "/" not in name and name.startswith("hosts")]
    return folder / tops[0] if tops and all("/" in n or n.startswith("hosts") for n in files) else folder


def _plain(value: Any) -> Any:
    """A value as a container would get it: relman keeps numbers as they are written, Ansible as numbers."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value)


def _hosts(found: Inventory) -> dict[str, Any]:
    return {
        host: {name: _plain(v.value) for name, v in found.tree.variables(host).items()} for host in found.tree.hosts
    }


def _groups(said: Mapping[str, Any]) -> dict[str, set[str]]:
    """Every group with all its hosts, those of its children too."""

    def below(name: str) -> set[str]:
        body = said.get(name, {})
        return set(body.get("hosts", ())).union(*(below(child) for child in body.get("children", ())))

    return {name: found for name in said if name not in ("_meta", ALL) and (found := below(name))}


@pytest.mark.parametrize("name", SHAPES)
def test_an_inventory_is_what_ansible_says(judged: Mapping[str, tuple[Path, Any]], name: str) -> None:
    """The same hosts, in the same groups, with the same variables; no host is lost."""
    path, said = judged[name]
    found = load_inventory([path])
    wanted = {host: {} for group in _groups(said).values() for host in group} | said["_meta"]["hostvars"]
    assert _hosts(found) == {host: _plain(variables) for host, variables in wanted.items()}
    groups = {group: set(found.tree.members(group)) for group in found.groups if group != ALL}
    assert groups == _groups(said)
