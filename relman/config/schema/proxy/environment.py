"""The schema of relman_proxy and relman_routes: the proxy of a host, and what an environment routes to its services."""

# ruff: noqa: RUF012 (pydantic copies defaults)

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from relman.config.schema import values, values_names
from relman.config.schema.base import PortNumber, PositiveDuration, Section, parsed
from relman.config.schema.lists import several
from relman.config.schema.values import Faults, by_model, matching
from relman.config.suggestions import shown
from relman.config.yaml_document import KeyPath
from relman.model import proxy as model
from relman.model.image import ImageRef

_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_PATH = re.compile(r"/|(?:/[A-Za-z0-9._~-]+)+")
_DIRECTORY = re.compile(r"https://[A-Za-z0-9.-]+(?::\d{1,5})?(?:/[A-Za-z0-9._~/-]*)?")
_EMAIL = re.compile(r"[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+")
_SECTION = re.compile(
    r"(global|defaults|frontend|backend|listen|peers|resolvers|userlist|mailers|cache|program|http-errors|ring"
    r"|log-forward|fcgi-app|crt-store|traces)\b.*"
)


def route_host(value: object) -> str:
    """A host name, in lower case and without a port."""
    return matching(_HOST, values.word(value).lower(), "a host name such as shop.example.com, without a port")


def route_path(value: object) -> str:
    """The path that requests are below, without a / at its end."""
    found = values.word(value)
    return matching(_PATH, found.rstrip("/") or "/", "a path such as /api: letters, digits and . _ ~ - between /")


def trusted_network(value: object) -> str:
    """A network in CIDR notation, or one address."""
    try:
        return str(ip_network(values.word(value)))
    except ValueError as error:
        raise ValueError(f"expected a network such as 10.0.0.0/8, found {shown(value)}: {error}") from None


def option_line(value: object) -> str:
    """A line of HAProxy's configuration for a backend. Raises ValueError for one that would begin another section."""
    found = values.word(value).strip()
    if not found or _SECTION.fullmatch(found):
        raise ValueError(f"expected a line for the service's backend, found {shown(value)}")
    return found


def proxy_image(value: object) -> str:
    """A reference to an image in a registry, with a tag or a digest."""
    return by_model(lambda: str(ImageRef.parse(values.word(value))))


def certificate(value: object) -> str:
    """The name of a secret."""
    return values_names.secret_name(values.word(value))


class ServiceRoute(Section):
    """What is routed to one service."""

    hosts: Annotated[list[str], several(route_host)] = []
    path: Annotated[str, parsed(route_path)] = model.ServiceRoute.path
    strip_prefix: bool = model.ServiceRoute.strip_prefix
    listen: PortNumber | None = None
    options: Annotated[list[str], several(option_line)] = []

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        if self.listen and (self.hosts or self.path != "/" or self.strip_prefix):
            raise ValueError("listen takes all that comes to its port: leave out hosts, path and strip_prefix")
        if self.strip_prefix and self.path == "/":
            raise ValueError("strip_prefix takes the path away: say which")
        return self

    def value(self) -> model.ServiceRoute:
        """The model's route."""
        return model.ServiceRoute(tuple(self.hosts), self.path, self.strip_prefix, self.listen, tuple(self.options))


def authority_url(value: object) -> str:
    """The URL of an authority, over TLS."""
    return matching(_DIRECTORY, values.word(value), "a URL such as https://acme-v02.api.letsencrypt.org/directory")


def mail_address(value: object) -> str:
    """An address for mail."""
    return matching(_EMAIL, values.word(value), "an address such as ops@example.com")


def agreed(value: object) -> bool:
    """Nothing but true."""
    if value is not True:
        raise ValueError("expected true: read the terms of service of the authority, and agree to them here")
    return True


class Acme(Section):
    """Where certificates come from by themselves."""

    directory: Annotated[str, parsed(authority_url)]
    account: Annotated[str, parsed(certificate)]
    agree_to_terms: Annotated[bool, parsed(agreed, bool)]
    email: Annotated[str, parsed(mail_address)] = model.Acme.email
    ca: Annotated[str, parsed(values.word)] = model.Acme.ca
    names: Annotated[list[str], several(route_host)] = []

    def value(self) -> model.Acme:
        """The model's."""
        return model.Acme(self.directory, self.account, self.email, self.ca, tuple(self.names))


class HostProxy(Section):
    """The proxy of a host."""

    image: Annotated[str, parsed(proxy_image)] = model.HostProxy.image
    http: PortNumber = model.HostProxy.http
    https: PortNumber = model.HostProxy.https
    certificates: Annotated[list[str], several(certificate)] = []
    trusted: Annotated[list[str], several(trusted_network)] = []
    health: Annotated[str, parsed(route_path)] = model.HostProxy.health
    keep_alive: PositiveDuration = model.HostProxy.keep_alive
    page: Annotated[str, parsed(values.word)] = model.HostProxy.page
    metrics: PortNumber | None = model.HostProxy.metrics
    acme: Acme | None = None

    def value(self) -> model.HostProxy:
        """The model's proxy."""
        return model.HostProxy(
            self.image,
            self.http,
            self.https,
            tuple(self.certificates),
            tuple(self.trusted),
            self.health,
            self.keep_alive,
            self.page,
            self.metrics,
            self.acme.value() if self.acme else None,
        )


class ProxyVariables(Section):
    """Both variables, each below a key, so that their faults have paths."""

    proxy: HostProxy = HostProxy()
    routes: dict[Annotated[str, AfterValidator(values_names.service_name)], ServiceRoute] = {}

    @model_validator(mode="after")
    def _apart(self) -> Self:
        claimed: dict[str, str] = {}
        faults: list[tuple[KeyPath, str]] = []
        for service, route in self.routes.items():
            for way in route.value().ways:
                if (other := claimed.setdefault(way, service)) != service:
                    faults.append((("routes", service), f"{way} is routed to {other} already"))
        if faults:
            raise Faults(faults)
        return self
