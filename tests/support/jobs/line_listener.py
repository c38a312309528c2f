"""A listener on a local stream socket as a process of its own, which keeps whatever it has read even if it is killed.

    python line_listener.py SOCKET FOLDER [--pause MSEC] [--close_after BYTES]

Each connection becomes a file in FOLDER. Bytes are written there before they are taken from the socket, so what a
kill makes it lose, it has not read.
"""

from __future__ import annotations

import argparse
import itertools
import os
import socket
import threading
import time
from pathlib import Path


def main() -> None:
    """Listens until it is killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("socket", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pause", type=float, default=0)
    parser.add_argument("--close_after", type=int, default=0)
    options = parser.parse_args()
    options.socket.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(options.socket))
        listener.listen(16)
        for number in itertools.count():
            peer, _ = listener.accept()
            path = options.folder / f"{os.getpid()}-{number}"
            limit = 0 if number else options.close_after
            threading.Thread(target=keep, args=(peer, path, options.pause / 1000, limit), daemon=True).start()


def keep(peer: socket.socket, path: Path, pause: float, limit: int) -> None:
    """Keeps what a connection brings; closes it after `limit` bytes, 0 for never."""
    size = 0
    with peer, path.open("ab", buffering=0) as file:
        while data := peer.recv(min(16384, limit - size) if limit else 16384, socket.MSG_PEEK):
            file.write(data)
            size += len(peer.recv(len(data)))
            if size == limit:
                return
            time.sleep(pause)


if __name__ == "__main__":
    main()
