"""The addresses of the page: all of them are listed here, and only read."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, StreamingResponse
from starlette.routing import Route

from ptycho_core.live_page.server.content import Content
from ptycho_core.live_page.server.guard import Guard
from ptycho_core.live_page.server.markup import POLICY, markup
from ptycho_core.live_page.server.pictures import Window
from ptycho_core.live_page.server.state import RunState, Viewer

__all__ = ["page_app"]

#: Seconds between two events for one viewer, and until one that only keeps the connection.
EVENT_S, KEEP_S = 0.2, 15.0
#: Bytes that are sent at a time: what waits for a viewer who takes nothing is not much more.
PIECE = 1 << 17
#: No picture has a place or a size above it.
LARGEST = 1 << 24


def page_app(state: RunState, folder: Path, host: str, token: str) -> Starlette:
    """Return the application that shows a state.

    Parameters
    ----------
    state
        What is shown.
    folder
        For files that are downloaded.
    host, token
        See `ptycho_core.live_page.server.guard`.
    """
    content = Content(state=state, folder=folder)

    async def page(_: Request) -> HTMLResponse:
        return HTMLResponse(markup(), headers={"Content-Security-Policy": POLICY})

    async def events(_: Request) -> StreamingResponse:
        return StreamingResponse(_events(state), media_type="text/event-stream")

    async def object_(request: Request) -> StreamingResponse:
        return _pieces(await content.object_(_window(request)))

    async def pattern(_: Request) -> StreamingResponse:
        return _pieces(await content.pattern())

    async def reconstruction(_: Request) -> FileResponse:
        path = await content.reconstruction()
        return FileResponse(path, filename=f"{state.file_stem}.npz")

    async def product(_: Request) -> FileResponse:
        path = await content.product()
        return FileResponse(path, filename=f"{state.file_stem}.h5")

    routes = [
        Route("/", page),
        Route("/events", events),
        Route("/object", object_),
        Route("/pattern", pattern),
        Route("/reconstruction.npz", reconstruction),
        Route("/product.h5", product),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, host=host, token=token)])


async def _events(state: RunState) -> AsyncIterator[str]:
    """Yield what is new, as server-sent events; what comes in quick succession goes together."""
    state.viewers += 1
    try:
        async for event in _events_for(Viewer(), state):
            yield event
    finally:
        state.viewers -= 1


async def _events_for(viewer: Viewer, state: RunState) -> AsyncIterator[str]:
    while True:
        try:
            async with asyncio.timeout(KEEP_S):
                news = await state.news(viewer)
        except TimeoutError:
            yield ": still here\n\n"
            continue
        yield f"data: {json.dumps(news)}\n\n"
        if state.gone:
            return
        await asyncio.sleep(EVENT_S)


def _window(request: Request) -> Window:
    names = ("left", "top", "width", "height")
    given: dict[str, Any] = {n: request.query_params[n] for n in names if n in request.query_params}
    for name, text in given.items():
        if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) <= LARGEST):
            raise HTTPException(400, f"{name} must be a whole number from 0 to {LARGEST}")
        given[name] = int(text)
    return Window(**given)


def _pieces(body: bytes) -> StreamingResponse:
    async def pieces() -> AsyncIterator[memoryview]:
        for piece in _cut(body):
            yield piece

    length = {"Content-Length": str(len(body))}
    return StreamingResponse(pieces(), media_type="application/octet-stream", headers=length)


def _cut(body: bytes) -> Iterator[memoryview]:
    view = memoryview(body)
    for start in range(0, len(view), PIECE):
        yield view[start : start + PIECE]
