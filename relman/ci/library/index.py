"""A client of a private package index: read the files of a project, and upload one.

Specification: simple repository API (https://packaging.python.org/en/latest/specifications/simple-repository-api/, PEP
503). Uploads are a form with the file and its metadata, as all indexes accept it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import relman
from relman.ci.library.files import File
from relman.model.errors import AccessDenied, PolicyRefused, RegistryError, Unreachable, UsageError
from relman.registry.auth import Credentials

if TYPE_CHECKING:
    import requests

_TIMEOUT = (5.0, 120.0)
_NOT_THERE, _CONFLICT = 404, 409
_REFUSED = (401, 403)


def index_credentials(url: str, env: Mapping[str, str]) -> Credentials | None:
    """The credentials for the index at `url`: RELMAN_INDEX_USERNAME and RELMAN_INDEX_PASSWORD, if RELMAN_INDEX is unset
    or is its host[:port]. Raises UsageError for an incomplete pair."""
    pair = env.get("RELMAN_INDEX_USERNAME", ""), env.get("RELMAN_INDEX_PASSWORD", "")
    if not any(pair) or env.get("RELMAN_INDEX", host := urlsplit(url).netloc) != host:
        return None
    if not all(pair):
        raise UsageError("RELMAN_INDEX_USERNAME and RELMAN_INDEX_PASSWORD go together; one of them is empty")
    return Credentials(*pair)


class Index:
    """One package index. `url` is its upload URL or its /simple page; the other is derived from it.

    The password is sent to this index only. Close it after use.
    """

    def __init__(self, url: str, credentials: Credentials | None, ca: str | None) -> None:
        base = url.rstrip("/").removesuffix("/simple")
        self.host = urlsplit(base).netloc
        self._upload, self._simple = f"{base}/", f"{base}/simple/"
        self._credentials = credentials
        self._session = _session(base, ca)

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()

    def has(self, file: File) -> bool:
        """Whether the index has exactly this file.

        Raises PolicyRefused if it has another one with that name. All methods raise AccessDenied, Unreachable and
        RegistryError.
        """
        link = self._files(file.project).get(file.name)
        if link is None:
            return False
        address, fragment = urldefrag(link)
        algorithm, _, found = fragment.partition("=")
        found = found if algorithm == "sha256" else self._hash(address)
        if found != file.sha256:
            raise PolicyRefused(
                f"{self.host} holds another {file.name}: sha256 {found[:12]}, and this one is {file.sha256[:12]}",
                hint="A version is released once. Give the library a new version, or finish the run that released "
                "this one: `relman promote` keeps its files.",
            )
        return True

    def upload(self, file: File) -> None:
        """Upload the file, and check that the index has it. A concurrent upload of the same file is fine."""
        form = [(":action", "file_upload"), ("protocol_version", "1"), *file.fields]
        with self._told(f"cannot upload {file.name}"), file.path.open("rb") as content:
            answer = self._session.post(
                self._upload,
                data=form,
                files={"content": (file.name, content, "application/octet-stream")},
                auth=self._auth,
                timeout=_TIMEOUT,
                allow_redirects=False,
            )
        if answer.status_code != _CONFLICT:
            self._judge(answer, f"cannot upload {file.name}", redirects=False)
        if not self.has(file):
            raise RegistryError(f"{self.host} took {file.name} and does not show it")

    @property
    def _auth(self) -> tuple[str, str] | None:
        known = self._credentials
        return (known.username, known.password) if known else None

    def _files(self, project: str) -> Mapping[str, str]:
        """The links of a project's files, by name."""
        page = f"{self._simple}{project}/"
        what = f"cannot read what there is of {project}"
        with self._told(what):
            answer = self._session.get(page, auth=self._auth, timeout=_TIMEOUT, headers={"Accept": "text/html"})
        if answer.status_code == _NOT_THERE:
            return {}
        self._judge(answer, what)
        links = _Links()
        links.feed(answer.text)
        found = [urljoin(answer.url, link) for link in links.found]
        return {unquote(urlsplit(link).path.rpartition("/")[2]): link for link in found}

    def _hash(self, address: str) -> str:
        """The SHA-256 of a file whose link does not contain it."""
        digest, what = hashlib.sha256(), f"cannot read {urlsplit(address).path}"
        auth = self._auth if urlsplit(address).netloc == self.host else None
        with self._told(what), self._session.get(address, auth=auth, timeout=_TIMEOUT, stream=True) as answer:
            self._judge(answer, what)
            for chunk in answer.iter_content(1 << 16):
                digest.update(chunk)
        return digest.hexdigest()

    def _judge(self, answer: requests.Response, what: str, *, redirects: bool = True) -> None:
        status = answer.status_code
        if status in _REFUSED:
            known = "Is the password right, and may it upload?"
            unknown = "Set RELMAN_INDEX_USERNAME and RELMAN_INDEX_PASSWORD."
            hint = known if self._credentials else unknown
            raise AccessDenied(f"{what}: {status}", host=self.host, hint=hint)
        if status >= 400 or (not redirects and status >= 300):
            hint = "Is `release.library.index` the address for uploads?" if status in (301, 302, 404, 405) else ""
            raise RegistryError(f"{what}: {status} {answer.reason}", host=self.host, hint=hint)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        import requests

        try:
            yield
        except requests.exceptions.SSLError as error:
            hint = "RELMAN_INDEX_CA names the CA certificates that it is checked against."
            raise Unreachable(f"{what}: TLS: {_reason(error)}", host=self.host, hint=hint) from error
        except requests.RequestException as error:
            raise Unreachable(f"{what}: {_reason(error)}", host=self.host, hint="Is the index up?") from error


def _reason(error: Exception) -> str:
    """The text of the innermost cause; the outer ones repeat the request."""
    reason: Any = error
    while (inner := getattr(reason, "reason", None) or next(iter(reason.args), None)) and isinstance(inner, Exception):
        reason = inner
    return str(reason)


def _session(url: str, ca: str | None) -> requests.Session:
    import requests

    from relman.local.tls import TrustingAdapter, context_for

    session = requests.Session()
    proxies = requests.utils.get_environ_proxies(url)
    # Ignore REQUESTS_CA_BUNDLE and .netrc.
    session.trust_env = False
    session.proxies = dict(proxies)
    session.mount("https://", TrustingAdapter(context_for(ca)))
    session.headers["User-Agent"] = f"relman/{relman.__version__}"
    return session


class _Links(HTMLParser):
    """The links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a link."""
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]
