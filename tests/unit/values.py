"""Values for tests: short to write, and hypothesis strategies of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import strategies as st

from relman.model.files import DeployFile
from relman.model.formats.versions import VERSION_1_KEYS
from relman.model.grants.secrets import SecretRef
from relman.model.image import ConfigDigest, ImageId, ManifestDigest, Repository
from relman.model.proxy_settings import ProxySettings
from relman.model.settings import DeploySettings, Health, Mount, Port, Probe, Process, RunSettings
from relman.model.state_dir.record import Deployed, HostRecord

REPOSITORY = Repository("10.77.0.254:5000", "shop")
HEALTH = Health(Probe.IMAGE, window=0.0, timeout=0.0, interval=0.0)
PORT = DeploySettings(health=HEALTH, ports=(Port(80, host_port=8080),))
VOLUME = DeploySettings(health=HEALTH, volumes=(Mount("data", "/data"),))
FREE = DeploySettings(health=HEALTH)
SECRET = replace(PORT, secrets=(SecretRef("key", env="KEY"), SecretRef("password", "/run/secrets/password")))
CONFIG, TASK_CONFIG = (DeployFile(name, f"/etc/{name}").holding(name.encode()) for name in ("app.conf", "task.conf"))
SET = DeploySettings(
    health=HEALTH,
    files=(TASK_CONFIG,),
    processes=(
        Process("web", 2, RunSettings(health=HEALTH, files=(CONFIG,))),
        Process("worker", 1, RunSettings(health=HEALTH, volumes=(Mount("data", "/data"),))),
        Process("scheduler", 1, RunSettings(health=HEALTH, ports=(Port(80, host_port=8080),))),
    ),
)
PROXIED = DeploySettings(health=HEALTH, proxy=ProxySettings(8080))
KINDS = {"port": PORT, "volume": VOLUME, "free": FREE, "secret": SECRET, "set": SET, "proxied": PROXIED}


def with_env(settings: DeploySettings, env: Mapping[str, str]) -> DeploySettings:
    """The same, with these variables in each container."""
    processes = tuple(replace(p, run=replace(p.run, env=env)) for p in settings.processes)
    return replace(settings, env=env, processes=processes)


def hexes(seed: str) -> str:
    """64 hexadecimal digits that differ with `seed`."""
    return ManifestDigest.of(seed.encode()).hex


def deployed(id: str, *, release: str = "", proven: bool = True, settings: DeploySettings | None = None) -> Deployed:
    """A release as put on a host by deployment `id`; its digests follow from its tag."""
    tag = release or id
    config = ConfigDigest("sha256:" + hexes("config" + tag))
    return Deployed(
        id=id,
        release=tag,
        repository=REPOSITORY,
        manifest=ManifestDigest("sha256:" + hexes(tag)),
        config=config,
        image_id=ImageId(config.value),
        kept_as=f"relman.kept/production/shop:{config.short}",
        settings=settings or DeploySettings(),
        container=hexes("container" + id),
        at="2026-01-01T00:00:00Z",
        by="a@b",
        proven=proven,
    )


def settings() -> st.SearchStrategy[DeploySettings]:
    """Any settings that version 1 can say."""
    text = st.text(max_size=8)
    return st.builds(
        DeploySettings,
        ports=st.lists(
            st.builds(Port, st.integers(1, 65535), host_port=st.none() | st.integers(0, 65535)), max_size=2
        ).map(tuple),
        env=st.dictionaries(text, text, max_size=3),
        volumes=st.lists(st.builds(Mount, text, text, st.booleans()), max_size=2).map(tuple),
        health=st.builds(
            Health, st.sampled_from([p for p in Probe if p in VERSION_1_KEYS["Probe"]]), window=st.floats(0, 60)
        ),
        command=st.none() | st.lists(text, max_size=2).map(tuple),
    )


def records() -> st.SearchStrategy[HostRecord]:
    """Any host record whose current entry, if any, is one of its own."""

    @st.composite
    def build(draw: st.DrawFn) -> HostRecord:
        ids = draw(st.lists(st.integers(0, 99).map(str), unique=True, max_size=6))
        entries = tuple(
            deployed(i, proven=draw(st.booleans()), release=draw(st.sampled_from("xyz")), settings=draw(settings()))
            for i in ids
        )
        current = draw(st.none() | st.sampled_from(ids)) if ids else None
        return HostRecord("shop", "production", entries, current)

    return build()
