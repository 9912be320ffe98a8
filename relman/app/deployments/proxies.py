"""The proxies of an environment's hosts: made as the inventory says, looked at, removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from relman.app.context import Context
from relman.app.deployments.rollouts import new_asked
from relman.app.environments import Request
from relman.app.factories import login_of, registry_of
from relman.model.errors import UsageError
from relman.model.host import Environment
from relman.model.image import ImageRef, ManifestDigest
from relman.model.state_dir.lock import Lock
from relman.rollout.fleet import Fleet, Gathered, Session, Watcher
from relman.rollout.proxy import apply as proxy
from relman.rollout.proxy.apply import Applied
from relman.rollout.proxy.image import ProxyImage
from relman.rollout.proxy.status import ProxyStatus, status_of
from relman.rollout.state.locks import new_lock

_NAME = "proxy"


@dataclass(frozen=True)
class HostProxies:
    """The proxies of connected hosts; `images` are those that the inventory names, resolved, by host."""

    fleet: Fleet
    holder: Lock
    images: Mapping[str, ProxyImage]

    def apply(self, watcher: Watcher) -> Gathered[Applied]:
        """Make each as the inventory says; what was done on each host, and what failed."""

        def one(session: Session) -> Applied:
            host = session.host
            assert host.proxy  # noqa: S101  # only hosts with one have an image
            watcher.host(host.name, "making its proxy")
            tell = partial(watcher.host, host.name, "pulling")
            return proxy.apply(session, host.proxy, self.images[host.name], self.holder, tell)

        return self.fleet.each(one, self.images)

    def remove(self) -> Gathered[Applied]:
        """Remove each; what was done on each host, and what failed."""
        return self.fleet.each(lambda session: proxy.remove(session, self.holder))

    def status(self) -> Gathered[ProxyStatus]:
        """What each is, and what could not be looked at."""
        return self.fleet.each(status_of)


@contextmanager
def open_proxies(context: Context, request: Request, *, resolve: bool = False) -> Iterator[HostProxies]:
    """The proxies of the selected hosts, connected; with `resolve` the names of their images are resolved.

    Raises UsageError if `resolve` finds no host that is to have one, and what a registry raises.
    """
    selected = request.selected(context)
    chosen = selected.environment
    images = _resolved(context, chosen) if resolve else {}
    with Fleet(chosen, "") as fleet:
        fleet.require_all()
        asked = new_asked(context, request, _NAME, selected)
        yield HostProxies(fleet, new_lock(asked, f"changing the proxies of {chosen.name}"), images)


def _resolved(context: Context, environment: Environment) -> dict[str, ProxyImage]:
    named = {host.name: host.proxy.image for host in environment.hosts if host.proxy}
    if not named:
        raise UsageError(
            f"no host of {environment.name} has relman_proxy",
            hint="name the image of HAProxy in the inventory: relman_proxy: {image: REGISTRY/haproxy:TAG}",
        )
    found = {image: _image(context, environment, ImageRef.parse(image)) for image in dict.fromkeys(named.values())}
    return {host: found[image] for host, image in named.items()}


def _image(context: Context, environment: Environment, ref: ImageRef) -> ProxyImage:
    """Each name is resolved once, so that all hosts run the same."""
    repository, manifest = ref.repository, ref.reference
    if not isinstance(manifest, ManifestDigest):
        with registry_of(context, repository, environment) as registry:
            manifest = registry.resolve(repository, manifest).digest
    login = login_of(context, repository)
    return ProxyImage(repository, manifest, login.auth_config if login else None)
