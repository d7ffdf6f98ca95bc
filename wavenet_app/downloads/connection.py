"""Opens an address over HTTP, through the proxy and with the certificates of the system."""

from __future__ import annotations

import ssl
import urllib.request
from urllib.parse import urlsplit

import certifi
import urllib3
from urllib3 import BaseHTTPResponse

_REDIRECTS = 5


def open_url(url: str, headers: dict[str, str], connect: float, read: float) -> BaseHTTPResponse:
    """Sends a request, follows redirects and returns the answer, whose body is still to be read.

    Args:
        url: http or https.
        headers: of the request.
        connect: seconds to connect.
        read: seconds without a byte.

    Raises:
        urllib3.exceptions.HTTPError: no answer.
    """
    return _pool(url).request(
        "GET",
        url,
        headers=headers,
        preload_content=False,
        timeout=urllib3.Timeout(connect=connect, read=read),
        retries=urllib3.Retry(total=None, connect=0, read=0, other=0, status=0, redirect=_REDIRECTS),
    )


def _pool(url: str) -> urllib3.PoolManager:
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())  # beside the system's own, which may be missing
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy, ssl_context=context)
    return urllib3.PoolManager(ssl_context=context)
