"""The page as one document: nothing is fetched but data, and not from elsewhere."""

import base64
import hashlib
from functools import cache
from importlib.resources import files

__all__ = ["POLICY", "markup"]

#: Scripts of the page, in order.
SCRIPTS = (
    "elements.js",
    "colours.js",
    "view.js",
    "picture.js",
    "saving.js",
    "curves.js",
    "facts.js",
    "object.js",
    "patterns.js",
    "main.js",
)


@cache
def _parts() -> tuple[str, str, str]:
    folder = files("ptycho_core.live_page.server").joinpath("page")
    frame, style = (folder.joinpath(name).read_text("utf-8") for name in ("page.html", "page.css"))
    script = "\n".join(folder.joinpath(name).read_text("utf-8") for name in SCRIPTS)
    return frame, style, script


@cache
def markup() -> str:
    """Return the page."""
    frame, style, script = _parts()
    return frame.replace("/*style*/", style).replace("/*script*/", script)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _policy() -> str:
    _, style, script = _parts()
    return (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


#: Content-Security-Policy of the page: only its own style and script, and data of its own server.
POLICY = _policy()
