"""Watch a folder, and reconstruct every scan that arrives: once, whatever happens meanwhile.

`Arrivals` tells which scans of the folder are complete, `Watch` works on them and notes in the
`Ledger` of the output folder what became of each.
"""

from ptycho_core.watching.arrivals import PATIENCE, Arrival, Arrivals, Look
from ptycho_core.watching.ledger import LEDGER_FILE, Entry, Ledger, LedgerError, read_ledger
from ptycho_core.watching.patterns import ANY_SCAN, FilePattern
from ptycho_core.watching.scans import SCAN_SUFFIX, scan_of
from ptycho_core.watching.watch import Attempt, Watch

__all__ = [
    "ANY_SCAN",
    "LEDGER_FILE",
    "PATIENCE",
    "SCAN_SUFFIX",
    "Arrival",
    "Arrivals",
    "Attempt",
    "Entry",
    "FilePattern",
    "Ledger",
    "LedgerError",
    "Look",
    "Watch",
    "read_ledger",
    "scan_of",
]
