"""The story: every step as a function that does one thing, checks it, and returns its facts.

Told once, whichever door it goes through. Must never trust an acknowledgement where the effect can
be looked at.
"""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

from headrace.demo import doors, stage, wire

#: Parts that `--sabotage` breaks; each is the key of the step that must notice.
SABOTAGES = ("function", "rule", "receiver", "signature", "disk")

_PLACED, _PRICED = "order.placed", "order.priced"
_BROKEN_HANDLER = 'def handler(event, context):\n    raise RuntimeError("the till is jammed")\n'
#: What the orders of the first batch cost.
_AMOUNTS = (59.80, 120.00, 25.50)

Step = Callable[[stage.Stage], str]


def signature(on: stage.Stage) -> str:
    """The account's key is accepted, another secret is not."""
    bus = on.door.eventbridge("GetEventBus", {"EventBusName": stage.BUS})
    forged = wire.Wire(on.place._replace(secret=on.place.secret[::-1]))
    try:
        forged.native("GET", "status")
    except doors.Refused as refused:
        account = bus["EventBusARN"].split(":")[3]
        return on.say("signature", account=account, code=refused.code)
    raise stage.Broken("a forged signature was accepted")


def deploy(on: stage.Stage) -> str:
    on.names = _free_names(on)
    made = on.door.create_function(
        {
            "functionName": on.names.function,
            "runtime": "python3.12",
            "handler": "orders.handler",
            "timeout": 10,
            "code": {"zipFile": base64.b64encode(_package(on.sabotage == "function")).decode()},
        }
    )
    size, state = made["codeSize"], made["state"]
    return on.say("deploy", function=made["functionName"], size=size, state=state)


def trigger(on: stage.Stage) -> str:
    body = {
        "triggerName": on.names.trigger,
        "triggerType": "eventbridge",
        "triggerConfig": _trigger_config(_trigger_pattern(on)),
    }
    made = on.door.create_trigger(on.names.function, body)
    rule = made["sourceArn"].rsplit("/", 1)[1]
    if rule != on.names.trigger_rule:
        raise stage.Broken(f"the trigger is the rule {rule}, not {on.names.trigger_rule}")
    return on.say("trigger", trigger=on.names.trigger, function=on.names.function, rule=rule)


def wiring(on: stage.Stage) -> str:
    names = on.names
    on.own.native("PUT", "queues", names.queue)
    source = "somewhere.else" if on.sabotage == "rule" else names.source
    args = {
        "EventBusName": stage.BUS,
        "RuleName": names.rule,
        "FilterPattern": json.dumps({"source": [source]}),
        "EventTargets": _targets(on),
    }
    on.door.eventbridge("CreateRule", args)
    shown = on.door.eventbridge("GetRule", {"EventBusName": stage.BUS, "RuleName": names.rule})
    found = sorted(target["Id"] for target in shown["Targets"])
    if found != ["archive", "price", "receiver"]:
        raise stage.Broken(f"GetRule shows the targets {found}")
    if on.sabotage == "receiver":
        on.receiver.close()
    return on.say(
        "wiring", rule=names.rule, function=names.function, url=on.receiver.url, queue=names.queue
    )


def disk(on: stage.Stage) -> str:
    on.publish(*(_order(on, 1001 + at, amount) for at, amount in enumerate(_AMOUNTS)))
    used = on.own.native("GET", "status")["usage"]["bytes_used"]
    return on.say("disk", ids=", ".join(on.event_ids), used=f"{used // 1024} KiB")


def rule(on: stage.Stage) -> str:
    rules = {on.names.trigger_rule, on.names.rule}
    for event_id in on.event_ids:
        for verdict in on.verdicts(event_id)["rules"]:
            if verdict["rule"] in rules and not verdict["matched_then"]:
                raise stage.Broken(f"{verdict['rule']} took not {event_id}: {verdict['because']}")
    return on.say("rule", count=len(on.event_ids), rules=", ".join(sorted(rules)))


def function(on: stage.Stage) -> str:
    for event_id in on.event_ids:
        on.delivered(event_id, "price")
    wanted = {(i, r) for i in on.event_ids for r in (on.names.trigger_rule, on.names.rule)}
    ran = on.wait("runs by both doors", lambda: _all_runs(on, wanted))
    first = on.event_ids[0]
    lines = on.own.native("GET", "functions", on.names.function, "logs", kind="log")["lines"]
    printed = "\n".join(line["text"] for line in lines).splitlines()
    line = next((line for line in printed if line.startswith(f"{first}:")), None)
    if line is None:
        raise stage.Broken(f"the log has no line of {first}")
    return on.say("function", function=on.names.function, count=ran, line=line)


def receiver(on: stage.Stage) -> str:
    for event_id, amount in zip(on.event_ids, _AMOUNTS, strict=True):
        on.delivered(event_id, "receiver")
        (got,) = on.receiver.of(event_id)
        if json.loads(got.body)["amount"] != amount:
            raise stage.Broken(f"{event_id} arrived as {got.body!r}")
    body = on.receiver.of(on.event_ids[-1])[0].body.decode()
    return on.say("receiver", count=len(on.event_ids), url=on.receiver.url, body=body)


def queue(on: stage.Stage) -> str:
    def all_there() -> list[Any] | None:
        held = on.own.native("GET", "queues", on.names.queue, "messages")["messages"]
        return held if len(held) >= len(on.event_ids) else None

    held = on.wait(f"messages on queue {on.names.queue}", all_there)
    found = {json.loads(message["body"])["id"] for message in held}
    if found != set(on.event_ids):
        raise stage.Broken(f"the queue holds {sorted(found)}")
    return on.say("queue", queue=on.names.queue, count=len(held))


def result(on: stage.Stage) -> str:
    """What the function answers is published again and pushed to the receiver."""
    answer = on.door.invoke(on.names.function, json.dumps(_order(on, 1003, _AMOUNTS[2])))
    priced = on.event("priced", 1003, _PRICED, json.loads(answer))
    on.publish(priced)
    on.delivered(priced["id"], "receiver")
    (got,) = on.receiver.of(priced["id"])
    total = json.loads(got.body)["total"]
    if total != 30.50:
        raise stage.Broken(f"the receiver got {got.body!r}")
    return on.say("result", total=total, type=_PRICED)


def record(on: stage.Stage) -> str:
    """An edit through either API is seen through the other at once: they are one record."""
    first, second = 50, 100
    names = on.names
    body = {"triggerConfig": _trigger_config(_trigger_pattern(on, first))}
    on.door.update_trigger(names.function, names.trigger, body)
    one = {"EventBusName": stage.BUS, "RuleName": names.trigger_rule}
    _same("GetRule", on.door.eventbridge("GetRule", one)["FilterPattern"], on, first)
    changed = json.dumps(_trigger_pattern(on, second))
    on.door.eventbridge("UpdateRule", {**one, "FilterPattern": changed})
    shown = json.loads(on.door.get_trigger(names.function, names.trigger)["triggerConfig"])
    _same("GetTrigger", shown["eventRuleFilterPattern"], on, second)
    return on.say("record", first=first, second=second)


def why(on: stage.Stage) -> str:
    small = _order(on, 1004, 12.50)
    on.publish(small)
    on.delivered(small["id"], "price")
    verdicts = {one["rule"]: one for one in on.verdicts(small["id"])["rules"]}
    refused = verdicts[on.names.trigger_rule]
    if refused["matched_then"] or refused["failure"] is None:
        raise stage.Broken(f"{small['id']} should not match: {refused['because']}")
    if refused["failure"]["path"] != "data.amount":
        raise stage.Broken(f"the reason is not the amount: {refused['because']}")
    return on.say("why", id=small["id"], rule=refused["rule"], because=refused["because"])


def retry(on: stage.Stage) -> str:
    order = _order(on, 1005, 80.00)
    on.receiver.answers[order["id"]].append(500)
    on.publish(order)
    first, second = _two_pushes(on, order["id"], "retry")
    waited_s = (second["at_ms"] - first["at_ms"]) / 1000
    return on.say("retry", id=order["id"], seconds=waited_s, status=second["status"])


def letter(on: stage.Stage) -> str:
    order = _order(on, 1006, 42.00)
    on.receiver.answers[order["id"]].append(410)
    on.publish(order)
    held = on.wait(f"a dead letter of {order['id']}", lambda: _letter_of(on, order["id"]))
    if held["attempts"] != 1 or not held["error"].startswith("[410]"):
        raise stage.Broken(f"the dead letter says {held['error']} after {held['attempts']}")
    return on.say("letter", id=order["id"], letter=held["id"])


def resend(on: stage.Stage) -> str:
    event_id = on.event_ids[-1]
    held = _letter_of(on, event_id)
    if held is None:
        raise stage.Broken(f"the dead letter of {event_id} is gone")
    on.own.native("POST", "dead-letters", "resend", body={"ids": [held["id"]]})
    _, second = _two_pushes(on, event_id, "dead")
    if _letter_of(on, event_id) is not None:
        raise stage.Broken(f"{event_id} is still a dead letter")
    left = on.own.native("GET", "status")["dead_letters"]
    return on.say("resend", letter=held["id"], status=second["status"], left=left)


def books(on: stage.Stage) -> str:
    """Every delivery is accounted for, and none of the story's own is open."""
    own = f"/{on.names.rule}/", f"/{on.names.trigger_rule}/"

    def settled() -> doors.Object | None:
        shown = on.own.native("GET", "books")
        rows = [row for row in shown["subscriptions"] if any(name in row["name"] for name in own)]
        return None if any(row["open"] for row in rows) else shown

    shown = on.wait("every delivery settled", settled)
    if not shown["balanced"]:
        raise stage.Broken(f"the books do not balance: {json.dumps(shown)}")
    rows: list[dict[str, int]] = shown["subscriptions"]
    sums = {
        name: sum(row[name] for row in rows)
        for name in ("enqueued", "delivered", "dead", "dropped", "open")
    }
    return on.say("books", **sums)


#: The steps in order; the first one, `server`, is the start itself.
STEPS: Sequence[tuple[str, Step]] = (
    ("signature", signature),
    ("deploy", deploy),
    ("trigger", trigger),
    ("wiring", wiring),
    ("disk", disk),
    ("rule", rule),
    ("function", function),
    ("receiver", receiver),
    ("queue", queue),
    ("result", result),
    ("record", record),
    ("why", why),
    ("retry", retry),
    ("letter", letter),
    ("resend", resend),
    ("books", books),
)


# -- parts


def _free_names(on: stage.Stage) -> stage.Names:
    """Return names that no earlier telling on this data directory has taken."""
    taken = {one["functionName"] for one in on.own.fc("GET", "functions")["functions"]}
    return next(
        names
        for names in map(stage.names_of, range(1, len(taken) + 2))
        if names.function not in taken
    )


def _package(is_broken: bool) -> bytes:
    """Return the sample function as a code package."""
    code = _BROKEN_HANDLER
    if not is_broken:
        code = resources.files("headrace.demo").joinpath("orders.py").read_text("utf-8")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("orders.py", code)
    return packed.getvalue()


def _order(on: stage.Stage, number: int, amount: float) -> doors.Object:
    return on.event("order", number, _PLACED, {"amount": amount, "customer": "Lin", "paid": True})


def _trigger_pattern(on: stage.Stage, least: int | None = None) -> doors.Object:
    pattern: doors.Object = {"source": [on.names.source], "type": [_PLACED]}
    if least is not None:
        pattern["data"] = {"amount": [{"numeric": [">=", least]}]}
    return pattern


def _trigger_config(pattern: doors.Object) -> str:
    return json.dumps(
        {
            "triggerEnable": True,
            "asyncInvocationType": False,
            "eventRuleFilterPattern": json.dumps(pattern),
            "eventSourceConfig": {"eventSourceType": "Default"},
        }
    )


def _targets(on: stage.Stage) -> list[doors.Object]:
    account = f"{on.place.region}:{on.account}"
    body = {"ResourceKey": "Body", "Form": "ORIGINAL"}
    return [
        {
            "Id": "price",
            "Type": "acs.fc.function",
            "Endpoint": f"acs:fc:{account}:functions/{on.names.function}",
            "ParamList": [body, _constant("InvocationType", "Sync")],
        },
        {
            "Id": "receiver",
            "Type": "http",
            "Endpoint": on.receiver.url,
            "PushRetryStrategy": "EXPONENTIAL_DECAY_RETRY",
            "ParamList": [
                _constant("url", on.receiver.url),
                {"ResourceKey": "Body", "Form": "JSONPATH", "Value": "$.data"},
            ],
        },
        {
            "Id": "archive",
            "Type": "acs.mns.queue",
            "Endpoint": f"acs:mns:{account}:queues/{on.names.queue}",
            "ParamList": [body, _constant("queue", on.names.queue)],
        },
    ]


def _constant(key: str, value: str) -> doors.Object:
    return {"ResourceKey": key, "Form": "CONSTANT", "Value": value}


def _all_runs(on: stage.Stage, wanted: set[tuple[str, str]]) -> int | None:
    """Return how often the function ran, once every wanted (event id, rule) is among the runs."""
    lines = on.own.native("GET", "functions", on.names.function, "logs", kind="invocation")["lines"]
    runs = [
        line["record"]["attributes"] for line in lines if not line["record"]["hasFunctionError"]
    ]
    found = {(run["x-eventbridge-event-id"], run["x-eventbridge-rule"]) for run in runs}
    return len(runs) if wanted <= found else None


def _two_pushes(on: stage.Stage, event_id: str, first_verdict: str) -> list[dict[str, Any]]:
    """Wait for a second attempt at the receiver. Raises: Broken when they went otherwise."""

    def both() -> list[dict[str, Any]] | None:
        found = on.pushes(event_id, "receiver")
        return found if len(found) >= 2 else None

    found = on.wait(f"a second attempt of {event_id}", both)
    verdicts = [step["verdict"] for step in found]
    if verdicts != [first_verdict, "delivered"]:
        raise stage.Broken(f"the attempts of {event_id} were {verdicts}")
    return found


def _letter_of(on: stage.Stage, event_id: str) -> dict[str, Any] | None:
    held = on.own.native("GET", "dead-letters", rule=on.names.rule)["dead_letters"]
    return next((one for one in held if one["event_id"] == event_id), None)


def _same(operation: str, shown: str, on: stage.Stage, least: int) -> None:
    if json.loads(shown) != _trigger_pattern(on, least):
        raise stage.Broken(f"{operation} shows {shown}")
