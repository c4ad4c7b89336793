"""The process that serves the page of a run."""

from ptycho_core.live_page.needed import require_server

# Every module here imports them: one error says what to install.
require_server()
