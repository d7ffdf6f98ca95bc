"""Who may ask: the name and the origin that a request must have, and the token where others can connect."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

LOOPBACK = "127.0.0.1"

_LOOPBACK_NAMES = frozenset({LOOPBACK, "localhost", "[::1]"})
_TOKEN_BYTES = 18


@dataclass(frozen=True)
class Access:
    """The address of the studio.

    Attributes:
        host: that it is bound to.
        port: that it is bound to.
        token: the first part of every path; None where only this machine can connect.
    """

    host: str
    port: int
    token: str | None

    @classmethod
    def of(cls, host: str, port: int) -> Access:
        """Returns the access to a studio at an address, with a new token unless only this machine can connect."""
        return cls(host, port, None if is_loopback(host) else secrets.token_urlsafe(_TOKEN_BYTES))

    @property
    def url(self) -> str:
        """The address of the page, as a user opens it."""
        host = socket.gethostname() if self.host in ("0.0.0.0", "::") else self.host
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{self.port}/" + ("" if self.token is None else f"{self.token}/")

    def refusal(self, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """Returns why a request with these headers is refused, or None.

        A page of another site can make a browser ask, but not under a Host of this studio, nor without its own Origin.

        Args:
            headers: names in lower case, and values.
        """
        found: dict[str, list[str]] = {}
        for name, value in headers:
            found.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        hosts = found.get("host", [])
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            return "this is not the address of the studio; open the one that it printed"
        origins = found.get("origin", [])
        if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
            return "another site asked; only the studio's own page may"
        if any(site not in ("same-origin", "none") for site in found.get("sec-fetch-site", [])):
            navigates = found.get("sec-fetch-mode") == ["navigate"] and found.get("sec-fetch-dest") == ["document"]
            if not navigates:
                return "another site asked; only the studio's own page may"
        return None

    def own_path(self, path: str) -> str | None:
        """Returns a path without the token, or None if it does not start with it.

        >>> Access("10.0.0.2", 80, "secret").own_path("/secret/api/models")
        '/api/models'
        """
        if self.token is None:
            return path
        _, _, rest = path.partition("/")
        given, slash, below = rest.partition("/")
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            return None
        return f"/{below}" if slash else ""

    def _is_own(self, host: str) -> bool:
        """Returns whether a Host is this studio's: a numeric address cannot be another site's name for it."""
        try:
            name, port = urlsplit(f"//{host}").hostname or "", urlsplit(f"//{host}").port or 80
        except ValueError:
            return False
        shown = f"[{name}]" if ":" in name else name
        if port != self.port:
            return False
        if shown in _LOOPBACK_NAMES or name == self.host.lower():
            return True
        own_name = socket.gethostname().lower()
        return self.token is not None and (_is_number(name) or name in (own_name, f"{own_name}.local"))


def is_loopback(host: str) -> bool:
    """Returns whether only this machine can connect to an address.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    return host == "localhost" or (_is_number(host) and ipaddress.ip_address(host).is_loopback)


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
