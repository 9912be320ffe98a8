"""deploy.files: what may be written, what is read and frozen, and what is believed of an image's labels."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.config.check import check_settings
from relman.config.deploy import resolve
from relman.config.deploy_files import file_contents
from relman.config.service import check_service, load_service
from relman.model.errors import ConfigError
from relman.model.files import LARGEST, DeployFile, blanked, contents_in, digest_of, labels_of
from relman.model.settings import DeploySettings
from relman.model.settings_diff import differences, same_run
from tests.unit.model_fleet import serving
from tests.unit.test_env_file import repository
from tests.unit.values import CONFIG, SET, TASK_CONFIG

TARGETS = st.text("abc./", max_size=12).map(lambda t: f"/{t}")


def given_files(root: Path, files: object, **contents: bytes) -> Path:
    """A repository whose service is given these files."""
    return repository(root, json.dumps({"files": files}), **contents)


def meant(files: object, contents: Mapping[str, bytes], **others: object) -> DeploySettings:
    """The settings that an image with this deploy section and these files means."""
    return resolve({"files": files, **others}, {"x": "/etc/x"}, {}, origin="the label", files=contents)


def faults(files: object, **others: object) -> str:
    """What is wrong with a deploy section of an image that brings all its files."""
    with pytest.raises(ConfigError) as caught:
        meant(files, dict.fromkeys(("a", "b", "c"), b"x"), **others)
    return "\n".join(map(str, caught.value.problems))


def test_what_a_container_is_given() -> None:
    """A file is known by its path in the repository and by its content; a process is given its own, or the deploy
    section's."""
    processes = {"web": {"files": {"b": "/etc/b"}}, "worker": {}}
    found = meant({"./a": "/etc//a/"}, {"a": b"1", "b": b"2"}, processes=processes)
    one, other = DeployFile("a", "/etc/a", digest_of(b"1")), DeployFile("b", "/etc/b", digest_of(b"2"))
    assert found.files == (one,)
    assert [run.files for run in found.runs] == [(other,), (one,)]
    assert found.every_file == (one, other)


@pytest.mark.parametrize(
    ("files", "others", "said"),
    [
        (["a:/a"], {}, "expected files and their places in the container, found a list"),
        ({"/etc/shadow": "/a"}, {}, "expected a file below the directory of relman.yml"),
        ({"../a": "/a"}, {}, "expected a file below the directory of relman.yml"),
        ({"a/../../b": "/a"}, {}, "expected a file below the directory of relman.yml"),
        ({".git/config": "/a"}, {}, "expected a file below the directory of relman.yml"),
        ({"a=b": "/a"}, {}, "expected a file below the directory of relman.yml"),
        ({"${x}": "/a"}, {}, "expected a file below the directory of relman.yml"),
        ({"a": "/a", "./a": "/b"}, {}, "a is given twice"),
        ({"a": "${x}"}, {}, "expected an absolute path"),
        ({"a": "/x/${x}"}, {}, "expected an absolute path without .. and ${"),
        ({"a": "a"}, {}, "expected an absolute path"),
        ({"a": "/etc/../a"}, {}, "expected an absolute path without .."),
        ({"a": "/"}, {}, "not in /proc, /sys or /dev and no socket"),
        ({"a": "//proc/self/x"}, {}, "not in /proc, /sys or /dev and no socket"),
        ({"a": "/sys"}, {}, "not in /proc, /sys or /dev and no socket"),
        ({"a": "/dev/./null"}, {}, "not in /proc, /sys or /dev and no socket"),
        ({"a": "/var/run/docker.sock"}, {}, "not in /proc, /sys or /dev and no socket"),
        ({"a": "/run"}, {}, "not in /proc, /sys or /dev and no socket"),
        ({"a": "/etc/a", "b": "/etc/a/b"}, {}, "/etc/a is the file a already"),
        ({"a": "/data/a"}, {"volumes": ["data:/data"]}, "/data is the target of a volume already"),
        ({"a": "/data"}, {"volumes": ["data://data/x"]}, "/data/x is the target of a volume already"),
        ({"a": "/run/a"}, {"tmpfs": ["/run"]}, "/run is a tmpfs already"),
        ({"a": "/x"}, {"devices": ["/dev/null:/x"]}, "/x is a device already"),
        ({"a": "/run/secrets/a"}, {"secrets": {"a": None}}, "/run/secrets/a is the secret a already"),
        ({"a": "/data/a"}, {"volumes": ["d:/data"], "processes": {"web": {"volumes": []}}}, "deploy.files.a: /data is"),
        ({}, {"files": {"a": "/data"}, "processes": {"web": {"volumes": ["d:/data"]}}}, "/data is the target of a vol"),
        ({"d": "/a"}, {}, "deploy.files.d: the image does not carry it: build the image again"),
    ],
)
def test_a_file_that_cannot_be(files: object, others: dict[str, object], said: str) -> None:
    """Refused by its key, in an image's label as in relman.yml: no file lies over what is mounted, or is the kernel's,
    and no place comes from a variable."""
    assert said in faults(others.pop("files", files), **others)


@given(TARGETS, TARGETS)
def test_a_place_is_nowhere_but_there(one: str, other: str) -> None:
    """Whatever is written, what is accepted is absolute and plain, and no two files overlap."""
    try:
        found = [f.target for f in meant({"a": one, "b": other}, {"a": b"", "b": b""}).files]
    except ConfigError:
        return
    for target in found:
        assert target == os.path.normpath(f"/{target.lstrip('/')}") != "/"
    assert os.path.commonpath(found) not in found


@given(st.dictionaries(st.text(min_size=1), st.binary(max_size=50), max_size=5))
def test_labels_bring_what_was_frozen(contents: dict[str, bytes]) -> None:
    """Byte for byte, empty files too; in a container's labels nothing of it is left, and other labels are not asked."""
    labels = {"relman.deploy": "{}", "other": "?", **labels_of(contents)}
    assert contents_in(labels) == contents
    assert contents_in({**labels, **blanked(DeployFile(name, "/x") for name in contents)}) == {}


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"relman.file.a": "base64:%"}, "a is not in base64"),
        ({"relman.file.a": "base64:YQ=="[:-1]}, "a is not in base64"),
        ({"relman.file.a": "base64:é"}, "a is not in base64"),
        (labels_of({"a": b"x" * (LARGEST + 1)}), "a is larger than 64 KiB"),
        (labels_of(dict.fromkeys("abcde", b"x" * LARGEST)), "all files together are larger than 256 KiB"),
        (labels_of({str(n): b"" for n in range(101)}), "there are more than 100 files"),
    ],
)
def test_labels_that_are_not_believed(labels: Mapping[str, str], said: str) -> None:
    """An image is foreign: bounds hold for what it brings, too."""
    with pytest.raises(ValueError, match=said):
        contents_in(labels)


def test_only_files_of_the_repository_are_read(tmp_path: Path) -> None:
    """A branch may write anything into relman.yml: no link takes the docker config of the machine into an image. Each
    is refused at its place, by `relman check` and by a build."""
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text('{"auths": {}}')
    root = tmp_path / "repository"
    (root / "below").mkdir(parents=True)
    (root / "login").symlink_to("../.docker/config.json")
    (root / "up").symlink_to("../.docker")
    (root / "gone").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    link = "is a link, or below one: what is read must be in the repository itself"
    wrong = {
        "login": f"login {link}",
        "up/config.json": f"up/config.json {link}",
        "gone": f"gone {link}",
        "below": "there is no file below",
        "pipe": "there is no file pipe",
        "missing": "there is no file missing",
        "large.conf": "large.conf is larger than 64 KiB",
    }
    targets = {name: f"/etc/{n}" for n, name in enumerate(wrong)}
    given_files(root, targets, **{"large.conf": b"x" * (LARGEST + 1)})
    assert {(p.line, p.message) for p in check_service(root)} == {(4, said) for said in wrong.values()}
    for name, said in wrong.items():
        given_files(root, {name: "/etc/a"})
        with pytest.raises(ConfigError, match="1 problem") as caught:
            file_contents(load_service(root))
        assert caught.value.problems[0].message == said


def test_all_files_together_have_a_bound(tmp_path: Path) -> None:
    """256 KiB of all processes; told by `relman check`, too."""
    files = {f"{n}.conf": f"/{n}" for n in "abcde"}
    given_files(tmp_path, files, **dict.fromkeys(files, b"x" * (60 << 10)))
    assert [p.message for p in check_service(tmp_path)] == ["all files together are larger than 256 KiB"]
    service = load_service(tmp_path)
    assert [p.message for p in check_settings(service, "relman.yml", [])[1]] == [
        "all files together are larger than 256 KiB"
    ]


def test_nothing_in_them_is_filled_in(tmp_path: Path) -> None:
    """A `${name}` of nginx's own stays one; read byte for byte."""
    content = b"\xef\xbb\xbfreturn 200 ${name};\r\n\0"
    root = given_files(tmp_path, {"./nginx.conf": "/etc/nginx/nginx.conf"}, **{"nginx.conf": content})
    assert check_service(root) == []
    assert file_contents(load_service(root)) == {"nginx.conf": content}


def test_a_changed_content_is_another_container() -> None:
    """The plan names the file and its digests; what only tasks are given counts, too, since it lies with the rest."""
    old = replace(DeploySettings(), files=(CONFIG,))
    new = replace(old, files=(CONFIG.holding(b"new"),))
    assert not same_run(old, new)
    (change,) = differences(old, new)
    assert (change.key, change.old, change.new) == (
        "files.app.conf",
        f"/etc/app.conf sha256:{CONFIG.digest[:12]}",
        f"/etc/app.conf sha256:{digest_of(b'new')[:12]}",
    )
    tasks = replace(SET, files=(TASK_CONFIG.holding(b"new"),))
    assert not same_run(SET, tasks)
    assert [c.key for c in differences(SET, tasks)] == ["files.task.conf"]
    assert [c.key for c in differences(SET, replace(SET, processes=SET.processes[1:]))] == ["processes.web.replicas"]


def test_a_host_that_lost_a_file_is_not_rolled_back() -> None:
    """It says which, by its name, and what serves goes on."""
    world = serving(1, SET, "1", "2")
    (host,) = world.hosts
    lost = f"/files/d0001/{CONFIG.digest}"
    path = next(each for each in host.files if each.endswith(lost))
    del host.files[path], host.owners[path]
    error = world.rollback().error
    assert error
    assert "the host has lost files of 1: app.conf" in "\n".join((error.what, *error.details))
    assert world.versions == ["2"]


def test_a_restart_keeps_the_files_of_its_release() -> None:
    """They are not written again, and a rollback past it finds its own."""
    world = serving(2, SET, "1", "2")
    before = {path for host in world.hosts for path in host.files if "/files/" in path}
    assert world.restart().error is None
    assert {path for host in world.hosts for path in host.files if "/files/" in path} == before
    world.tidy()
    assert world.rollback().error is None
    assert world.versions == ["1", "1"]
    world.tidy()


def test_files_are_swept_when_nothing_names_them() -> None:
    """Also those of a deployment that died before it wrote an intent; `keep` drops the oldest."""
    world = serving(1, replace(SET, keep=1), "1", "2", "3")
    (host,) = world.hosts
    where = "/var/lib/relman/production/shop/files"
    assert {d for d in host.directories if d.startswith(f"{where}/")} == {f"{where}/d0002", f"{where}/d0003"}
    host.directories.add(f"{where}/d9999")
    host.files[f"{where}/d9999/{'0' * 64}"] = (b"x", 0.0)
    assert world.deploy("4").error is None
    world.tidy()
