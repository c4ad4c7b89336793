"""Files of instruments and other programs, whose datasets are named or known by their layout.

`read_raw` finds frames, positions and the experiment; `Window` and `Frames` make patterns of frames
as they are read.
"""

from ptycho_data._build import first_probe
from ptycho_data._patterns import BRIGHTEST, countable, require_countable
from ptycho_data._values import SMALLEST_SPAN
from ptycho_data.raw._detector import Frames, Window, largest_size, leave_out, patterns
from ptycho_data.raw._faults import NoValue, no_value, polarity
from ptycho_data.raw._layouts import LAYOUTS, Layout
from ptycho_data.raw._passing import Watched, added_by_place
from ptycho_data.raw._reader import read_raw
from ptycho_data.raw._recognise import layout_named
from ptycho_data.raw._scan import Names, RawScan

__all__ = [
    "BRIGHTEST",
    "LAYOUTS",
    "SMALLEST_SPAN",
    "Frames",
    "Layout",
    "Names",
    "NoValue",
    "RawScan",
    "Watched",
    "Window",
    "added_by_place",
    "countable",
    "first_probe",
    "largest_size",
    "layout_named",
    "leave_out",
    "no_value",
    "patterns",
    "polarity",
    "read_raw",
    "require_countable",
]
