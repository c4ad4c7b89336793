"""Where a live page is served: the interface, the port, and the token of viewers from elsewhere."""

import ipaddress
import os
import secrets
import socket

from attrs import field, frozen
from ptycho_config.errors import InvalidValueError, describe

__all__ = ["DEFAULT_PORT", "Address", "parse_address"]

DEFAULT_PORT = 8050
HOME = "127.0.0.1"


@frozen(kw_only=True)
class Address:
    """Where a page is served.

    Attributes
    ----------
    host : str
        IPv4 address of the interface; ``0.0.0.0`` is all of them.
    port : int
        0 takes a free one.
    token : str
        What viewers have to present; empty on the loopback interface, where there are none from
        elsewhere.
    """

    host: str = HOME
    port: int = DEFAULT_PORT
    token: str = field()

    @token.default
    def _token_for_others(self) -> str:
        return "" if self.is_loopback else secrets.token_urlsafe(24)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    def url(self, port: int) -> str:
        """Return what people open; `port` is the one that was taken."""
        host = socket.gethostname() if self.host == "0.0.0.0" else self.host  # noqa: S104
        return f"http://{host}:{port}/" + (f"?token={self.token}" if self.token else "")

    def listen(self) -> socket.socket:
        """Take the port.

        Raises
        ------
        InvalidValueError
            If it is taken, or no such interface is on this machine.
        """
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.host, self.port))
            listener.listen(64)
        except OSError as error:
            listener.close()
            reason = (error.strerror or os.strerror(error.errno or 0)).lower()
            rule = "a port of this machine that is free"
            got = f"{self.host}:{self.port} ({reason})"
            raise InvalidValueError("serve", rule, got, "give another one: --serve 0") from error
        return listener


def parse_address(text: str) -> Address:
    """Read ``8050`` or ``HOST:8050``.

    Parameters
    ----------
    text
        Port on the loopback interface, or IPv4 address of an interface and port; ``0.0.0.0`` is
        all interfaces, port 0 a free one.

    Raises
    ------
    InvalidValueError
        It is neither.
    """
    host, colon, port = text.rpartition(":")
    host = {"": HOME, "localhost": HOME}.get(host, host) if colon else HOME
    try:
        ipaddress.IPv4Address(host)
        number = int(port) if port.isascii() and port.isdigit() else -1
    except ValueError:
        number = -1
    if not 0 <= number <= 65535:
        rule = "a port from 0 to 65535, or HOST:PORT with an IPv4 address"
        advice = "write the options after the scan: SCAN --serve"
        raise InvalidValueError("serve", rule, describe(text), advice)
    return Address(host=host, port=number)
