import numpy as np
import pytest
from ptycho_data.display import PICTURE_BYTES, Displayed
from ptycho_data.figures import new_figure


class Thing(Displayed):
    def __init__(self, facts, figure=None):
        self.facts, self.figure = facts, figure

    def _facts(self):
        if isinstance(self.facts, Exception):
            raise self.facts
        return self.facts

    def plot(self):
        if isinstance(self.figure, Exception):
            raise self.figure
        return self.figure


def test_repr_is_one_line_of_facts_without_those_that_are_unknown():
    assert repr(Thing({"patterns": "3", "energy": "", "file": "a.npz"})) == (
        "<Thing: patterns 3, file a.npz>"
    )


def test_names_of_unknown_origin_forge_nothing():
    thing = Thing({"file": "a\n<script>alert(1)</script>\x1b[2J"})
    assert repr(thing) == r"<Thing: file a\n<script>alert(1)</script>\x1b[2J>"
    html = thing._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_what_cannot_be_described_says_so():
    text = repr(Thing(OSError("gone")))
    assert text == "<Thing: cannot be described OSError: gone>"


@pytest.mark.parametrize("pixels", [4, 2000])
def test_notebook_shows_a_small_picture(pixels):
    figure = new_figure(13, 4)
    figure.subplots().imshow(np.random.default_rng(0).random((pixels, pixels)))
    html = Thing({"a": "b"}, figure)._repr_html_()
    assert "data:image/png" in html
    assert len(html) < 1.4 * PICTURE_BYTES


@pytest.mark.parametrize("figure", [None, ImportError("no matplotlib"), OSError("gone")])
def test_without_a_picture_there_is_the_table(figure):
    html = Thing({"a": "b"}, figure)._repr_html_()
    assert "<img" not in html
    assert "<td" in html
