"""The picture of a trace: rules with reasons, targets, attempts, what was sent again."""

from __future__ import annotations

from typing import Any

from headrace.demo import picture, words


def step(
    target: str, endpoint: str, verdict: str, *, attempt: int = 1, status: str = "[200]Ok"
) -> Any:
    return {
        "target": target, "endpoint": endpoint, "verdict": verdict, "attempt": attempt,
        "status": status, "latency_ms": 1.5,
    }  # fmt: skip


def rule(name: str, deliveries: list[Any] | None, because: str = "") -> dict[str, Any]:
    return {
        "rule": name, "matched_then": deliveries is not None, "because": because,
        "deliveries": deliveries or [],
    }  # fmt: skip


def drawn(*rules: dict[str, Any]) -> list[str]:
    say = words.Words({})
    explained = {"id": "e1", "type": "order", "source": "shop", "rules": rules}
    return list(picture.Picture(say, lambda text, _: text).lines(explained))


def test_rules_that_took_the_event_come_first_and_the_others_say_why() -> None:
    hook = "http://127.0.0.1:1/x"
    assert drawn(rule("b", None, "type: wrong"), rule("a", [step("t", hook, "delivered")])) == [
        "e1  order  shop",
        "├─ rule a  matched",
        f"│  └─ {hook:<34}  delivered  [200]Ok  1.5 ms",
        "└─ rule b  not matched",
        "   └─ type: wrong",
    ]


def test_second_attempt_is_numbered_and_one_after_death_was_sent_again() -> None:
    lines = drawn(
        rule("a", [
            step("t", "http://h/", "retry", status="[500]no"),
            step("t", "http://h/", "dead", attempt=2, status="[410]no"),
            step("t", "http://h/", "delivered"),
        ])
    )  # fmt: skip
    assert lines[2:] == [
        "   └─ http://h/",
        "      ├─ attempt 1  retry  [500]no  1.5 ms",
        "      ├─ attempt 2  dead  [410]no  1.5 ms",
        "      └─ sent again  delivered  [200]Ok  1.5 ms",
    ]


def test_functions_and_queues_are_called_by_their_names() -> None:
    lines = drawn(
        rule("a", [
            step("f", "acs:fc:cn-hangzhou:1:functions/price", "delivered"),
            step("q", "acs:mns:cn-hangzhou:1:queues/archive", ""),
        ])
    )  # fmt: skip
    assert lines[2].startswith("   ├─ function price ")
    assert lines[3].startswith("   └─ queue archive ")
    assert "waiting" in lines[3]
