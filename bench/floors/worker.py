"""The least a function process can do: length-prefixed frames in, a short answer out. Standard
library only."""

from __future__ import annotations

import json
import os
import struct
import sys


def main() -> None:
    descriptor = int(sys.argv[1])
    buffer = b""
    while True:
        chunk = os.read(descriptor, 65536)
        if not chunk:
            return
        buffer += chunk
        answers: list[bytes] = []
        while len(buffer) >= 8:
            length, number = struct.unpack_from("<II", buffer)
            if len(buffer) < 8 + length:
                break
            json.loads(buffer[8 : 8 + length])
            buffer = buffer[8 + length :]
            answers.append(struct.pack("<II", 2, number) + b"ok")
        if answers:
            os.write(descriptor, b"".join(answers))


if __name__ == "__main__":
    main()
