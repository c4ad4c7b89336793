"""The option ``--serve``: a page that shows the run in a browser."""

from typing import TYPE_CHECKING, Any

import click
from ptycho_config.errors import InvalidValueError

from ptycho_cli.sections import section

if TYPE_CHECKING:
    from ptycho_core.live_page import Address

__all__ = ["AddressValue", "serve_option"]


class AddressValue(click.ParamType):
    """Port, or IPv4 address and port, of a page."""

    name = "address"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Address":
        """Convert to an address.

        Raises
        ------
        click.BadParameter
            The text is something else.
        """
        from ptycho_core.live_page import parse_address  # imports NumPy

        try:
            return parse_address(value) if isinstance(value, str) else value
        except InvalidValueError as error:
            return self.fail(str(error), param, ctx)


#: The port without an argument; the same as `ptycho_core.live_page.DEFAULT_PORT`.
_PORT = "8050"

serve_option = section("Output")(
    "--serve",
    type=AddressValue(),
    is_flag=False,
    flag_value=_PORT,
    metavar="[[HOST:]PORT]",
    help="Show the run in a browser, at http://127.0.0.1:PORT/ while it lasts.  [default port: "
    f"{_PORT}; 0 takes a free one]  With HOST, such as 0.0.0.0, others see it, too, with the token "
    "that is printed.",
)
