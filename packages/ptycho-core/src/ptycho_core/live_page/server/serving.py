"""Serve the page while the run is there, and a moment longer."""

import asyncio
import socket
import tempfile
from asyncio import IncompleteReadError
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ptycho_core.live_page.messages import read_message
from ptycho_core.live_page.server.app import page_app
from ptycho_core.live_page.server.state import RunState

__all__ = ["serve"]

#: Connections at a time; further ones are refused.
MOST_CONNECTIONS = 200
#: Seconds after which a viewer who takes nothing is dropped.
PATIENCE_S = 30.0
#: Seconds that viewers have to fetch the last picture when the run is gone.
LINGER_S = 1.5
#: Bytes of a message that are read at a time.
READ = 1 << 22


def serve(listener: socket.socket, channel: socket.socket) -> None:
    """Serve on `listener` what comes through `channel`, until its other end is closed."""
    asyncio.run(_serve(listener, channel))


async def _serve(listener: socket.socket, channel: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=channel, limit=READ)
    hello = await read_message(reader.readexactly)
    state = RunState()
    with tempfile.TemporaryDirectory(prefix="ptycho-page-") as folder:
        app = page_app(state, Path(folder), hello.content["host"], hello.content["token"])
        config = uvicorn.Config(
            dropping(app),
            access_log=False,  # an address holds the token
            http="h11",
            lifespan="off",
            limit_concurrency=MOST_CONNECTIONS,
            log_config=None,
            log_level="critical",
            server_header=False,
            timeout_graceful_shutdown=1,
            ws="none",
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        following = asyncio.create_task(_follow(state, reader.readexactly))
        await asyncio.wait({serving, following}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
        following.cancel()
        writer.close()


async def _follow(state: RunState, exactly: Callable[[int], Awaitable[bytes]]) -> None:
    """Take the messages of the run until it is gone."""
    try:
        while True:
            await state.take(await read_message(exactly))
    except (IncompleteReadError, ConnectionError):
        watched = state.viewers > 0
        await state.lost()
        await asyncio.sleep(LINGER_S if watched else 0)


def dropping(app: ASGIApp) -> ASGIApp:
    """Drop viewers who take nothing of an answer."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        async def in_time(message: Message) -> None:
            async with asyncio.timeout(PATIENCE_S):
                await send(message)

        await app(scope, receive, in_time)

    return served
