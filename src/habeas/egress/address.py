"""Which addresses are no place for a call to an outside system, and why, in a few words. Pure.

An IPv6 address that carries an IPv4 one (mapped, compatible, 6to4, Teredo, NAT64) is judged by both. Never resolves a
name.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address

# That no host name in the settings opens, only its network: nothing outside answers there.
NEVER_BY_NAME = frozenset({"unspecified", "link-local", "multicast", "the cloud's own"})

_NAT64 = ip_network("64:ff9b::/96")
_COMPATIBLE = ip_network("::/96")
_SHARED = ip_network("100.64.0.0/10")
_NO_PLACE = ip_network("0.0.0.0/8")
_SPECIAL = tuple(  # of IANA's registries, those that Python's tables lack or had not in each release
    ip_network(each)
    for each in ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "2001::/23", "3fff::/20", "5f00::/16")
)
_CLOUD = frozenset({ip_address("168.63.129.16")})  # public by its number, but Azure's inner one


def judged(address: Address) -> tuple[Address, ...]:
    """The address, and the IPv4 one that it stands for."""
    if isinstance(address, IPv4Address):
        return (address,)
    carried = [address.ipv4_mapped, address.sixtofour, address.teredo[1] if address.teredo else None]
    if (address in _NAT64 or address in _COMPATIBLE) and int(address) > 1:  # not :: and ::1
        carried.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return (address, *(each for each in carried if each is not None))


def why_forbidden(address: Address) -> str | None:
    """What kind of address it is that no call may reach; None for a public one."""
    found = judged(address)
    if len(found) == 1:
        return _kind(address)
    inner = (_kind(each) for each in found[1:])  # the outer form is nowhere by itself
    return next((kind for kind in inner if kind), None)


def read_literal(host: str) -> Address | None:
    """The address that a host is, None for a name. Raises ValueError for a number that isn't written plainly, such as
    0x7f.1, 2130706433 or 0177.0.0.1, which systems read in several ways.
    """
    bare = host.removeprefix("[").removesuffix("]")
    if ":" in bare:
        return ip_address(bare.partition("%")[0])
    last = bare.rstrip(".").rpartition(".")[2].lower()
    if last.isdigit() or (last.startswith("0x") and all(each in "0123456789abcdef" for each in last[2:])):
        return ip_address(bare)
    return None


def _kind(address: Address) -> str | None:
    kinds = (
        ("unspecified", address.is_unspecified or address in _NO_PLACE),
        ("loopback", address.is_loopback),
        ("link-local", address.is_link_local),
        ("multicast", address.is_multicast),
        ("shared by a carrier (100.64.0.0/10)", address in _SHARED),
        ("the cloud's own", address in _CLOUD),
        ("private", address.is_private or getattr(address, "is_site_local", False)),
        ("reserved", address.is_reserved or not address.is_global or any(address in each for each in _SPECIAL)),
    )
    return next((name for name, holds in kinds if holds), None)
