"""An event's trace as a tree: received, rules that took it, targets, attempts.

The same tree the console shows. Reads the steps of the native API only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from headrace.cli.show import tables

Step = dict[str, Any]
#: What a target said is cut here; `-o json` has the whole.
DETAIL_CHARS_MAX = 200
#: Pieces of one line.
Line = list["str | tables.Styled"]


def show(found: dict[str, Any]) -> None:
    """Print the tree of what `GET /events/{id}/trace` answered."""
    event_id, source, type_ = (tables.clean(found[name]) for name in ("id", "source", "type"))
    tables.styled("event ", tables.Styled(event_id, "bold"), f"  from {source}  type {type_}")
    tables.styled(f"bus {tables.clean(found['bus'])}, trace {found['trace_id']}")
    for line in lines(found["steps"]):
        tables.styled(*line)
    if not any(step["action"] != "PutEvent" for step in found["steps"]):
        tables.styled(f"no rule took it; the reasons: headrace why {event_id}")


def lines(steps: Sequence[Step]) -> Iterator[Line]:
    """Yield the lines of the tree below the event."""
    rules = _grouped([step for step in steps if step["action"] != "PutEvent"], "rule")
    received = next((step for step in steps if step["action"] == "PutEvent"), None)
    if received is not None:
        mark = "├─ " if rules else "└─ "
        yield [mark, f"received {tables.time_of(received['at_ms'])}"]
    for number, (rule, members) in enumerate(rules, 1):
        is_last = number == len(rules)
        yield ["└─ " if is_last else "├─ ", *_rule(rule, members)]
        for line in _targets(members):
            yield ["   " if is_last else "│  ", *line]


def _rule(name: str, steps: Sequence[Step]) -> Line:
    matched = any(step["action"] == "FilterEvent" for step in steps)
    # What was put on a queue, or called asynchronously, has a destination and no rule.
    return ["rule ", tables.Styled(tables.clean(name), "bold"), " matched" if matched else ""]


def _targets(steps: Sequence[Step]) -> Iterator[Line]:
    groups = _grouped([step for step in steps if step["action"] == "PushEvent"], "target")
    for number, (target, attempts) in enumerate(groups, 1):
        is_last = number == len(groups)
        where = tables.clean(next((step["endpoint"] for step in attempts if step["endpoint"]), ""))
        line: Line = ["└─ " if is_last else "├─ ", f"target {tables.clean(target)}"]
        yield [*line, f"  {where}" if where else ""]
        for place, attempt in enumerate(attempts, 1):
            lead = "   " if is_last else "│  "
            mark = "└─ " if place == len(attempts) else "├─ "
            yield [lead, mark, *_attempt(attempt)]


def _attempt(step: Step) -> Line:
    word = step["verdict"] or "waiting"
    about: Line = [tables.status(word)]
    if step["attempt"]:
        about = [f"attempt {step['attempt']}  ", *about]
    if step["verdict"]:
        about.append(f"  {tables.clean(step['status'])}  {step['latency_ms']:.1f} ms")
        about.append(f"  {tables.time_of(step['at_ms'])}")
    if step.get("held_by"):
        about.append(f"  paused by switch {tables.clean(step['held_by'])}")
    if step["wait_ms"]:
        about.append(f"  next in {step['wait_ms'] / 1000:.1f} s")
    if step["detail"]:
        detail = tables.clean(step["detail"])
        about.append(f"  {detail[:DETAIL_CHARS_MAX]}")
    return about


def _grouped(steps: Sequence[Step], key: str) -> list[tuple[str, list[Step]]]:
    """Group steps by a field, in order of first appearance."""
    groups: dict[str, list[Step]] = {}
    for step in steps:
        groups.setdefault(step[key], []).append(step)
    return list(groups.items())
