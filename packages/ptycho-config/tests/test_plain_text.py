import logging
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ptycho_config import ConfigError, InvalidValueError
from ptycho_config.errors import describe
from ptycho_config.log_format import PlainFormatter
from ptycho_config.plain_text import array_text, printable, printable_lines, shortened

anything = st.text(st.characters(codec=None, categories=None))


@given(text=anything)
def test_shown_text_has_no_invisible_character(text):
    shown = printable(text)
    assert not {unicodedata.category(c)[0] for c in shown} - set("LMNPSZ")
    assert not {unicodedata.category(c) for c in shown} & {"Zl", "Zp"}
    assert shown.encode() and printable(shown) == shown if shown else not text


@given(text=anything)
def test_every_message_is_one_visible_line(text):
    for error in (ConfigError(text), InvalidValueError(text, "x", text)):
        assert str(error) == printable(str(error))
    assert describe(text) == printable(describe(text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, 5 µm × 3", "plain, 5 µm × 3"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x9b31m\x85", "\\x9b31m\\x85"),
        ("\u202etxt\u2066\u200b", "\\u202etxt\\u2066\\u200b"),
        ("\udce9\ud83d", "\\udce9\\ud83d"),
        ("\u2028\u2029", "\\u2028\\u2029"),
    ],
)
def test_escapes(text, shown):
    assert printable(text) == shown


def test_line_feeds_are_kept_where_lines_are_meant():
    assert printable_lines("a\nb\rc") == "a\nb\\rc"


def test_long_text_keeps_both_ends():
    assert shortened("abc") == "abc"
    assert shortened("a" * 1000 + "z" * 1000, 99) == "a" * 48 + "..." + "z" * 48


def test_log_records_are_lines(monkeypatch):
    def formatted(name, text):
        record = logging.LogRecord(name, logging.INFO, "", 0, text, None, None)
        return PlainFormatter("%(message)s").format(record)

    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert formatted("ptycho_data.scan", "a\nb\x1b") == "a\\nb\\x1b"
    assert formatted("lightning", "a\nb\x1b") == "a\nb\\x1b"
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    stamp, text = formatted("lightning", "said").split(" ")
    time.strptime(stamp, "%Y-%m-%dT%H:%M:%S")
    assert text == "said"


def test_an_array_is_described_by_its_shape():
    assert array_text(memoryview(b"abc")) == "(3,)"
    assert array_text(None) == "None"
