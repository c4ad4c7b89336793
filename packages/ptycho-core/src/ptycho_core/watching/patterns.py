"""Names of the files of a scan in a folder."""

import re

from attrs import field, frozen
from ptycho_config.errors import InvalidValueError

__all__ = ["ANY_SCAN", "FilePattern"]

#: Names of scans where no pattern says more.
ANY_SCAN = "{scan}.{h5,hdf5,hdf,he5,nxs,cxi,npz,mat,emd,ptyd,raw,mib,hspy,dm3,dm4}"
_WILDCARDS = {"**/": r"(?:[^/]+/)*", "*": r"[^/]*", "?": r"[^/]"}
_TOKEN = re.compile(r"\{scan\}|\{[^{}]*,[^{}]*\}|\*\*/|\*|\?")


@frozen
class FilePattern:
    """Names of files in a folder, such as ``{scan}_master.h5`` or ``{scan}/frames_*.h5``.

    ``{scan}`` stands for the name of the scan, which does not begin with a dot, ``*`` and ``?`` for
    any letters, ``{h5,nxs}`` for one of the texts, and ``**/`` for any folders.

    Raises
    ------
    InvalidValueError
        There is no ``{scan}``, or the text leads out of the folder.
    """

    text: str
    _expression: re.Pattern[str] = field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Check and compile the text."""
        parts = self.text.split("/")
        if "{scan}" not in self.text or "" in parts or ".." in parts:
            rule = "names of files in the folder, with {scan} for the name of the scan"
            advice = "such as '{scan}_master.h5'"
            raise InvalidValueError("pattern", rule, repr(self.text), advice)
        object.__setattr__(self, "_expression", _compiled(self.text))

    @property
    def several(self) -> bool:
        """Whether several files of one scan may have such names."""
        return "*" in self.text or "?" in self.text

    @property
    def depth(self) -> int:
        """How many folders deep such files may be."""
        return 99 if "**/" in self.text else self.text.count("/")

    def scan_of(self, name: str) -> str | None:
        """Return the name of the scan that a file belongs to, None for another file."""
        found = self._expression.fullmatch(name)
        return found and found["scan"]

    def of(self, scan: str) -> str:
        """Return the names of the files of one scan."""
        return self.text.replace("{scan}", scan)


def _compiled(text: str) -> re.Pattern[str]:
    parts, at, named = [], 0, False
    for token in _TOKEN.finditer(text):
        parts.append(re.escape(text[at : token.start()]))
        at = token.end()
        if token[0] == "{scan}":
            parts.append("(?P=scan)" if named else "(?P<scan>[^/.][^/]*)")
            named = True
        elif token[0].startswith("{"):
            choices = token[0][1:-1].split(",")
            parts.append(f"(?:{'|'.join(map(re.escape, choices))})")
        else:
            parts.append(_WILDCARDS[token[0]])
    return re.compile("".join([*parts, re.escape(text[at:])]), re.DOTALL)
