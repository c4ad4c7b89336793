"""Pages of HTML with SVG in them, built as trees: their writer escapes every text and attribute.

Names of files and settings come from anywhere. None of them is ever part of a text that is taken as
HTML: they are texts and attributes of elements, and characters that cannot be seen are shown as
escapes. A page loads nothing and, by its own policy, may run no script but that of this package.
"""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from xml.etree.ElementTree import Element, tostring

from ptycho_config.plain_text import printable, shortened

__all__ = ["Content", "block", "element", "page", "table"]

#: What elements contain: others, texts, or nothing.
Content = Element | str | None

#: Longest text of one element.
LONGEST = 4000


def _clean(text: object) -> str:
    return shortened(printable(str(text)), LONGEST)


def element(tag: str, *content: Content, **attributes: object) -> Element:
    """Make an element.

    Parameters
    ----------
    tag
        Its name.
    content
        Elements and texts; None is left out.
    attributes
        Values by name: ``class_`` is written as ``class``, ``stroke_width`` as ``stroke-width``.
        None leaves one out.
    """
    made = Element(tag)
    for name, value in attributes.items():
        if value is not None:
            # long ones are pictures, which are made here
            text = value if name == "href" else _clean(value)
            made.set(name.rstrip("_").replace("_", "-"), str(text))
    last: Element | None = None
    for part in content:
        if part is None:
            continue
        if isinstance(part, str):
            if last is None:
                made.text = (made.text or "") + _clean(part)
            else:
                last.tail = (last.tail or "") + _clean(part)
        else:
            made.append(part)
            last = part
    return made


def table(rows: Sequence[tuple[str, ...]], heads: tuple[str, ...] = ()) -> Element:
    """Make a table of texts; the first of each row is its head."""
    lines = [element("tr", *(element("th", head, scope="col") for head in heads))] if heads else []
    for first, *rest in rows:
        cells = (element("td", text) for text in rest)
        lines.append(element("tr", element("th", first, scope="row"), *cells))
    return element("div", element("table", *lines), class_="wide")


def block(title: str, *content: Content, closed: bool = False) -> Element | None:
    """Make a section with a heading, or one that opens at a click; None if nothing is in it."""
    found = [part for part in content if part is not None]
    if not found:
        return None
    if closed:
        return element("details", element("summary", title), *found)
    return element("section", element("h2", title), *found)


def page(title: str, *content: Content, script: str = "") -> bytes:
    """Write a page that needs no other file.

    Parameters
    ----------
    title
        Of the page.
    content
        Its elements.
    script
        Name of a file of this package with the script of the page; none by default.
    """
    code = _own(script) if script else ""
    allowed = f"sha256-{b64encode(sha256(code.encode()).digest()).decode()}" if code else "none"
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
        f"form-action 'none'; script-src '{allowed}'"
    )
    style, head = Element("style"), element("head", element("meta", charset="utf-8"))
    style.text = _own("page.css")
    head.append(element("meta", http_equiv="Content-Security-Policy", content=policy))
    size = "width=device-width, initial-scale=1"
    head.append(element("meta", name="viewport", content=size))
    head.append(element("title", title))
    head.append(style)
    body = element("body", element("main", element("h1", title), *content))
    if code:
        run = Element("script")
        run.text = code
        body.append(run)
    root = element("html", head, body, lang="en")
    text: str = tostring(root, encoding="unicode", method="html")
    return f"<!DOCTYPE html>\n{text}\n".encode()


def _own(name: str) -> str:
    return files("ptycho_core.report").joinpath(name).read_text("utf-8")
