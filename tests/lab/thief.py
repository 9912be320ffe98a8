"""Take a TCP port in the moment in which it is free, and keep it. usage: thief.py PORT"""

from __future__ import annotations

import signal
import socket
import sys
import time


def steal(port: int) -> socket.socket:
    """The port, once it is free."""
    while True:
        taker = socket.socket()
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taker.bind(("0.0.0.0", port))  # noqa: S104 (in the host's own namespace)
        except OSError:
            taker.close()
            time.sleep(0.001)
        else:
            taker.listen()
            return taker


if __name__ == "__main__":
    with steal(int(sys.argv[1])):
        signal.pause()
