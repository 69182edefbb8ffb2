"""What each door must show of the model: answers of both APIs, word for word, as plain dicts.

Must never import the product. A value that only the server knows is taken from `facts`; None there
means that it is to be learned from the next answer.
"""

from __future__ import annotations

import time
from typing import Any

from tests.properties.doors import state, words
from tests.properties.doors.words import Tree


def bus(model: state.State, name: str) -> Tree:
    found = model.buses[name]
    return {
        "EventBusName": name,
        "EventBusARN": bus_arn(model, name),
        "Description": found["description"],
        "CreateTimestamp": found["facts"]["created"],
    }


def bus_arn(model: state.State, name: str) -> str:
    return f"acs:eventbridge:{model.region}:{model.account}:eventbus/{name}"


def rule_arn(model: state.State, key: state.RuleKey) -> str:
    return f"{bus_arn(model, key[0])}/rule/{key[1]}"


def rule(model: state.State, key: state.RuleKey) -> Tree:
    """GetRule."""
    found = model.rules[key]
    targets = [
        _placed(each) | {"PushSelector": _selector(each), "DetailMap": {}}
        for each in found["targets"]
    ]
    return _rule(model, key) | {"Targets": targets}


def listed_rule(model: state.State, key: state.RuleKey) -> Tree:
    """An entry of ListRules."""
    targets = [
        {
            "Id": each["id"],
            "Type": each["type"],
            "Endpoint": each["endpoint"],
            "ErrorsTolerance": each["errors"] or "ALL",
            "PushSelector": _selector(each),
        }
        for each in model.rules[key]["targets"]
    ]
    return _rule(model, key) | {"DetailMap": {}, "Targets": targets}


def listed_target(key: state.RuleKey, target: Tree) -> Tree:
    """An entry of ListTargets, which knows neither strategy nor dead letters."""
    shown = _placed(target) | {"EventBusName": key[0], "RuleName": key[1]}
    del shown["PushRetryStrategy"]
    shown.pop("DeadLetterQueue", None)
    return shown


def _rule(model: state.State, key: state.RuleKey) -> Tree:
    found = model.rules[key]
    return {
        "EventBusName": key[0],
        "RuleName": key[1],
        "RuleARN": rule_arn(model, key),
        "Description": found["description"],
        "FilterPattern": found["pattern"],
        "Status": found["status"],
        "CreatedTimestamp": found["facts"]["created"],
    }


def _placed(target: Tree) -> Tree:
    shown = {
        "Id": target["id"],
        "Type": target["type"],
        "Endpoint": target["endpoint"],
        "PushRetryStrategy": target["retry"] or "BACKOFF_RETRY",
        "ErrorsTolerance": target["errors"] or "ALL",
        "ParamList": target["params"],
    }
    if target["concurrency"] is not None:
        shown["ConcurrentConfig"] = {"Concurrency": target["concurrency"]}
    if target["dead_letter"] is not None:
        shown["DeadLetterQueue"] = target["dead_letter"]
    return shown


def _selector(target: Tree) -> str:
    return "PARAM_TRANSFORMER" if target["params"] else "MATCHED_EVENT"


# -- the function side


def trigger(model: state.State, key: state.RuleKey, target: Tree) -> Tree:
    """GetTrigger and an entry of ListTriggers; `triggerConfig` is compared by `config`."""
    found = model.rules[key]
    own = target is model.own(found)
    origin = found["origin"]
    function = words.function_of(target)
    facts = found["facts"]
    return {
        "triggerName": model.trigger_name(key, target),
        "triggerId": origin["target_id"] if own else target["facts"]["remote_id"],
        "triggerType": "eventbridge",
        "description": found["description"],
        "sourceArn": rule_arn(model, key),
        "invocationRole": origin["role"] if own else "",
        "qualifier": "LATEST",
        "targetArn": f"acs:fc:{model.region}:{model.account}:functions/{function}/LATEST",
        "status": "ModifiedByEventBridge" if own and origin["modified"] else found["status"],
        "createdTime": None if facts["created"] is None else seconds(facts["created"]),
        "lastModifiedTime": facts["modified"],
    }


def config(model: state.State, key: state.RuleKey, target: Tree) -> str | Tree:
    """The config due: a text where it comes back as it was sent, else what it must hold."""
    found = model.rules[key]
    if target is not model.own(found):
        return words.rendered(found, target)
    origin = found["origin"]
    if origin["modified"]:
        return (origin["last"] or origin["sent"]) | {words.READING_KEY: found["pattern"]}
    if origin["last"] is None:
        text: str | None = origin["text"]
        return origin["sent"] if text is None else text
    last: Tree = origin["last"]
    return last


def function(model: state.State, name: str) -> Tree:
    """What is compared of a function; the rest of its model is not this test's."""
    found = model.functions[name]
    facts = found["facts"]
    return {
        "functionName": name,
        "functionId": facts["id"],
        "functionArn": f"acs:fc:{model.region}:{model.account}:functions/{name}",
        "description": found["description"],
        "timeout": found["timeout"],
        "createdTime": facts["created"],
        "lastModifiedTime": facts["modified"],
    }


def seconds(at_ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ms // 1000))


def difference(expected: Any, actual: Any, at: str = "") -> str | None:
    """Where two values first differ, in words; None if nowhere."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in sorted({*expected, *actual}):
            if key not in expected or key not in actual:
                missing = "unexpected" if key not in expected else "missing"
                return f"{at}.{key} is {missing}"
            found = difference(expected[key], actual[key], f"{at}.{key}")
            if found:
                return found
        return None
    if expected == actual and type(expected) is type(actual):
        return None
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        pairs = enumerate(zip(expected, actual, strict=True))
        return next((d for n, (e, a) in pairs if (d := difference(e, a, f"{at}[{n}]"))), None)
    return f"{at}: expected {expected!r}, got {actual!r}"
