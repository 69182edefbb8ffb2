"""The trace of one event as a tree: its rules with their reasons, targets, attempts. Text only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from headrace.demo import words

Step = Mapping[str, Any]
Paint = Callable[[str, str], str]

_COLOURS = {"delivered": "green", "retry": "yellow", "dead": "red", "dropped": "red"}
_WHERE_WIDTH = 34


class Picture:
    """Draws in one language, with or without colours."""

    def __init__(self, say: words.Words, paint: Paint) -> None:
        self._say = say
        self._paint = paint

    def lines(self, explained: Mapping[str, Any]) -> Iterator[str]:
        """Yield the tree. explained: what `GET /events/{id}/why` answers."""
        event_id = self._paint(explained["id"], "bold")
        yield f"{event_id}  {explained['type']}  {explained['source']}"
        rules = sorted(explained["rules"], key=lambda rule: not rule["matched_then"])
        yield from _branches([list(self._rule(rule)) for rule in rules])

    def _rule(self, rule: Mapping[str, Any]) -> Iterator[str]:
        name = self._say("picture.rule", rule=self._paint(rule["rule"], "bold"))
        if not rule["matched_then"]:
            yield f"{name}  {self._paint(self._say('picture.unmatched'), 'yellow')}"
            yield f"└─ {rule['because']}"
            return
        yield f"{name}  {self._paint(self._say('picture.matched'), 'green')}"
        targets: dict[str, list[Step]] = {}
        for step in rule["deliveries"]:
            targets.setdefault(step["target"], []).append(step)
        yield from _branches([list(self._target(steps)) for steps in targets.values()])

    def _target(self, steps: Sequence[Step]) -> Iterator[str]:
        where = self._where(steps[0]["endpoint"])
        if len(steps) == 1:
            yield f"{where:<{_WHERE_WIDTH}}  {self._attempt(steps[0])}"
            return
        yield where
        leads = [self._lead(steps, place) for place in range(len(steps))]
        attempts = zip(leads, steps, strict=True)
        yield from _branches([[f"{lead}  {self._attempt(step)}"] for lead, step in attempts])

    def _lead(self, steps: Sequence[Step], place: int) -> str:
        if place and steps[place - 1]["verdict"] == "dead":
            return self._say("picture.again")
        return self._say("picture.attempt", number=steps[place]["attempt"])

    def _where(self, endpoint: str) -> str:
        """Return an address as a person says it."""
        for noun, before in (("function", ":functions/"), ("queue", ":queues/")):
            if before in endpoint:
                return self._say(f"picture.{noun}", name=endpoint.rsplit(before, 1)[1])
        return endpoint

    def _attempt(self, step: Step) -> str:
        verdict = step["verdict"] or "waiting"
        word = self._paint(self._say(f"picture.{verdict}"), _COLOURS.get(verdict, "yellow"))
        return f"{word}  {step['status']}  {step['latency_ms']:.1f} ms"


def _branches(branches: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of several subtrees below one parent."""
    for number, branch in enumerate(branches, 1):
        is_last = number == len(branches)
        for place, line in enumerate(branch):
            if place:
                yield ("   " if is_last else "│  ") + line
            else:
                yield ("└─ " if is_last else "├─ ") + line
