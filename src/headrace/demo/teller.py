"""How the demo looks: one line a step, with a mark and how long it took. Writes, decides nothing.

On a terminal a step is shown when it begins and replaced when it ends; in a file it is one line.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TextIO

_COLOURS = {"green": "32", "red": "31", "yellow": "33", "dim": "2", "bold": "1"}
_KEY_WIDTH = 10
#: Back to the start of the line, and clear it.
_AGAIN = "\r\x1b[K"


class Teller:
    """Tells the steps on one stream."""

    def __init__(self, stream: TextIO, environ: Mapping[str, str]) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._coloured = self._terminal and not environ.get("NO_COLOR")
        self._began = 0.0

    def paint(self, text: str, colour: str) -> str:
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self._coloured else text

    def line(self, text: str = "") -> None:
        print(text, file=self._stream, flush=True)

    def begin(self, number: int, key: str) -> None:
        self._began = time.monotonic()
        if self._terminal:
            print(f" …  {self._lead(number, key)}", end="", file=self._stream, flush=True)

    def done(self, number: int, key: str, text: str) -> None:
        took_ms = (time.monotonic() - self._began) * 1000
        took = self.paint(f"{took_ms:.0f} ms", "dim")
        self._end("✓", "green", f"{self._lead(number, key)} {text}  {took}")

    def broke(self, number: int, key: str) -> None:
        self._end("✗", "red", self._lead(number, key).rstrip())

    def _lead(self, number: int, key: str) -> str:
        return f"{number:>2}  {key:<{_KEY_WIDTH}}"

    def _end(self, mark: str, colour: str, text: str) -> None:
        start = _AGAIN if self._terminal else ""
        self.line(f"{start} {self.paint(mark, colour)}  {text}")
