"""The HTTP session for a registry. Only for exchange.py."""

from __future__ import annotations

import ssl
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests

import relman
from relman.local.tls import TrustingAdapter, context_for
from relman.registry.docker_config import Credentials
from relman.registry.http.connection import POOLS
from relman.registry.http.proxies import Proxies

CONNECTIONS = 16
"""The number of connections kept open."""


def open_session(ca: str | None, proxies: Proxies) -> requests.Session:
    """Return a session that trusts `ca` (None: the system's CAs), without redirects, cookies and .netrc.

    `proxies` decides the proxy of each request. Raises UsageError if `ca` is not a file of certificates.
    """
    session = _Session()
    # Otherwise REQUESTS_CA_BUNDLE would override the context, and .netrc would add credentials.
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers = requests.structures.CaseInsensitiveDict(
        {"User-Agent": f"relman/{relman.__version__}", "Accept-Encoding": "identity"}
    )
    session.mount("https://", _Adapter(proxies, context_for(ca)))
    session.mount("http://", _Adapter(proxies, None))
    return session


class _Session(requests.Session):
    def get_redirect_target(self, _: requests.Response) -> None:
        """Return None: otherwise requests would read the body of a redirect to its end, however long."""


class _Adapter(TrustingAdapter):
    """An adapter with relman's connections and proxies; a proxy's login never becomes part of a URL."""

    def __init__(self, proxies: Proxies, context: ssl.SSLContext | None) -> None:
        self._proxies = proxies
        self._logins: dict[str, Credentials | None] = {}
        super().__init__(context, pool_maxsize=CONNECTIONS)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Use relman's pools for direct connections."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        """Use relman's pools for connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = POOLS
        return manager

    def proxy_headers(self, proxy: Any) -> dict[str, str]:
        """The header with the login for the proxy at this URL."""
        login = self._logins.get(proxy)
        return {"Proxy-Authorization": login.basic} if login else {}

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """Send the request through its proxy, if it has one."""
        proxy = self._proxies.of(str(request.url))
        if proxy:
            self._logins[proxy.url] = proxy.login
        options["proxies"] = {urlsplit(str(request.url)).scheme: proxy.url} if proxy else {}
        return super().send(request, *arguments, **options)
