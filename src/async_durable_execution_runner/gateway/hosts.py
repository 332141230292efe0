"""Who may ask a gateway that demands no signature: programs of this machine, but no web page.

A browser sends any page's requests to loopback. It names the page that asks in `Origin` or
`Sec-Fetch-Site`, and where the page has had its own name resolved to loopback (DNS rebinding) that
name is in `Host`. Other clients send none of these headers, and ask for the address that they know.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping

from ..errors import InvalidParameterValue
from .refusals import Refusal

_ADDRESS = r"[0-9a-z_.-]+|\[[0-9a-f:.]+\]"
_AUTHORITY = re.compile(rf"(?P<host>{_ADDRESS})(?::[0-9]{{1,5}})?", re.IGNORECASE)
_ORIGIN = re.compile(rf"https?://(?P<authority>{_AUTHORITY.pattern})", re.IGNORECASE)
#: What a browser says of a request that no page of another site makes.
_OWN_SITE = frozenset({None, "same-origin", "none"})
_HOW = "name its host in --allow-host (allow_hosts= in Python)"


def is_loopback(host: str) -> bool:
    """Return whether a name or an address, without brackets, can only be this machine's own."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Hosts:
    """The hosts that requests may be for, and that pages may come from."""

    def __init__(self, allowed: Iterable[str]) -> None:
        """Take requests for loopback, and for the hosts in `allowed`, also from pages of these.

        Raises:
            InvalidParameterValue: One of `allowed` is not the name or address of a host.
        """
        self._allowed = frozenset(map(_name, allowed))

    def check(self, headers: Mapping[str, str]) -> None:
        """Check the headers of a request, by lower-case name.

        Raises:
            Refusal: The request is for another host, or a page of another origin makes it (403).
        """
        authority = headers.get("host", "")
        host = _host(authority)
        if host is None or not (is_loopback(host) or host in self._allowed):
            raise _refused(
                f"Requests for the host {_shown(authority)} are refused: ask for 127.0.0.1 or "
                f"localhost, or {_HOW}."
            )
        origin = headers.get("origin")
        page = _ORIGIN.fullmatch(origin or "")
        if page is not None and _host(page["authority"]) in self._allowed:
            return
        own = page is not None and page["authority"].lower() == authority.lower()
        if not (own or origin is None) or headers.get("sec-fetch-site") not in _OWN_SITE:
            whose = "" if origin is None else f" (its origin is {_shown(origin)})"
            raise _refused(
                f"Requests by a web page of another site are refused{whose}: {_HOW} if that page "
                "may run and read everything here."
            )


def _name(text: str) -> str:
    """Return a host that is allowed as `_host` returns the same host."""
    authority = f"[{text}]" if ":" in text and not text.startswith("[") else text
    matched = _AUTHORITY.fullmatch(authority)
    if matched is None or matched["host"] != authority:
        raise InvalidParameterValue(
            f"{text!r} cannot be allowed: give a host's name or address, without scheme, port or "
            "path."
        )
    return _host(authority) or ""


def _host(authority: str) -> str | None:
    """Return the name or address in an authority, in lower case, without port and brackets."""
    matched = _AUTHORITY.fullmatch(authority)
    return matched and matched["host"].strip("[]").rstrip(".").lower()


def _shown(text: str) -> str:
    return repr(text if len(text) <= 256 else f"{text[:256]}...")


def _refused(message: str) -> Refusal:
    return Refusal("AccessDeniedException", message, 403)
