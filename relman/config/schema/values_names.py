"""Parsers of names and addresses in relman.yml."""

from __future__ import annotations

import re

from relman.config.schema.values import by_model, matching, text, word
from relman.config.suggestions import shown
from relman.model.errors import UsageError
from relman.model.grants.secrets import SECRET_NAME
from relman.model.image import Platform, Repository, check_tag
from relman.model.release_tag import OWN_TAGS, fill

RELMAN_S = "RELMAN_"
_SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ENV_NAME = re.compile(r"[^=\0]+")
ENGINE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SERVICE_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PROCESS_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_IMAGE = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:/@\[\]-]*")
_ADDRESS = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9_.:%-]*")
_HTTP_HOST = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[ -~]{1,4096}")
_OF_THE_CONNECTION = ("connection", "content-length", "expect", "te", "transfer-encoding", "upgrade")
NO_JOINING = "a container joins no other container's namespaces"


def process_name(value: str) -> str:
    """The name of a process: a part of the names of its containers, and of its name in networks."""
    return matching(_PROCESS_NAME, value, "a process's name: at most 32 of a-z, 0-9 and - between them")


def secret_name(value: str) -> str:
    """The name of a secret: it becomes a file's."""
    return matching(SECRET_NAME, value, "a secret's name: letters, digits, _ . - and a letter or digit first")


def shell_name(value: str) -> str:
    """The name of a variable that shells and templates accept."""
    return matching(_SHELL_NAME, value, "a variable's name: letters, digits and _, no digit first")


def env_name(value: str) -> str:
    """The name of a variable in a container's environment: whatever an engine accepts, such as `discovery.type`."""
    return matching(_ENV_NAME, value, "a variable's name, without =")


def not_relman_s(name: str) -> str:
    """The name of a variable that a checkout may read. Raises ValueError for relman's own, which hold its passwords."""
    if name.startswith(RELMAN_S):
        raise ValueError(f"{name} is relman's own: put what builds or tests may read into a variable of another name")
    return name


def service_name(value: object) -> str:
    """The name of a service."""
    return matching(_SERVICE_NAME, word(value), "a service's name: a-z, 0-9 and - _ . between them")


def alias(value: str) -> str:
    """The alias of a linked service."""
    return matching(_DNS_LABEL, value, "a host name's label: a-z, 0-9 and - between them, at most 63")


def task_name(value: object) -> str:
    """The name of a task: it becomes part of a container's name."""
    return matching(_DNS_LABEL, word(value), "a task's name: a-z, 0-9 and - between them, at most 63")


def network(value: object) -> str:
    """The name of a network."""
    if isinstance(value, str) and value.startswith(("container:", "service:")):
        raise ValueError(f"expected a network's name, found {shown(value)}; {NO_JOINING}")
    return matching(ENGINE_NAME, text(value), "a network's name: letters, digits, _ . - and a letter or digit first")


def log_driver(value: object) -> str:
    """The name of a logging driver; a plugin's has the form of an image reference."""
    return matching(_IMAGE, text(value), "a logging driver, such as json-file, local or journald")


def image(value: object) -> str:
    """A reference to an image."""
    return matching(_IMAGE, text(value), "an image, such as postgres:15 or REGISTRY/NAME:TAG")


def registry(value: object) -> str:
    """A registry's host[:port]."""
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        raise ValueError(f"expected HOST or HOST:PORT, without {value.partition('//')[0]}//; found {shown(value)}")
    return by_model(lambda: Repository(word(value), "name").registry)


def repository(value: object) -> str:
    """The path of a repository in its registry."""
    return by_model(lambda: Repository("localhost", word(value)).name)


def repository_reference(value: object) -> Repository:
    """REGISTRY/NAME."""
    try:
        return Repository.parse(word(value))
    except UsageError as error:
        raise ValueError(f"expected REGISTRY/NAME: {error.what}") from None


def platform(value: object) -> str:
    """A platform such as linux/arm64."""
    return by_model(lambda: str(Platform.parse(word(value))))


def tag_template(value: object) -> str:
    """A tag with {build}, {job}, {commit} and {version} as placeholders for the run's values."""
    found = word(value)
    sample = fill(found, lambda _: "x")
    if found.startswith(OWN_TAGS):
        raise ValueError(f"tags that start with {' or '.join(OWN_TAGS)} are relman's own")
    by_model(lambda: check_tag(sample))
    return found


def address(value: object) -> str:
    """A host name or an IP address, without a port."""
    found = matching(_ADDRESS, word(value), "a host name or an IP address")
    name, _, port = found.partition(":")
    if name and port.isdigit():
        raise ValueError(f"expected a host name or an IP address alone: the port of {shown(found)} is ansible_port")
    return found


def url(value: object) -> str:
    """An HTTP URL."""
    found = word(value)
    if not re.fullmatch(r"https?://[!-~]+", found):
        raise ValueError(f"expected an address such as https://shop.example.com/health, found {shown(found)}")
    return found


def http_host(value: object) -> str:
    """The Host of an HTTP request (RFC 9110, section 7.2): a name or an address, with or without a port."""
    return matching(_HTTP_HOST, word(value), "a host such as shop.example.com or shop.example.com:8443")


def header_name(value: str) -> str:
    """The name of an HTTP header (RFC 9110, section 5.1) that does not control the connection."""
    matching(_HEADER, value, "a header's name, such as X-Forwarded-Proto")
    if value.lower() == "host":
        raise ValueError("say it as http.host")
    if value.lower() in _OF_THE_CONNECTION:
        raise ValueError(f"{value} is of the connection itself, and cannot be given")
    return value


def header_value(value: object) -> str:
    """The value of an HTTP header (RFC 9110, section 5.5): one line of ASCII."""
    return matching(_HEADER_VALUE, text(value).strip(" "), "a header's value: one line of ASCII")


def path(value: object) -> str:
    """The path of an HTTP request."""
    found = text(value)
    if not re.fullmatch(r"/[!-~]*", found):
        raise ValueError(f"expected a path that starts with /, found {shown(found)}")
    return found
