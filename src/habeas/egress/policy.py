"""Where calls of ours may go: the rules for a URL when it is saved, and for each address when a connection is made.

A name is resolved and every address of it judged; one that may not be reached forbids the name. The settings open
networks, or what a name resolves to. Errors name the host and the rule, never path or query, which may hold secrets.
Never connects.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from habeas.core.errors import BadInput
from habeas.egress.address import NEVER_BY_NAME, Address, judged, read_literal, why_forbidden

RESOLVE_SECONDS = 5.0
FIX = "have the operator add its network to HABEAS_EGRESS_ALLOW if habeas should reach it"

Resolve = Callable[[str, int], Sequence[str]]  # host and port to addresses; OSError where there is none

URL_FIX = "give http:// or https:// with a host, as https://hooks.example.com/path"

_NOT_IN_URLS = re.compile(r'[\x00-\x20\x7f\\<>"`{}|^]')
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?")


class EgressRefused(BadInput):
    """A host that calls of ours may not reach."""

    code = "egress_refused"


def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """The addresses of a name as the system knows them, within RESOLVE_SECONDS. Raises OSError."""
    found: list[str] = []
    failed: list[OSError] = []

    def ask() -> None:
        try:
            found.extend(str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except UnicodeError:
            failed.append(OSError("is no name"))
        except OSError as problem:
            failed.append(problem)

    asking = threading.Thread(target=ask, daemon=True)  # the system's call knows no time limit
    asking.start()
    asking.join(RESOLVE_SECONDS)
    if failed or not found:
        raise failed[0] if failed else TimeoutError("the name was not resolved in time")
    return list(dict.fromkeys(found))


class EgressPolicy:
    """The rules of one installation; safe between threads. `allow` is the setting as read: networks with their length,
    and host names.
    """

    def __init__(self, allow: Sequence[str] = (), *, resolve: Resolve = resolve_by_system) -> None:
        self._networks = [ip_network(each) for each in allow if "/" in each]
        self._names = {each.lower() for each in allow if "/" not in each}
        self._resolve = resolve

    def check_url(self, text: str, *, where: str | None = None) -> str:
        """The URL as given, if calls may go there. A name that can't be resolved now passes: it is judged again when
        it is called. Raises BadInput, EgressRefused for a forbidden host.
        """
        host, port = _host_and_port(text, where)
        self.check_host(host, port, where=where)
        return text

    def check_host(self, host: str, port: int = 443, *, where: str | None = None) -> None:
        """Raise EgressRefused if a host may not be reached; for libraries that resolve and connect by themselves."""
        try:
            self.addresses(host, port, where=where)
        except OSError:  # unknown for now, and nothing is sent there until it is known
            return

    def addresses(self, host: str, port: int, *, where: str | None = None) -> list[str]:
        """The addresses of a host, each of which may be reached. Raises EgressRefused, or OSError if it has none."""
        name = host.lower().rstrip(".")
        try:
            literal = read_literal(name)
        except ValueError:
            fix = "write it as four decimal numbers, or as IPv6 in brackets"
            raise EgressRefused("the host is a number that can be read in several ways", where=where, fix=fix) from None
        found = [literal] if literal else [ip_address(each.partition("%")[0]) for each in self._resolve(host, port)]
        if not found:
            raise OSError("the name has no address")
        for address in found:
            kind = self._refused(name, address)
            if kind:
                how = "is" if literal else "resolves to"
                raise EgressRefused(f"{name!r} {how} an address that is {kind}", where=where, fix=FIX)
        return [str(each) for each in found]

    def _refused(self, name: str, address: Address) -> str | None:
        kind = why_forbidden(address)
        if kind is None or any(_within(each, self._networks) for each in judged(address)):
            return None
        return None if name in self._names and kind not in NEVER_BY_NAME else kind


def _within(address: Address, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    return any(address in each for each in networks)


def _host_and_port(text: str, where: str | None) -> tuple[str, int]:
    parts = _split(text)
    if parts is None:
        raise BadInput("is no URL", where=where, fix=URL_FIX)
    if parts.scheme not in ("http", "https"):
        raise BadInput("the scheme is not http or https", where=where, fix=URL_FIX)
    if "@" in parts.netloc:
        raise BadInput("a URL with a user in it is refused", where=where, fix="give credentials as secrets")
    host = parts.hostname or ""
    if parts.port == 0 or (":" not in host and not _NAME.fullmatch(host)):
        raise BadInput("the URL has no host that could be called", where=where, fix=URL_FIX)
    return host, parts.port or (443 if parts.scheme == "https" else 80)


def _split(text: str) -> SplitResult | None:
    """The parts of a URL whose port and, in brackets, address can be read; None for any other."""
    if not text.isascii() or _NOT_IN_URLS.search(text):
        return None
    try:
        parts = urlsplit(text)
        if "[" in parts.netloc:
            ip_address((parts.hostname or "").partition("%")[0])
        return parts if parts.port is None or parts.port >= 0 else None
    except ValueError:
        return None
