"""Shut the network of this process, whatever library asks: only this machine can be reached.

An audit hook sees connections of every Python socket before they are made and cannot be removed.
Names are not looked up either. Kernels of notebooks talk through ZeroMQ on the loopback, which
stays open.
"""

import ipaddress
import sys
from typing import Any

LOCAL = ("localhost", "", "ip6-localhost", "localhost.localdomain")


class NetworkBlocked(RuntimeError):
    """Something tried to leave this machine during a test."""


def is_local(host: Any) -> bool:
    """Whether `host` is this machine. None and "" mean any local interface."""
    if host is None or isinstance(host, bytes):
        return host is None or is_local(host.decode(errors="replace"))
    if host in LOCAL:
        return True
    try:
        address = ipaddress.ip_address(str(host).split("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """The audit hook: raise where an address or a name lies outside this machine."""
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        if isinstance(address, tuple) and not is_local(address[0]):  # Unix sockets have strings
            raise NetworkBlocked(_message(f"{address[0]}:{address[1]}"))
    elif event in ("socket.getaddrinfo", "socket.gethostbyname") and not is_local(arguments[0]):
        raise NetworkBlocked(_message(str(arguments[0])))


def install() -> None:
    """Shut the network until this process ends; a second call does nothing."""
    if not getattr(sys, "_minids_offline", False):
        sys._minids_offline = True  # type: ignore[attr-defined]
        sys.addaudithook(watch)


def _message(where: str) -> str:
    return f"tests run without a network, and something tried to reach {where}"
