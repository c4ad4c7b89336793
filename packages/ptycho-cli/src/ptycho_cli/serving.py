"""The option ``--serve``: a page that shows the run in a browser."""

from typing import TYPE_CHECKING

import click
from ptycho_config.errors import InvalidValueError

from ptycho_cli.sections import section

if TYPE_CHECKING:
    from ptycho_core.live_page import Address

__all__ = ["serve_option"]

#: The port without an argument; the same as `ptycho_core.live_page.DEFAULT_PORT`.
_PORT = "8050"


def _address(text: str) -> "Address":
    from ptycho_core.live_page import parse_address  # imports NumPy

    try:
        return parse_address(text)
    except InvalidValueError as error:
        raise click.BadParameter(str(error)) from error


serve_option = section("Output")(
    "--serve",
    type=_address,
    is_flag=False,
    flag_value=_PORT,
    metavar="[[HOST:]PORT]",
    help="Show the run in a browser, at http://127.0.0.1:PORT/ while it lasts.  [default port: "
    f"{_PORT}; 0 takes a free one]  With HOST, such as 0.0.0.0, others see it, too, with the token "
    "that is printed.",
)
