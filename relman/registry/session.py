"""The session over which a registry is spoken to. Only for transport.py."""

from __future__ import annotations

import ssl
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests

import relman
from relman.registry.connection import POOLS
from relman.registry.docker_config import Credentials
from relman.registry.proxies import Proxies
from relman.registry.tls import TrustingAdapter, context_for

CONNECTIONS = 16
"""Kept open at most."""


def open_session(ca: str | None, proxies: Proxies) -> requests.Session:
    """A session that trusts `ca` (None: the system's), follows no redirection, and asks no cookie and no .netrc.

    Which of `proxies` a request goes through, that says. Raises UsageError for a file that is none.
    """
    session = _Session()
    # Otherwise REQUESTS_CA_BUNDLE beats the context, and .netrc decides what nobody asked it.
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
        """None: requests would read what comes with a redirection to its end, however much that is."""


class _Adapter(TrustingAdapter):
    """Connections of our own, through the proxy of each address, whose login stands in no URL."""

    def __init__(self, proxies: Proxies, context: ssl.SSLContext | None) -> None:
        self._proxies = proxies
        self._logins: dict[str, Credentials | None] = {}
        super().__init__(context, pool_maxsize=CONNECTIONS)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """As above, for what is reached directly."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        """As above, for what is reached through a proxy."""
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = POOLS
        return manager

    def proxy_headers(self, proxy: Any) -> dict[str, str]:
        """The login for the proxy at this URL."""
        login = self._logins.get(proxy)
        return {"Proxy-Authorization": login.basic} if login else {}

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """Send, as a session does."""
        proxy = self._proxies.of(str(request.url))
        if proxy:
            self._logins[proxy.url] = proxy.login
        options["proxies"] = {urlsplit(str(request.url)).scheme: proxy.url} if proxy else {}
        return super().send(request, *arguments, **options)
