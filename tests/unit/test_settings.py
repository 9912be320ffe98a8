"""The keys of one container: how they are written, what they mean, and that none is forgotten anywhere."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from types import NoneType, SimpleNamespace, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.config.deploy import as_tested, resolve
from relman.config.schema.container import ContainerKeys
from relman.config.schema.json_schema import json_schema
from relman.config.service import parse_service
from relman.docker import answers, log_limit
from relman.docker.creation import aliases_in, creation
from relman.model.container import RunSpec
from relman.model.container_settings import OF_THE_PROCESS, ContainerSettings, Device, Logging, Tmpfs, Ulimit
from relman.model.errors import ConfigError
from relman.model.formats.untrusted_json import read
from relman.model.formats.versions import plain, version_of
from relman.model.settings import DeploySettings, Mount, Port
from relman.model.settings_diff import HIDDEN, Changed, differences, same_run
from relman.model.state_dir.lock import Intent
from relman.model.strategy import When
from relman.rollout.local_commands import run_hooks
from relman.rollout.planning.planner import plan_deploy
from tests.unit.documents import ROOT, sections
from tests.unit.test_planner import ASKED, release, seen
from tests.unit.values import deployed

NAMES = [f.name for f in dataclasses.fields(ContainerSettings)]

SAID: Mapping[str, tuple[Any, Any, tuple[tuple[str, str], ...]]] = {
    "labels": ({"a.b": 1}, {"a.b": "1"}, (("labels.a.b", HIDDEN),)),
    "entrypoint": ("tini -- 'a b'", ("tini", "--", "a b"), (("entrypoint", HIDDEN),)),
    "user": ("1000:video", "1000:video", (("user", "1000:video"),)),
    "working_dir": ("/srv//app/", "/srv/app", (("working_dir", "/srv/app"),)),
    "hostname": ("web1.example.com", "web1.example.com", (("hostname", "web1.example.com"),)),
    "init": (False, False, (("init", "false"),)),
    "tty": (True, True, (("tty", "true"),)),
    "read_only": (True, True, (("read_only", "true"),)),
    "tmpfs": (["/run:size=1m,mode=1777", "/tmp/"], (Tmpfs("/run", "size=1m,mode=1777"), Tmpfs("/tmp")),  # noqa: S108
              (("tmpfs", "/run:size=1m,mode=1777, /tmp"),)),
    "shm_size": ("64kb", 65536, (("shm_size", "65536"),)),
    "ulimits": ({"nofile": {"soft": 1, "hard": 2}, "core": -1}, (Ulimit("nofile", 1, 2), Ulimit("core", -1, -1)),
                (("ulimits", "nofile=1:2, core=-1"),)),
    "cap_drop": (["cap_net_raw", "all"], ("NET_RAW", "ALL"), (("cap_drop", "NET_RAW, ALL"),)),
    "extra_hosts": ({"db": "192.0.2.1", "six": ["[::1]", "::2"], "me": "host-gateway"},
                    ("db:192.0.2.1", "six:::1", "six:::2", "me:host-gateway"),
                    (("extra_hosts", "db:192.0.2.1, six:::1, six:::2, me:host-gateway"),)),
    "dns": ("192.0.2.53", ("192.0.2.53",), (("dns", "192.0.2.53"),)),
    "dns_search": ([".", "example.com"], (".", "example.com"), (("dns_search", "., example.com"),)),
    "dns_opt": ("ndots:1", ("ndots:1",), (("dns_opt", "ndots:1"),)),
    "logging": ({"driver": "syslog", "options": {"tag": "x"}}, Logging("syslog", {"tag": "x"}),
                (("logging.driver", "syslog"), ("logging.options.tag", HIDDEN))),
    "privileged": (True, True, (("privileged", "true"),)),
    "cap_add": ("sys_nice", ("SYS_NICE",), (("cap_add", "SYS_NICE"),)),
    "security_opt": (["no-new-privileges", "label:user:x", "apparmor=a", "seccomp:unconfined"],
                     ("no-new-privileges=true", "label=user:x", "apparmor=a", "seccomp=unconfined"),
                     (("security_opt", "no-new-privileges=true, label=user:x, apparmor=a, seccomp=unconfined"),)),
    "sysctls": (["net.core.somaxconn=1"], {"net.core.somaxconn": "1"}, (("sysctls", "net.core.somaxconn=1"),)),
    "devices": (["/dev/fuse", "/dev/sda:r", "/dev/sdb:/dev/x:rw"],
                (Device("/dev/fuse", "/dev/fuse"), Device("/dev/sda", "/dev/sda", "r"),
                 Device("/dev/sdb", "/dev/x", "rw")),
                (("devices", "/dev/fuse:/dev/fuse:rwm, /dev/sda:/dev/sda:r, /dev/sdb:/dev/x:rw"),)),
    "group_add": (["video", 44], ("video", "44"), (("group_add", "video, 44"),)),
    "pid": ("host", "host", (("pid", "host"),)),
}  # fmt: skip
"""Each key as it can be written, what it means, and what a plan shows of it where it is new."""


def meant(**deploy: Any) -> DeploySettings:
    """The settings of a deploy section."""
    return resolve(deploy, {}, {}, origin="a test")


def test_every_key_is_in_the_tables_of_this_test() -> None:
    """The schema has the model's fields by their names, in their order, and no test below forgets one."""
    assert list(ContainerKeys.model_fields) == NAMES == list(SAID)


@pytest.mark.parametrize("key", NAMES)
def test_what_is_written_is_meant_shown_kept_and_created(key: str) -> None:
    """Read by compose's rules; a plan shows that it changes; a record of version 2 holds it, and only where it says
    something; another container is created for it, which is asked of the engine."""
    written, value, shown = SAID[key]
    found = meant(**{key: written})
    assert getattr(found.container, key) == value
    assert not same_run(DeploySettings(), found)
    changed = differences(DeploySettings(), found)
    assert [(each.key, each.new) for each in changed] == list(shown)
    assert all(each.old in ("", "false") for each in changed)
    kept = plain(found)
    assert (version_of(found), list(kept["container"])) == (2, [key])
    assert read(DeploySettings, json.loads(json.dumps(kept))) == found
    assert creation(RunSpec("c", "i", found, {})) != creation(RunSpec("c", "i", DeploySettings(), {}))


@pytest.mark.parametrize("key", NAMES)
def test_every_key_is_described_for_editors_and_readers(key: str) -> None:
    """The JSON Schema says what each is, in a sentence; the reference has a section on it."""
    said = json_schema("relman")["$defs"]["Deploy"]["properties"][key]["description"]
    assert said.endswith(".")
    titles = [s.title for s in sections((ROOT / "docs/reference/relman-yml.md").read_text(), 3)]
    assert f"deploy.{key}" in titles


def test_without_any_of_them_nothing_is_asked_of_the_engine_or_kept() -> None:
    """A service that uses none is created, and recorded in version 1, as before there were any."""
    assert "container" not in plain(DeploySettings())
    body = creation(RunSpec("c", "i", DeploySettings(), {}))
    assert not {"Entrypoint", "User", "WorkingDir", "Hostname"} & body.keys()
    assert not {"Init", "LogConfig", "Dns", "Tmpfs", "CapDrop"} & body["HostConfig"].keys()


def test_an_empty_entrypoint_is_none_and_not_the_image_s() -> None:
    """Engine API: "if the array consists of exactly one empty string then the entry point is reset"."""
    found = meant(entrypoint=[])
    assert found.container.entrypoint == ()
    assert creation(RunSpec("c", "i", found, {}))["Entrypoint"] == [""]
    assert differences(DeploySettings(), found) == (Changed("entrypoint", "", HIDDEN),)


def test_relman_s_own_labels_win() -> None:
    """Whatever a section says, nothing takes a container from its service."""
    spec = RunSpec("c", "i", meant(labels={"x": "1"}), {"relman.service": "shop"})
    assert creation(spec)["Labels"] == {"x": "1", "relman.service": "shop"}


def test_lists_and_mappings_are_the_same() -> None:
    """As compose has it: NAME=VALUE in a list, one text for a list."""
    assert meant(labels=["a=b=c", "d"]) == meant(labels={"a": "b=c", "d": ""})
    assert meant(extra_hosts=["db=192.0.2.1", "six:::1"]) == meant(extra_hosts={"db": "192.0.2.1", "six": "::1"})
    assert meant(tmpfs="/run") == meant(tmpfs=["/run"])


@pytest.mark.parametrize(
    ("written", "meant_by", "mounts", "binds"),
    [
        ("d:/d:nocopy,ro", Mount("d", "/d", True, nocopy=True), [{"VolumeOptions": {"NoCopy": True}}], []),
        ("/d:/d:rslave", Mount("/d", "/d", propagation="rslave"), [{"BindOptions": {"Propagation": "rslave"}}], []),
        ("/d:/d:rw,Z,rshared", Mount("/d", "/d", selinux="Z", propagation="rshared"), [], ["/d:/d:rw,Z,rshared"]),
        ("d:/d:z,ro", Mount("d", "/d", True, selinux="z"), [], ["d:/d:ro,z"]),
    ],
)
def test_options_of_a_mount(written: str, meant_by: Mount, mounts: list[Any], binds: list[str]) -> None:
    """They are kept and shown, and asked of the engine, which relabels in its older form only."""
    found = meant(volumes=[written])
    assert found.volumes == (meant_by,)
    assert (version_of(found), read(DeploySettings, json.loads(json.dumps(plain(found))))) == (2, found)
    host = creation(RunSpec("c", "i", found, {}))["HostConfig"]
    assert [m | more for m, more in zip(host["Mounts"], mounts, strict=True)] == host["Mounts"]
    assert host["Binds"] == binds
    shown = differences(DeploySettings(), found)[0].new
    assert meant(volumes=[shown]) == found


RETRIES = {"Name": "on-failure", "MaximumRetryCount": 3}
RANGE = {"80/tcp": [{"HostIp": "", "HostPort": "9000-9009"}]}


@pytest.mark.parametrize(
    ("written", "ports", "bindings"),
    [
        ("3000-3001", (Port(3000), Port(3001)), {}),
        (
            "[::1]:90-91:80-81/udp",
            (Port(80, "udp", 90, "::1"), Port(81, "udp", 91, "::1")),
            {"80/udp": [{"HostIp": "::1", "HostPort": "90"}], "81/udp": [{"HostIp": "::1", "HostPort": "91"}]},
        ),
        (
            "9000-9009:80",
            (Port(80, "tcp", 9000, host_last=9009),),
            RANGE,
        ),
        ("0:80", (Port(80, host_port=0),), {"80/tcp": [{"HostIp": "", "HostPort": ""}]}),
    ],
)
def test_ranges_of_ports(written: str, ports: tuple[Port, ...], bindings: object) -> None:
    """As compose has them: one by one, or one of the host's that the engine chooses, which then is nobody's before."""
    found = meant(ports=[written])
    assert found.ports == ports
    assert creation(RunSpec("c", "i", found, {}))["HostConfig"]["PortBindings"] == bindings
    assert read(DeploySettings, json.loads(json.dumps(plain(found)))) == found
    assert version_of(found) == (2 if ports[0].host_last else 1)
    shown = differences(DeploySettings(), found)[0].new.split(", ")
    assert meant(ports=[port.replace("::1:", "[::1]:") for port in shown]) == found


def test_how_often_a_container_is_started_again() -> None:
    """Kept in version 2, as an older relman would ask the engine for a policy of that name; and read back of the engine
    as it was written."""
    found = meant(restart="on-failure:3")
    assert creation(RunSpec("c", "i", found, {}))["HostConfig"]["RestartPolicy"] == RETRIES
    assert (version_of(found), version_of(meant(restart="on-failure"))) == (2, 1)
    inspected = {
        "Id": "a" * 64,
        "Name": "/c",
        "Image": f"sha256:{'b' * 64}",
        "State": {"Status": "running"},
        "Config": {},
    }
    again = answers.container({**inspected, "HostConfig": {"RestartPolicy": RETRIES, "PortBindings": RANGE}})
    assert (again.restart_policy, again.host_ports) == ("on-failure:3", frozenset())
    intent = Intent("c", "on-failure:3", "n", deployed("1"), stop_first=False)
    assert (version_of(intent), version_of(dataclasses.replace(intent, old_restart="always"))) == (2, 1)


def test_names_in_networks() -> None:
    """A list of networks, as ever, or a mapping with aliases: the service's name first, and theirs in theirs alone."""
    assert meant(networks=["a", "b"]) == meant(networks={"a": None, "b": {"aliases": []}})
    found = meant(networks={"a": {"aliases": ["x", "y.z"]}, "b": None})
    spec = RunSpec("c", "i", found, {}, ("shop",))
    assert [aliases_in(name, spec) for name in ("a", "b")] == [["shop", "x", "y.z"], ["shop"]]
    assert (version_of(found), version_of(meant(networks=["a"]))) == (2, 1)
    assert not same_run(found, meant(networks=["a", "b"]))
    assert differences(meant(networks=["a", "b"]), found) == (Changed("aliases", "", "a=x, y.z"),)
    assert resolve({"networks": ["${n}"]}, {"n": "a"}, {}, origin="a test").networks == ("a",)


WRONG: Mapping[str, tuple[Any, str]] = {
    "own label": ({"labels": {"relman.service": "x"}}, "labels.\"relman.service\": relman.service: labels that begin"),
    "label twice": ({"labels": ["a=1", "a=2"]}, "labels[1]: a is given twice"),
    "labels": ({"labels": "a=1"}, "labels: expected names and their values, found 'a=1'"),
    "open quote": ({"entrypoint": "a 'b"}, "entrypoint: expected words in a list, or in one text"),
    "user": ({"user": "a b"}, "user: expected a user such as app"),
    "directory": ({"working_dir": "app"}, "working_dir: expected an absolute path"),
    "host name": ({"hostname": "-x"}, "hostname: expected a host name"),
    "long host name": ({"hostname": "a" * 60 + ".bcdef"}, "hostname: expected a host name of at most 64 characters"),
    "flag": ({"init": "yes"}, "init: expected true or false, found 'yes'"),
    "tmpfs on a volume": ({"volumes": ["d:/d"], "tmpfs": ["/run", "/d"]}, "tmpfs[1]: a volume is mounted at /d"),
    "tmpfs twice": ({"tmpfs": ["/d", "/d/:size=1m"]}, "tmpfs[1]: another tmpfs is mounted at /d"),
    "tmpfs at /": ({"tmpfs": "/"}, "tmpfs: expected a path in the container that is not /"),
    "no size": ({"shm_size": 0}, "shm_size: expected a size such as 256m"),
    "half a limit": ({"ulimits": {"nofile": {"soft": 1}}}, "ulimits.nofile: expected a number (-1 for no limit), or"),
    "soft none": ({"ulimits": {"core": {"soft": -1, "hard": 5}}}, "ulimits.core: the soft limit -1 is above"),
    "capability": ({"cap_drop": ["NET_RAWW"]}, "cap_drop[0]: unknown capability 'NET_RAWW'; did you mean net_raw?"),
    "twice": ({"cap_drop": ["ALL", "all"]}, "cap_drop[1]: ALL is given twice"),
    "no address": ({"extra_hosts": ["db"]}, "extra_hosts[0]: expected NAME:ADDRESS, found 'db'"),
    "an address": ({"extra_hosts": ["db:here"]}, "extra_hosts[0]: expected an IP address, found 'here'"),
    "dns": ({"dns": ["192.0.2.53", "ns1"]}, "dns[1]: expected an IP address, found 'ns1'"),
    "domain": ({"dns_search": "a..b"}, "dns_search: expected a domain such as example.com"),
    "driver": ({"logging": {"driver": "a b"}}, "logging.driver: expected a logging driver"),
    "option": ({"logging": {"options": {"a": None}}}, "logging.options.a: expected text, found nothing"),
    "capability added": ({"cap_add": "root"}, "cap_add: unknown capability 'root'"),
    "no profile": ({"security_opt": ["seccomp:./p.json"]}, "security_opt[0]: expected seccomp=unconfined or seccomp="),
    "option of security": ({"security_opt": "systempaths=unconfined"}, "security_opt: expected no-new-privileges, sec"),
    "not its own": ({"sysctls": {"vm.swappiness": 1}}, "sysctls.\"vm.swappiness\": expected a parameter of the con"),
    "device": ({"devices": ["vendor.com/class=x"]}, "devices[0]: expected a device such as /dev/ttyUSB0"),
    "permissions": ({"devices": "/dev/a:/dev/b:rx"}, "devices: expected a device such as /dev/ttyUSB0"),
    "device twice": ({"devices": ["/dev/a", "/dev/b:/dev/a"]}, "devices[1]: another device is at /dev/a"),
    "its processes": ({"pid": "container:x"}, "pid: expected host, found 'container:x'; a container joins no other"),
    "its network": ({"networks": ["container:x"]}, "networks[0]: expected a network's name, found 'container:x'; a"),
    "mount option": ({"volumes": ["d:/d:rx"]}, "volumes[0]: unknown option 'rx'; known are ro, rw, z, Z, nocopy"),
    "of a volume": ({"volumes": ["/d:/d:nocopy"]}, "volumes[0]: unknown option 'nocopy'; known are ro, rw, z, Z, priv"),
    "two options": ({"volumes": ["/d:/d:z,ro,Z"]}, "volumes[0]: give one of the options z, Z"),
    "range": ({"ports": ["90-80"]}, "ports[0]: expected FIRST-LAST, upwards and of at most 1000 ports, found '90-80'"),
    "ranges": ({"ports": ["1-3:1-2"]}, "ports[0]: expected as many ports of the host as of the container"),
    "taken": ({"ports": ["80-82:1-3", "81:4"]}, "ports[1]: the host's port 81/tcp is taken by another entry"),
    "times": ({"restart": "always:3"}, "restart: expected one of no, always, unless-stopped, on-failure, on-failure:"),
    "networks": ({"networks": "a"}, "networks: expected a list of names, or names and their aliases, found 'a'"),
    "network twice": ({"networks": ["a", "a"]}, "networks[1]: the same network twice"),
    "network apart": ({"networks": {"a": None, "host": None}}, "networks.host: host and none exclude other networks"),
    "no names": ({"networks": {"bridge": {"aliases": ["x"]}}}, "networks.bridge.aliases: in the engine's network"),
    "alias": ({"networks": {"a": {"aliases": ["x", "-"]}}}, "networks.a.aliases[1]: expected a host name"),
    "option of a network": ({"networks": {"a": {"ipv4": "x"}}}, "networks.a: expected {aliases: [NAME, …]}, found"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_at_its_place(case: str) -> None:
    """In the checkout, with line and column; and of an image's label, after its variables were expanded."""
    deploy, said = WRONG[case]
    text = json.dumps({"service": "shop", "registry": "localhost:5000", "deploy": deploy})
    with pytest.raises(ConfigError) as caught:
        parse_service(text.encode(), "relman.yml")
    assert f"deploy.{said}" in caught.value.details[0]
    with pytest.raises(ConfigError) as caught:
        meant(**deploy)
    assert f"a test: deploy.{said}" in caught.value.details[0]


def test_what_variables_bring_is_checked_when_they_are_expanded() -> None:
    """A checkout cannot know them; a host does, and names key and item."""
    deploy = {"user": "${who}", "cap_drop": ["ALL", "${one}"], "labels": {"a": "${who}"}, "dns": "${dns}"}
    text = json.dumps({"service": "shop", "registry": "localhost:5000", "deploy": deploy})
    section = parse_service(text.encode(), "relman.yml").deploy
    good = {"who": "1000", "one": "chown", "dns": "::1"}
    found = resolve(section, good, {}, origin="web1").container
    assert (found.user, found.cap_drop, found.labels, found.dns) == ("1000", ("ALL", "CHOWN"), {"a": "1000"}, ("::1",))
    with pytest.raises(ConfigError) as caught:
        resolve(section, {"who": "a b", "one": "x", "dns": "y"}, {}, origin="web1")
    assert [line.partition(": expected")[0].partition(": unknown")[0] for line in caught.value.details] == [
        "web1: deploy.user",
        "web1: deploy.cap_drop[1]",
        "web1: deploy.dns",
    ]


def _any(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a field of this type."""
    origin, inner = get_origin(hint), [each for each in get_args(hint) if each is not Ellipsis]
    if origin is UnionType:
        return st.one_of([_any(each) for each in inner])
    if origin is tuple:
        return st.lists(_any(inner[0]), max_size=2).map(tuple)
    if origin:
        return st.dictionaries(_any(inner[0]), _any(inner[1]), max_size=2)
    if dataclasses.is_dataclass(hint):
        fields = {name: _any(kind) for name, kind in get_type_hints(hint).items()}
        return st.builds(hint, **fields)  # type: ignore[arg-type]
    simple: dict[Any, st.SearchStrategy[Any]] = {
        str: st.text(max_size=3),
        int: st.integers(-1, 1 << 40),
        bool: st.booleans(),
        NoneType: st.none(),
    }
    return simple[hint]


@given(_any(ContainerSettings), _any(ContainerSettings))
def test_any_settings_are_kept_and_compared(one: ContainerSettings, other: ContainerSettings) -> None:
    """A record gives back what it was given, in version 2 exactly where something is said; a plan shows a difference
    exactly where there is one."""
    old, new = DeploySettings(container=one), DeploySettings(container=other)
    assert read(DeploySettings, json.loads(json.dumps(plain(new)))) == new
    assert version_of(new) == (1 if other == ContainerSettings() else 2)
    assert bool(differences(old, new)) is (one != other) is not same_run(old, new)


def test_what_is_tested_is_started_as_it_is_deployed() -> None:
    """Its process, that is: what belongs to a host (volumes, names, devices, a read-only file system) is left out, and
    nobody but an inventory could fill it in."""
    section = {key: written for key, (written, _, _) in SAID.items()}
    tested = as_tested({**section, "dns": "${dns}", "labels": {"a": "${b}"}, "user": "${user:-app}"}, {})[0].container
    said = {name for name in NAMES if getattr(tested, name) != getattr(ContainerSettings(), name)}
    assert said == set(OF_THE_PROCESS)
    assert (tested.user, tested.entrypoint) == ("app", ("tini", "--", "a b"))
    with pytest.raises(ConfigError) as caught:
        as_tested({"ulimits": {"nofile": "${n}"}}, {})
    assert "relman.yml: deploy.ulimits.nofile: the tests start the image as it is deployed" in caught.value.details[0]


def test_a_hook_has_no_agent_token_or_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes out of an image finds PATH, HOME and what it is about; whatever else the deployer's shell has stays
    there."""
    monkeypatch.setenv("SSH_AUTH_SOCK", "/agent")
    monkeypatch.setenv("RELMAN_VAULT_PASSWORD_FILE", "/password")
    found = meant(hooks=[{"command": ["env"]}])
    plan = plan_deploy(ASKED, release("2"), {"h1": found}, [seen("h1")])
    said: list[str] = []
    run_hooks(plan, When.AFTER, SimpleNamespace(say=said.append), None)
    facts = {f"RELMAN_{name}" for name in ("SERVICE", "ENVIRONMENT", "RELEASE", "DEPLOYMENT", "HOSTS")}
    assert {line.strip().partition("=")[0] for line in said[1:]} == {"PATH", "HOME", *facts}


def test_only_a_container_that_never_ended_shows_what_its_daemon_is_told() -> None:
    """A daemon that started again may have been told another limit, and ended its containers: then it is asked again,
    and so it is where the release itself set the limit. How long a container waited for its start does not count."""

    def inspected(ended: str, *, running: bool = True, label: str = log_limit.LABEL) -> dict[str, Any]:
        state = {"Running": running, "StartedAt": "2026-01-01T00:00:40.123456789Z", "FinishedAt": ended}
        return {"Created": "2026-01-01T00:00:00.9Z", "State": state, "Config": {"Labels": {label: "limited"}}}

    never = "0001-01-01T00:00:00Z"
    assert log_limit.was_limited(inspected(never))
    assert not log_limit.was_limited(inspected("2026-01-01T00:00:39.5Z"))
    assert not log_limit.was_limited(inspected(never, running=False))
    assert not log_limit.was_limited(inspected(never, label="other"))
    spec = RunSpec("c", "i", DeploySettings(), {})
    made = creation(spec, limit_log=True)
    assert (made["HostConfig"]["LogConfig"], made["Labels"]) == (log_limit.LIMITED, {log_limit.LABEL: "limited"})
    assert not log_limit.is_unlimited(made)
    assert log_limit.is_unlimited({"HostConfig": {"LogConfig": {"Type": "json-file", "Config": {}}}})
    assert not log_limit.is_unlimited({"HostConfig": {"LogConfig": {"Type": "journald", "Config": {}}}})
    own = RunSpec("c", "i", meant(logging={"driver": "json-file"}), {})
    assert creation(own, limit_log=True) == creation(own)
