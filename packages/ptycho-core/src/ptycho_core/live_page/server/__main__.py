"""Serve the page of a run: ``python -m ptycho_core.live_page.server LISTENER CHANNEL``."""

import os
import socket
import sys

from ptycho_core.live_page.server.serving import serve

#: Where run and page share a core, the run has precedence.
NICENESS = 5


def main() -> None:
    """Serve on the socket with the first number what comes from the one with the second."""
    listener, channel = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    os.nice(NICENESS)
    serve(listener, channel)


if __name__ == "__main__":
    main()
