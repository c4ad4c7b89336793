"""The process that serves the page of a run."""

from ptycho_core.live_page.needed import require_server

require_server()
