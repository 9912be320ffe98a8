"""BuildKit's client and the engine's own builder against a real engine and registry: the same image, the same proof."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from relman.ci.build.buildx import find_buildx
from relman.ci.engine import images
from relman.ci.run.cleanup import cleanup
from relman.model.errors import AccessDenied, BuildFailed, NotFound, RegistryError, UsageError
from relman.model.files import LARGEST, contents_in, is_label
from relman.model.image import Platform, Repository
from relman.model.run import Commit, RunName
from relman.model.service import Build, BuildSecret
from relman.registry.auth import Credentials
from relman.registry.client import Registry
from tests.contract.images import AMD64, push_index
from tests.contract.shop import BUSYBOX, Shop, left
from tests.lab.lab import Lab
from tests.lab.process import patience, until
from tests.lab.trixie import fetch

BUILDX = r"\S*/docker-buildx build "
BUILDKIT = "usr/libexec/docker/cli-plugins"
BASE_NAME, BASE_DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"


@pytest.fixture
def buildkit(shop: Shop) -> Shop:
    """The service, on a machine that has docker buildx."""
    plugins = str(fetch("docker-buildx") / BUILDKIT)
    shop.environ = {**os.environ, "DOCKER_CONFIG": str(shop.root / "none"), "PATH": f"{os.environ['PATH']}:{plugins}"}
    assert find_buildx(shop.environ)
    return shop


@pytest.fixture(params=["buildkit", "classic"])
def either(request: pytest.FixtureRequest) -> Shop:
    """The service, with each builder."""
    name = {"buildkit": "buildkit", "classic": "shop"}[request.param]
    found: Shop = request.getfixturevalue(name)
    return found


def base_run(build: str) -> RunName:
    """The run that made a base image."""
    return RunName("base", build, "shop")


def release_base(shop: Shop, tag: str, dockerfile: str) -> str:
    """Push a base image that is then only in the registry; returns its digest."""
    repository, run = Repository(shop.registry, "team/base"), base_run(tag)
    image = shop.build(
        dockerfile, run=run, repository=repository, version="base", deploy_section="{}", files={"a": b"1"}
    )
    digest = shop.push(image, run, repository)
    shop.client.remove_image(image.value, force=True)
    return digest.value


def test_the_same_image_and_the_same_proof(either: Shop, lab: Lab) -> None:
    """Labels, with files as large as they may be, tag and configuration are the same with both builders; what is
    tested, pushed and read back from the registry is the very image that was built; context, arguments, target and
    .dockerignore work."""
    shop = either
    (shop.root / ".dockerignore").write_text("# comment\nsecret*\n")
    (shop.root / "secret.txt").write_text("s")
    (shop.root / "public.txt").write_text("p")
    dockerfile = BUSYBOX.replace("scratch", "scratch AS first") + (
        'ARG WORD\nCOPY . /context\nRUN ["/bin/sh", "-c", "echo word=$WORD; busybox ls /context"]\n'
        'FROM first\nRUN ["/bin/sh", "-c", "exit 1"]\n'
    )
    files = {name: os.urandom(LARGEST) for name in ("a.conf", "b/c d", "${x}", 'e"')}
    image = shop.build(dockerfile, build=Build(args={"WORD": "a $b 'c, d"}, target="first"), files=files)
    found = images.inspect(shop.engine, shop.local_tag)
    assert found.id == image
    assert contents_in(found.labels) == files
    assert {k: v for k, v in found.labels.items() if k.startswith(("relman", "org")) and not is_label(k)} == {
        "org.opencontainers.image.revision": "1" * 40,
        "org.opencontainers.image.source": "ssh://git.example/shop",
        "org.opencontainers.image.created": "2026-01-01T00:00:00Z",
        "org.opencontainers.image.version": "1.2",
        "relman.run": str(shop.run),
        "relman.service.name": "shop",
        "relman.deploy": '{"ports":[]}',
    }
    said = " ".join(shop.output)
    assert f"commit {'1' * 12}" in said
    assert "word=a $b 'c, d" in said
    assert "public.txt" in said
    assert "secret.txt" not in said
    report = shop.test(image, "true")
    digest = shop.push(image)
    shop.client.remove_image(image.value, force=True)
    manifest = shop.client.inspect_distribution(shop.local_tag, auth_config=lab.registry.auth)
    assert manifest["Descriptor"]["mediaType"].endswith(("manifest.v2+json", "manifest.v1+json"))
    shop.client.pull(str(shop.service.repository), tag=digest.value, auth_config=lab.registry.auth)
    pulled = images.inspect(shop.engine, shop.service.repository.at(digest))
    assert images.config_digest(shop.engine, pulled.id) == report.config


def test_a_private_base(either: Shop) -> None:
    """A base that is only in a private registry is pulled with the caller's login, as its tag is now; its name and
    digest are in the labels, and nothing that it says of itself is taken for the image's own."""
    shop = either
    tag, other = (base_run(n).tag for n in "10")
    base = f"{shop.registry}/team/base:{tag}"
    old = release_base(shop, "1", BUSYBOX + "ENV BASE=old\n")
    assert images.inspect(shop.engine, shop.build(f"FROM {base}\n").value).labels[BASE_DIGEST] == old
    stale = images.inspect(shop.engine, base)
    new = release_base(shop, "1", BUSYBOX + "ENV BASE=new\n")
    shop.client.tag(stale.id.value, f"{shop.registry}/team/base", tag)
    (shop.root / "Dockerfile").write_text(
        f"ARG FROM_TAG={other}\nFROM {shop.registry}/team/base:$FROM_TAG AS x\nFROM x\n"
    )
    arguments = Build(args={"FROM_TAG": tag})
    image = shop.build((shop.root / "Dockerfile").read_text(), build=arguments, commit=Commit(), version="")
    found = images.inspect(shop.engine, image.value)
    assert found.env["BASE"] == "new"
    assert (found.labels[BASE_NAME], found.labels[BASE_DIGEST]) == (base, new)
    assert not found.labels["org.opencontainers.image.revision"]
    assert not found.labels["org.opencontainers.image.version"]
    assert contents_in(found.labels) == {}


def test_a_base_that_the_registry_does_not_give(either: Shop) -> None:
    """A base that the engine holds is good enough where its registry refuses, and that is said; without it, that is
    the error."""
    shop = either
    base = f"{shop.registry}/team/base:{base_run('2').tag}"
    digest = release_base(shop, "2", BUSYBOX)
    held = shop.build(f"FROM {base}\n")
    shop.logins = {}
    found = images.inspect(shop.engine, shop.build(f"FROM {base}\nENV A=1\n").value)
    assert found.labels[BASE_DIGEST] == digest
    assert any("using the base image as it is" in line for line in shop.output)
    for image in (found.id, held):
        shop.client.remove_image(image.value, force=True)
    shop.client.remove_image(base, force=True)
    with pytest.raises(AccessDenied):
        shop.build(f"FROM {base}\n")


def test_a_failed_build(either: Shop) -> None:
    """The last lines are shown, and the exit code of the step that failed."""
    with pytest.raises(BuildFailed) as failure:
        either.build(BUSYBOX + 'RUN ["/bin/sh", "-c", "echo it broke here; exit 7"]\n')
    assert any("it broke here" in line for line in failure.value.details)
    assert any("7" in line for line in (failure.value.what, *failure.value.details))


def test_secrets_of_a_build(buildkit: Shop) -> None:
    """A secret reaches the step that mounts it, from a variable or a file, and nothing else: not the image, not its
    history, not what is shown. What is missing is said before anything is built."""
    shop = buildkit
    shop.environ["TOKEN"] = "t0ken-of-npm"
    (shop.root / "key, 1").write_text("first line\nsecond line\n")
    (shop.root / ".dockerignore").write_text("key*\n")
    mounts = "--mount=type=secret,id=npm --mount=type=secret,id=key"
    step = "busybox cat /run/secrets/npm /run/secrets/key; busybox wc -c /run/secrets/npm /run/secrets/key"
    secrets = (BuildSecret("npm", env="TOKEN"), BuildSecret("key", file="key, 1"))
    image = shop.build(f'{BUSYBOX}RUN {mounts} ["/bin/sh", "-c", "{step}"]\n', build=Build(secrets=secrets))
    said = "\n".join(shop.output)
    assert "12 /run/secrets/npm" in said
    assert "23 /run/secrets/key" in said
    exported = b"".join(shop.client.get_image(image.value))
    for secret in ("t0ken-of-npm", "first line", "second line"):
        assert secret not in said
        assert secret.encode() not in exported
    absent = (BuildSecret("a", env="ABSENT"), BuildSecret("b", file="absent"))
    shop.output.clear()
    with pytest.raises(UsageError) as error:
        shop.build(BUSYBOX, build=Build(secrets=absent))
    assert [detail.partition(":")[0] for detail in error.value.details] == ["a", "b"]
    assert not any(line.startswith("#") for line in shop.output)


def test_a_build_sees_none_of_relman_s_variables(buildkit: Shop) -> None:
    """BuildKit's client has the CI's variables, but not those with relman's own passwords."""
    shop = buildkit
    shop.environ |= {"RELMAN_SIGNING_KEY": "k", "OTHER_KEY": "k"}
    step = "busybox tr '\\\\0' '\\\\n' </run/secrets/all | busybox cut -d= -f1; busybox date +%N"
    shop.build(
        f'{BUSYBOX}RUN --mount=type=secret,id=all ["/bin/sh", "-c", "{step}"]\n',
        build=Build(secrets=(BuildSecret("all", file="/proc/self/environ"),)),
    )
    names = {line.rpartition(" ")[2] for line in shop.output}
    assert {"PATH", "OTHER_KEY"} <= names
    assert not [name for name in names if name.startswith("RELMAN_")]


def test_secrets_without_buildkit(shop: Shop) -> None:
    """Without BuildKit a build that needs secrets is refused, and the error says what to install."""
    with pytest.raises(BuildFailed, match="npm") as failure:
        shop.build(BUSYBOX, build=Build(secrets=(BuildSecret("npm", env="PATH"),)))
    assert "docker buildx" in failure.value.hint


def test_cache_from_the_registry(either: Shop) -> None:
    """A machine that never built this takes the layers of the image that is named as a cache; one that is not there
    only makes the build slower."""
    shop = either
    dockerfile = BUSYBOX + 'RUN ["/bin/sh", "-c", "busybox date +%s%N >/made"]\n'
    first = RunName(shop.run.job, "cached", "shop")
    reference = shop.service.repository.tag(first.tag)
    image = shop.build(dockerfile, run=first, build=Build(cache_from=(reference,)))
    layers = images.layers_of(shop.engine, image)
    shop.push(image, first)
    shop.client.remove_image(image.value, force=True)
    shop.client.prune_builds()
    shop.client.prune_images({"dangling": True})
    again = shop.build(dockerfile, build=Build(cache_from=(f"{shop.registry}/shop:absent", reference)))
    assert images.layers_of(shop.engine, again) == layers


def test_a_login_is_private_and_gone(buildkit: Shop, lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """While BuildKit runs, logins are in a file that only this user can read; nothing secret is in any command line;
    after the build, also after a failed one, the file is gone."""
    shop = buildkit
    (tmp_path / "private").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "private"))
    release_base(shop, "3", BUSYBOX)
    seen: list[tuple[int, str]] = []
    lines: list[str] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            for file in (tmp_path / "private").glob("*/config.json"):
                seen.append((file.stat().st_mode & 0o777, file.read_text()))
            if not lines:
                lines.extend(_command_lines(BUILDX))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        slow = 'RUN ["/bin/sh", "-c", "busybox sleep 1; exit 1"]\n'
        with pytest.raises(BuildFailed):
            shop.build(f"FROM {shop.registry}/team/base:{base_run('3').tag}\n{slow}")
    finally:
        over.set()
        watcher.join()
    assert {mode for mode, _ in seen} == {0o600}
    assert shop.registry in seen[-1][1]
    assert len(lines) == 1
    assert lab.registry.password not in lines[0]
    assert list((tmp_path / "private").iterdir()) == []


def _command_lines(pattern: str) -> list[str]:
    """The command lines of all processes that match."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in found if re.match(pattern, line)]


JOB = """
import os, sys
from functools import partial
from relman.docker.local import connect
from relman.ci.build.stage import build
from relman.ci.run.teardown import cleaned_up
from relman.ci.engine.stopwatch import Watch
from relman.cli.signals import Signals
from relman.model.image import Repository
from relman.model.run import Commit, RunName
from relman.model.service import Service

root, repository = sys.argv[1:]
service = Service("shop", Repository.parse(repository), root=root)
run, say = RunName("ended", "1", "shop"), partial(print, flush=True)
Signals().install()
try:
    client = connect()
    with cleaned_up(client, run, say):
        build(client, service, run, Commit(), version="", created="", deploy_section="{}", files={},
              environ=os.environ, credentials={}.get, progress=say, watch=Watch())
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_a_build_that_is_ended(buildkit: Shop, lab: Lab) -> None:
    """SIGTERM in the middle ends BuildKit too, within seconds, and nothing is left."""
    shop = buildkit
    (shop.root / "Dockerfile").write_text(BUSYBOX + 'RUN ["/bin/sh", "-c", "echo building now; busybox sleep 600"]\n')
    argv = [*lab.ci.prefix, sys.executable, "-c", JOB, str(shop.root), str(shop.service.repository)]
    env = {**shop.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=env) as job:
        assert job.stdout
        assert any(line.strip().endswith("building now") for line in job.stdout)
        begin = time.monotonic()
        job.send_signal(signal.SIGTERM)
        assert job.wait(timeout=20 * patience()) == 130
        assert time.monotonic() - begin < 5 * patience()
    assert left(shop.client, RunName("ended", "1", "shop")) == []
    until(lambda: not _command_lines(BUILDX), "buildx to end")
    until(lambda: not _command_lines("busybox sleep 600"), "the engine to end the step")


def test_the_builder_s_cache_stays(buildkit: Shop) -> None:
    """After cleaning up, the next build of the same Dockerfile takes its steps from BuildKit's cache."""
    shop = buildkit
    dockerfile = BUSYBOX + 'RUN ["/bin/sh", "-c", "busybox date +%s%N >/made"]\n'
    layers = images.layers_of(shop.engine, shop.build(dockerfile))
    cleanup(shop.engine, shop.run)
    assert images.layers_of(shop.engine, shop.build(dockerfile)) == layers
    cleanup(shop.engine, shop.run)


def test_an_image_for_another_platform(either: Shop, lab: Lab) -> None:
    """With either builder `build.platform` is the image's, on the base image of that platform, whichever of an index
    the engine holds; what it cannot run, and a base that is for another platform, are said by name."""
    shop, base = either, Repository(either.registry, "team/several")
    auth = lab.registry.auth
    login = Credentials(auth["username"], auth["password"])
    registry = Registry(shop.registry, credentials=login, ca=str(lab.registry.ca))
    children, environ = {}, shop.environ
    plugins = str(fetch("docker-buildx") / BUILDKIT)
    shop.environ = {**os.environ, "DOCKER_CONFIG": str(shop.root / "none"), "PATH": f"{os.environ['PATH']}:{plugins}"}
    for platform in (AMD64, Platform("linux", "arm64")):
        run = RunName("base", platform.architecture, "shop")
        image = shop.build(f"{BUSYBOX}ENV FOR={platform}\n", build=Build(platform=platform), run=run, repository=base)
        children[platform] = registry.resolve(base, shop.push(image, run, base))
    push_index(registry, base, "both", children)
    shop.environ = environ
    for wanted in (*children, *children, None):
        image = shop.build(f"FROM {base}:both\n", build=Build(platform=wanted))
        found = images.inspect(shop.engine, image.value)
        assert found.platform.is_for(wanted or AMD64)
        assert found.env["FOR"] == str(wanted or AMD64)
    only = children[AMD64].digest
    with pytest.raises((NotFound, RegistryError, BuildFailed), match="arm64"):
        shop.build(f"FROM {base}@{only}\n", build=Build(platform=Platform("linux", "arm64")))
    (shop.root / "program").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00\x01" + bytes(99))
    (shop.root / "program").chmod(0o755)
    dockerfile = 'FROM scratch\nCOPY program /program\nRUN ["/program"]\n'
    with pytest.raises(BuildFailed) as failed:
        shop.build(dockerfile, build=Build(platform=Platform("linux", "arm64")))
    assert "linux/arm64" in failed.value.hint
    assert "linux/amd64" in failed.value.hint
    assert any("only where it emulates it" in line for line in shop.output)
    with pytest.raises(BuildFailed, match="linux/amd64 and makes no image for windows/amd64"):
        shop.build(build=Build(platform=Platform("windows", "amd64")))
