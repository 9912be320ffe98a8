"""The proxies of an environment's hosts: made as the inventory says, looked at, removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

from relman.app.context import Context
from relman.app.deployments.acme import groups_of, names_of, renew
from relman.app.deployments.rollouts import new_asked, require_all
from relman.app.deployments.secrets import proxy_secrets_of
from relman.app.environments import Request
from relman.app.factories import login_of, registry_of
from relman.model.errors import PreflightFailed, UsageError
from relman.model.host import Environment
from relman.model.image import ImageRef, ManifestDigest
from relman.model.proxy import Certificate
from relman.model.state_dir.lock import Lock
from relman.rollout.acme.certify import CertificateGroup, Certified
from relman.rollout.fleet import Fleet, Gathered, Session, Watcher
from relman.rollout.images.proxy_image import ProxyImage
from relman.rollout.proxy import apply as proxy
from relman.rollout.proxy.apply import Applied, Meant
from relman.rollout.proxy.certificates import read_certificate
from relman.rollout.proxy.maintenance import maintain
from relman.rollout.proxy.page import MOST, Page
from relman.rollout.proxy.status import ProxyStatus, status_of
from relman.rollout.state.locks import new_lock

_NAME = "proxy"


@dataclass(frozen=True)
class HostProxies:
    """The proxies of connected hosts, what they are `meant` to be, by host, and the `groups` of those that get
    certificates by ACME."""

    fleet: Fleet
    holder: Lock
    meant: Mapping[str, Meant]
    groups: tuple[CertificateGroup, ...] = ()

    def apply(self, watcher: Watcher) -> Gathered[Applied]:
        """Make each as the inventory says; what was done on each host, and what failed."""

        def one(session: Session) -> Applied:
            host = session.host.name
            watcher.host(host, "making its proxy")
            return proxy.apply(session, self.meant[host], self.holder, partial(watcher.host, host, "pulling"))

        return self.fleet.each(one, self.meant)

    def renew(self, watcher: Watcher) -> Certified:
        """Get the certificates that they lack, or that are to be renewed."""
        return renew(self.fleet, self.groups, self.holder, watcher)

    def maintain(self, service: str, *, on: bool) -> Gathered[Applied]:
        """Let each answer in the place of a service, or no longer."""
        name = f"{self.fleet.environment.name}:{service}"
        return self.fleet.each(lambda session: maintain(session, name, self.holder, on=on))

    def remove(self) -> Gathered[Applied]:
        """Remove each; what was done on each host, and what failed."""
        return self.fleet.each(lambda session: proxy.remove(session, self.holder))

    def status(self) -> Gathered[ProxyStatus]:
        """What each is, and what could not be looked at."""
        return self.fleet.ask(status_of)


@contextmanager
def open_proxies(
    context: Context, request: Request, *, resolve: bool = False, every: bool = True
) -> Iterator[HostProxies]:
    """The proxies of the selected hosts, connected; with `resolve` the names of their images and certificates are
    resolved. Unless `every` host has to be there, those that do not answer are errors of what is asked.

    Raises UsageError if `resolve` finds no host that is to have one, PreflightFailed for certificates, and what a
    registry raises.
    """
    selected = request.selected(context)
    chosen = selected.environment
    meant, groups = _resolved(context, chosen) if resolve else ({}, ())
    with Fleet(chosen, "") as fleet:
        if every:
            require_all(fleet)
        asked = new_asked(context, request, _NAME, selected)
        yield HostProxies(fleet, new_lock(asked, f"changing the proxies of {chosen.name}"), meant, groups)


def _resolved(context: Context, environment: Environment) -> tuple[dict[str, Meant], tuple[CertificateGroup, ...]]:
    wanted = {host.name: host.proxy for host in environment.hosts if host.proxy}
    if not wanted:
        raise UsageError(
            f"no host of {environment.name} has relman_proxy",
            hint="say in the inventory that they have one: relman_proxy: {}",
        )
    secrets = proxy_secrets_of(context, environment)
    pems = {host: {name: secrets[host][name] for name in each.certificates} for host, each in wanted.items()}
    known = cache(partial(read_certificate, now=datetime.now(UTC)))  # once for all hosts: keys are slow to read
    certificates = {host: _certificates(own, known) for host, own in pems.items()}
    if faults := [f"{host}: {fault}" for host, (_, faults) in certificates.items() for fault in faults]:
        raise PreflightFailed("the certificates cannot be used; nothing was changed", details=faults)
    pages = {name: _page(name) if name else None for name in {each.page for each in wanted.values()}}
    named = dict.fromkeys(each.image for each in wanted.values())
    images = {name: _image(context, environment, ImageRef.parse(name)) for name in named}
    names = {h.name: names_of(h, certificates[h.name][0]) for h in environment.hosts if h.proxy}
    meant = {
        h: Meant(each, images[each.image], certificates[h][0], pems[h], pages[each.page], environment.name, names[h])
        for h, each in wanted.items()
    }
    return meant, groups_of(meant, {h: secrets[h][each.acme.account] for h, each in wanted.items() if each.acme})


def _page(file: str) -> Page:
    try:
        html = Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", hint="relman_proxy.page names it") from error
    if len(html) > MOST:
        raise UsageError(f"{file} is larger than {MOST >> 10} KiB", hint="a page that the proxy shows has to be small")
    return Page(html)


def _certificates(
    pems: Mapping[str, bytes], known: Callable[[str, bytes], Certificate]
) -> tuple[tuple[Certificate, ...], list[str]]:
    """The certificates, and what is wrong with others."""
    found, faults = list[Certificate](), list[str]()
    for name, pem in pems.items():
        try:
            found.append(known(name, pem))
        except ValueError as error:
            faults.append(f"{name}: {error}")
    return tuple(found), faults


def _image(context: Context, environment: Environment, ref: ImageRef) -> ProxyImage:
    """Each name is resolved once, so that all hosts run the same."""
    repository, manifest = ref.repository, ref.reference
    if not isinstance(manifest, ManifestDigest):
        with registry_of(context, repository, environment) as registry:
            manifest = registry.resolve(repository, manifest).digest
    login = login_of(context, repository)
    return ProxyImage(repository, manifest, login.auth_config if login else None)
