"""Guard for requests to hosts that a task names: they must not reach into private networks.

Anybody who can import tasks chooses the URLs that prelabel fetches. Without a guard they could read what only
this machine may: cloud metadata, databases, admin pages on loopback (server-side request forgery).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from prelabel.labelstudio.errors import FetchError

Address = IPv4Address | IPv6Address

NAT64 = IPv6Network("64:ff9b::/96")
"""Addresses that stand for the IPv4 address in their last 32 bits (RFC 6052)."""

MayBePrivate = Callable[[str, int], bool]
"""Whether the settings allow a private address for this host and port."""


def is_public(address: Address) -> bool:
    """Whether an address belongs to one host on the public internet, whatever it is wrapped in."""
    inner = _embedded(address)
    if inner is not None:
        return is_public(inner)
    site_local = isinstance(address, IPv6Address) and address.is_site_local
    return address.is_global and not (address.is_multicast or address.is_reserved or site_local)


def resolve(host: str, port: int, may_be_private: bool) -> Address:
    """The address to connect to for a host, IPv4 if it has one (networks without IPv6 routes are common).

    Raises FetchError when the host has none, or any that is not public although `may_be_private` is false.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise FetchError(f"The host {host} is not known.") from None
    addresses = [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not may_be_private and not all(is_public(address) for address in addresses):
        raise FetchError(f"The host {host} is in a private network and not among the allowed hosts.")
    return min(addresses, key=lambda address: address.version)


class GuardedAdapter(HTTPAdapter):
    """Connects only to addresses that `resolve` allows, and to the very address that was checked.

    Looking a name up once to check it and again to connect would let a name server answer differently the
    second time (DNS rebinding). TLS certificates are still checked against the name.
    """

    def __init__(self, may_be_private: MayBePrivate) -> None:
        self._may_be_private = may_be_private
        super().__init__()

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        """As requests has it, but for the checked address instead of the name."""
        parts, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        target: dict[str, Any] = {**parts}
        options: dict[str, Any] = {**tls}
        host, port = str(target["host"]), target["port"] or (443 if target["scheme"] == "https" else 80)
        address = resolve(host, port, self._may_be_private(host, port))
        if target["scheme"] == "https":
            options["server_hostname"] = options["assert_hostname"] = host
        request.headers["Host"] = urlsplit(str(request.url)).netloc.rpartition("@")[2]
        return {**target, "host": str(address)}, options


def _embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for."""
    if isinstance(address, IPv4Address):
        return None
    if address in NAT64:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour
