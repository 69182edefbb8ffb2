"""How many events a second one core matches against 10,000 mixed rules.

Prints one JSON line. `events_per_s` is JSON text in, list of rule ids out; `match_only_per_s` is
the same on decoded events, as in the bus, where ingest has decoded them already. All rates are per
second of processor time, so that a busy machine does not count. The floor (decode and one dict
lookup) runs in turns with ours. Data is made from a fixed seed: 733-byte CloudEvents; 80 % of the
rules are exact, the rest have one more operator.

    python bench/match.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from typing import Any

from floors import match_floor

from bench.rig import harness
from headrace.core import jsontext, pattern

EVENT_BYTES = 733
TENANTS = 500
TYPES = ["order:Created", "order:Paid", "order:Shipped", "user:Login", "user:Logout", "disk:Full"]
REGIONS = ["cn-hangzhou", "cn-shanghai", "cn-beijing", "ap-southeast-1"]


def make_event(chance: random.Random) -> bytes:
    """Make one CloudEvent of EVENT_BYTES."""
    number = chance.randrange(10**9)
    event: dict[str, Any] = {
        "id": f"{number:032x}",
        "source": f"shop.{chance.randrange(20)}",
        "specversion": "1.0",
        "type": chance.choice(TYPES),
        "subject": f"acs:oss:{chance.choice(REGIONS)}:1234567:bucket-{number % 97}/{number}.jpg",
        "time": "2024-05-06T07:08:09.123Z",
        "datacontenttype": "application/json; charset=utf-8",
        "aliyuneventbusname": "orders",
        "aliyunregionid": chance.choice(REGIONS),
        "data": {
            "tenant": f"t{chance.randrange(TENANTS)}",
            "amount": round(chance.random() * 1000, 2),
            "count": chance.randrange(100),
            "state": chance.choice(["init", "running", "stopped", "failed"]),
            "client": {"ip": f"10.0.{number % 256}.{number % 251}", "agent": "sdk/8.7"},
            "tags": ["a", "b"],
            "items": [],
            "note": "",
        },
    }
    # Items until the event is nearly full, then a note to the byte.
    while EVENT_BYTES - _bytes(event) > 60:
        item = {
            "sku": f"s{chance.randrange(10**6):06}",
            "count": chance.randrange(10),
            "gift": False,
        }
        event["data"]["items"].append(item)
    event["data"]["note"] = "x" * (EVENT_BYTES - _bytes(event))
    return json.dumps(event, separators=(",", ":")).encode()


def _bytes(event: dict[str, Any]) -> int:
    return len(json.dumps(event, separators=(",", ":")))


def make_rule(chance: random.Random) -> str:
    """Make one rule: plain values only in four of five, else one more operator."""
    data: dict[str, Any] = {"tenant": [f"t{chance.randrange(TENANTS)}"]}
    rule: dict[str, Any] = {"data": data}
    if chance.random() < 0.7:
        rule["type"] = [chance.choice(TYPES)]
    if chance.random() < 0.5:
        rule["source"] = [f"shop.{chance.randrange(20)}"]
    if chance.random() < 0.3:
        data["state"] = [chance.choice(["init", "running", "stopped", "failed"])]
    if chance.random() < 0.2:
        low = chance.randrange(900)
        extra = chance.randrange(7)
        if extra == 0:
            data["amount"] = [{"numeric": [">", low, "<=", low + 100]}]
        elif extra == 1:
            rule["subject"] = [{"prefix": f"acs:oss:{chance.choice(REGIONS)}"}]
        elif extra == 2:
            rule["subject"] = [{"suffix": ".jpg"}]
        elif extra == 3:
            data["state"] = [{"anything-but": ["stopped", "failed"]}]
        elif extra == 4:
            data["client"] = {"ip": [{"cidr": f"10.0.{low % 256}.0/24"}]}
        elif extra == 5:
            data["coupon"] = [{"exists": False}]
        else:
            data["tags"] = ["b", "c"]
    return json.dumps(rule)


def events_per_second(matcher: pattern.Matcher, lines: list[bytes], rounds: int) -> float:
    """Match JSON texts."""
    started = time.process_time()
    for _ in range(rounds):
        for line in lines:
            matcher.match(jsontext.decode(line))
    return rounds * len(lines) / (time.process_time() - started)


def matches_per_second(matcher: pattern.Matcher, events: list[Any], rounds: int) -> float:
    """Match decoded events."""
    started = time.process_time()
    for _ in range(rounds):
        for event in events:
            matcher.match(event)
    return rounds * len(events) / (time.process_time() - started)


def check(matcher: pattern.Matcher, rules: list[Any], events: list[Any]) -> float:
    """Compare some events with the one-by-one answer; return the mean number of matches."""
    for event in events[:5]:
        expected = [number for number, compiled in rules if compiled.matches(event)]
        assert matcher.match(event) == expected, "the index and the patterns disagree"
    return statistics.mean(len(matcher.match(event)) for event in events)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rules and rounds")
    parser.add_argument("--save", action="store_true", help="keep the line in bench/results")
    options = parser.parse_args()
    quick: bool = options.quick
    chance = random.Random(20200401)
    rule_count, turns, rounds = (1_000, 5, 2) if quick else (10_000, 7, 10)
    lines = [make_event(chance) for _ in range(1_000)]
    assert {len(line) for line in lines} == {EVENT_BYTES}, "every event has the size named"
    texts = [make_rule(chance) for _ in range(rule_count)]

    started = time.process_time()
    rules = list(enumerate(map(pattern.compile, texts)))
    compiled = time.process_time()
    matcher = pattern.Matcher(rules)
    built = time.process_time()

    events = [jsontext.decode(line) for line in lines]
    mean_matches = check(matcher, rules, events)
    samples: list[dict[str, float]] = []
    for _ in range(turns):
        samples.append(
            {
                "floor_per_s": round(match_floor.events_per_second(lines, rounds)),
                "events_per_s": round(events_per_second(matcher, lines, rounds)),
                "match_only_per_s": round(matches_per_second(matcher, events, rounds)),
            }
        )
    middle = {name: statistics.median(sample[name] for sample in samples) for name in samples[0]}
    figures = {
        "rules": rule_count,
        "event_bytes": EVENT_BYTES,
        "events_per_s": middle["events_per_s"],
        "match_only_per_s": middle["match_only_per_s"],
        "matches_per_event": round(mean_matches, 2),
        "compile_us_per_rule": round((compiled - started) / rule_count * 1e6, 1),
        "build_us_per_rule": round((built - compiled) / rule_count * 1e6, 1),
        "share_of_floor": round(middle["events_per_s"] / middle["floor_per_s"], 3),
    }
    floor = {"events_per_s": middle["floor_per_s"]}
    line = {"bench": "match", "figures": figures, "floor": floor, "samples": samples}
    harness.told(line, save=options.save)


if __name__ == "__main__":
    main()
