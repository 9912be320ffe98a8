"""Files of the repository that containers are given: brought by the image, kept by the host."""

from __future__ import annotations

import json
from typing import Any

from relman.model.files import digest_of
from tests.e2e.stage import Stage
from tests.e2e.test_secrets import HERE, inside, sh
from tests.lab.process import until

SETS = f"{HERE}/files"
SITE, BANNER = "/etc/site/site.conf", "/etc/banner"
FILES = {"./site.conf": SITE, "conf/banner.txt": BANNER}
TASK = {"name": "show", "command": ["busybox", "cat", BANNER], "rollback_safe": True}
ONE, TWO = b"one-c0ntent", b"${two}-c0ntent"
LARGE = b"server { return 200 $name; }\n" * 2000  # 58 KB


def release(stage: Stage, tag: str, banner: bytes, **deploy: Any) -> None:
    """A release with these files, the second of which changes."""
    section = {"files": FILES, "tasks": [TASK], **deploy}
    stage.release(tag, deploy=section, files={"site.conf": LARGE, "conf/banner.txt": banner})


def test_a_file_goes_along_and_back(stage: Stage) -> None:
    """The container and its task find the files, whoever their user is, and cannot write them; on the host only its
    owner does. A changed one is a rollout that the plan names with its digests; a rollback without the registry and a
    reboot have the right one; what no release needs is removed. A place that is not a file's own is refused."""
    h1 = stage.lab.hosts[0]
    stage.write_inventory({"production": {"hosts": {"h1": None}}})
    release(stage, "file-1", ONE)
    release(stage, "file-2", TWO)
    release(stage, "file-3", b"three", files={"./site.conf": "/var/run/docker.sock"})

    assert f"show: {ONE.decode()}" in stage.deploy("file-1").text
    assert inside(h1, "busybox", "cat", SITE) == LARGE.decode()
    assert inside(h1, "busybox", "cat", BANNER) == ONE.decode()
    assert "Read-only file system" in inside(h1, "busybox", "touch", BANNER, user="0")
    modes = sh(h1, f"stat -c %a {SETS} {SETS}/* {SETS}/*/*").split()
    assert modes == ["755", "755", "644", "644"]
    nobody = sh(h1, f"setpriv --reuid 1000 --clear-groups cat {SETS}/*/* 2>&1 || true")
    assert "Permission denied" in nobody
    with h1.engine() as engine:
        (container,) = engine.containers(filters={"label": "relman.service=demo"})
        assert len(json.dumps(container["Labels"])) < 1000
    assert json.loads(sh(h1, f"cat {HERE}/record.json"))["version"] == 2

    assert "nothing to do" in stage.deploy("file-1").out
    plan = stage.relman("deploy", "file-2", "-e", "production", "--plan")
    one, two = (f"/etc/banner sha256:{digest_of(text)[:12]}" for text in (ONE, TWO))
    (line,) = (line for line in plan.out.splitlines() if "files." in line)
    assert line.strip() == f"~ files.conf/banner.txt: {one} -> {two}"
    assert "c0ntent" not in plan.text
    assert "/var/run/docker.sock" in stage.deploy("file-3", code=2).err
    stage.deploy("file-2")
    assert inside(h1, "busybox", "cat", BANNER) == TWO.decode()
    assert len(sh(h1, f"ls {SETS}").split()) == 2

    stage.lab.registry.stop()
    try:
        assert "files." in stage.rollback().text
    finally:
        stage.lab.registry.start()
    assert stage.versions()[0] == "file-1"
    assert inside(h1, "busybox", "cat", BANNER) == ONE.decode()
    h1.reboot()
    until(lambda: stage.versions()[0] == "file-1", "file-1 after the reboot", 30)
    assert inside(h1, "busybox", "cat", BANNER) == ONE.decode()
    stage.deploy("1")
    assert len(sh(h1, f"ls {SETS}").split()) == 1
    stage.relman("remove", "-e", "production", "--yes")
    assert sh(h1, f"ls {HERE}") == "journal.jsonl\n"
