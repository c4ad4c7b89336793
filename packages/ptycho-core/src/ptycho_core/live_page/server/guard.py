"""Who may look: the host that a request names, and the token of viewers from elsewhere."""

import hmac
import ipaddress
import re

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard"]

#: Nothing from elsewhere, no frames around the page, no address with a token to others.
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
#: A name with or without a port, as a request gives it.
HOST = re.compile(r"(?P<name>[A-Za-z0-9.-]+)(:\d{1,5})?")
HOME_NAMES = {"localhost", "127.0.0.1"}


class Guard:
    """Refuses requests, and adds the headers of `HEADERS` to all answers.

    On the loopback interface a request must name it as its host: a page of another site whose name
    was made to lead here (DNS rebinding) names its own. On other interfaces the token is required,
    which such a page does not have.

    Parameters
    ----------
    app
        What it guards.
    host
        Interface that is served.
    token
        The token; empty on the loopback interface.
    """

    def __init__(self, app: ASGIApp, host: str, token: str) -> None:
        self.app = app
        self.token = token.encode()
        home = ipaddress.ip_address(host).is_loopback
        self.names = HOME_NAMES | {host} if home else set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        request = HTTPConnection(scope)
        if self.names and not self._names_us(request):
            text = "host must be localhost or 127.0.0.1: open the address that the run has printed"
            answer: ASGIApp = PlainTextResponse(text + "\n", 421)
        elif self.token and not hmac.compare_digest(_token_of(request).encode(), self.token):
            text = "token must be that of the address that the run has printed"
            answer = PlainTextResponse(text + "\n", 401, {"WWW-Authenticate": "Bearer"})
        else:
            answer = self.app
        await answer(scope, receive, with_headers)

    def _names_us(self, request: HTTPConnection) -> bool:
        found = HOST.fullmatch(request.headers.get("host", ""))
        return found is not None and found["name"] in self.names


def _token_of(request: HTTPConnection) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else request.query_params.get("token", "")
