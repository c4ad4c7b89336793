"""A page that shows a run in the browser while it computes.

The run publishes (`Publisher`), a process of its own serves: what viewers do, and what becomes of
the server, does not reach the run.
"""

from ptycho_core.live_page.address import DEFAULT_PORT, Address, parse_address
from ptycho_core.live_page.opening import live_page
from ptycho_core.live_page.publisher import Publisher
from ptycho_core.live_page.snapshot import Snapshot

__all__ = ["DEFAULT_PORT", "Address", "Publisher", "Snapshot", "live_page", "parse_address"]
