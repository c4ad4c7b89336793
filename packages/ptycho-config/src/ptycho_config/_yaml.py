"""Plain values from YAML: the core schema of YAML 1.2, without what multiplies or has two meanings.

PyYAML supplies the grammar. Its own meaning of values is that of YAML 1.1, in which ``010`` is 8,
``1:20`` is 80 and ``no`` is false; whatever the two versions read differently is refused.
"""

import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import yaml

from ptycho_config.errors import describe
from ptycho_config.text_files import DEPTH_LIMIT, unique

_CONSTANTS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{
        sign + word: float(f"{sign}inf")
        for sign in ("", "+", "-")
        for word in (".inf", ".Inf", ".INF")
    },
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_READERS: tuple[tuple[re.Pattern[str], Callable[[str], object]], ...] = (
    (re.compile(r"[-+]?(0|[1-9][0-9]*)"), int),
    (re.compile(r"0x[0-9a-fA-F]+"), partial(int, base=16)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?"), float),
    (re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+"), float),
)
_SWITCHES = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_TWO_MEANINGS = re.compile(
    r"[-+]?0[0-9_]+"  # 010 is 8 or 10
    r"|[-+]?0[bo][0-9_]+"  # 0o10 is text or 8
    r"|[-+]?0x[0-9a-fA-F_]+"
    r"|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"  # 1:20 is 80 or text
    r"|[-+]?\.?[0-9][0-9.]*_[0-9_.]*([eE][-+]?[0-9]+)?"  # 1_000 is a number or text
)


def parse_yaml(text: str) -> object:
    """Parse one YAML document; an empty one is an empty table.

    Raises
    ------
    ValueError
        Not YAML, or an alias, a merge key, a tag, a repeated name, a name that is not text, values
        nested too deeply, a value that YAML 1.1 and 1.2 read differently.
    """
    try:
        node = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ValueError(f"{error.problem or error.context}{place}") from error
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    return {} if node is None else _value(node)


class _Loader(yaml.BaseLoader):
    """Compose nodes of text, and stop at what multiplies before anything is built from it."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            _refuse(event.start_mark, "aliases (*) are not read; write the value out")
        if event.tag not in (None, "!"):
            _refuse(event.start_mark, "tags (!) are not read; leave it out")
        self.depth += 1
        if self.depth > DEPTH_LIMIT + 1:
            _refuse(event.start_mark, f"values must be nested at most {DEPTH_LIMIT} deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _refuse(mark: Any, problem: str) -> NoReturn:
    raise ValueError(f"{problem} (line {mark.line + 1}, column {mark.column + 1})")


def _value(node: Any) -> object:
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return unique([(_name(key), _value(item)) for key, item in node.value])
    return node.value if node.style is not None else _plain(node)


def _name(node: Any) -> str:
    if not isinstance(node, yaml.ScalarNode):
        _refuse(node.start_mark, "names must be text")
    if node.value == "<<" and node.style is None:
        _refuse(node.start_mark, "merge keys (<<) are not read; write the settings out")
    return str(node.value)


def _plain(node: Any) -> object:
    """Read a scalar without quotes."""
    text = node.value
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    for pattern, read in _READERS:
        if pattern.fullmatch(text):
            return read(text)
    advice = _SWITCHES.get(text.lower(), "a plain decimal number")
    if text.lower() in _SWITCHES or _TWO_MEANINGS.fullmatch(text):
        problem = f"{describe(text)} has different meanings in YAML 1.1 and 1.2"
        _refuse(node.start_mark, f"{problem}; write {advice}, or put quotes around text")
    return text
