"""The floor under `bench/match.py`: what an event costs before any rule is looked at.

Decodes the event and makes one dict lookup with two of its fields. Imports nothing of ours.
"""

from __future__ import annotations

import time

import msgspec


def events_per_second(lines: list[bytes], rounds: int) -> float:
    """Return decoded and looked-up events per second of processor time."""
    decode = msgspec.json.Decoder().decode
    first = decode(lines[0])
    table = {(first["source"], first["type"]): 1}
    found = 0
    started = time.process_time()
    for _ in range(rounds):
        for line in lines:
            event = decode(line)
            found += table.get((event["source"], event["type"]), 0)
    spent = time.process_time() - started
    assert found >= rounds, "the first event finds itself in every round"
    return rounds * len(lines) / spent
