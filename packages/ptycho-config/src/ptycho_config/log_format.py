"""Log records as text that controls no terminal, with the time where no one watches."""

import logging
import sys
import time

from ptycho_config.plain_text import printable, printable_lines


def time_stamp() -> str:
    """Return local time and a space, as the start of a line on standard error.

    It is empty on a terminal, where people see the lines come.
    """
    return "" if sys.stderr.isatty() else time.strftime("%Y-%m-%dT%H:%M:%S ")


class PlainFormatter(logging.Formatter):
    """Formats records for standard error: one line each, paragraphs for those of frameworks."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the formatted record."""
        text = super().format(record)
        one_line = record.name.startswith("ptycho") and not record.exc_info
        return time_stamp() + (printable(text) if one_line else printable_lines(text))
