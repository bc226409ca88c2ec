"""Sends frames as they are written, whatever they claim: ``raw_send.py DEVICE COUNT HEX...`` (each frame ``COUNT`` times)."""

from __future__ import annotations

import socket
import sys
import time

PAUSE_SECONDS = 0.002
SHORTEST = 60


def main() -> None:
    """Send them all, one after another."""
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    out.bind((sys.argv[1], 0))
    frames = [bytes.fromhex(text).ljust(SHORTEST, b"\0") for text in sys.argv[3:]]
    for _ in range(int(sys.argv[2])):
        for frame in frames:
            out.send(frame)
            time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
