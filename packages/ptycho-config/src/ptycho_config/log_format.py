"""Log records as text that controls no terminal."""

import logging

from ptycho_config.plain_text import printable, printable_lines


class PlainFormatter(logging.Formatter):
    """Formats log records: one line each, paragraphs for those of frameworks."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the formatted record."""
        text = super().format(record)
        one_line = record.name.startswith("ptycho") and not record.exc_info
        return printable(text) if one_line else printable_lines(text)
