"""What a rule target and a triggerConfig say, in plain dicts: the model's reading of both.

Restated from the specification (eventbridge.md §5, architecture §6). Must never import the product.
"""

from __future__ import annotations

import copy
import json
from typing import Any

Tree = dict[str, Any]

FUNCTION = "acs.fc.function"
QUEUE = "acs.mns.queue"
READING_KEY = "x-headrace-pattern"

#: What a config and a rule can both say -> where it stands in a triggerConfig.
PATHS: dict[str, tuple[str, ...]] = {
    "enable": ("triggerEnable",),
    "async": ("asyncInvocationType",),
    "pattern": ("eventRuleFilterPattern",),
    "schema": ("eventSinkConfig", "deliveryOption", "eventSchema"),
    "concurrency": ("eventSinkConfig", "deliveryOption", "concurrency"),
    "retry": ("runOptions", "retryStrategy", "PushRetryStrategy"),
    "errors": ("runOptions", "errorsTolerance"),
    "dead_letter": ("runOptions", "deadLetterQueue"),
}
_ABSENT: Tree = {"enable": True, "async": False, "schema": "CloudEvents"}


# -- targets


def param(target: Tree, key: str) -> Tree | None:
    """Keys of a ParamList are the same in any case."""
    return next((p for p in target["params"] if p["ResourceKey"].lower() == key.lower()), None)


def constant(target: Tree, key: str) -> str | None:
    found = param(target, key)
    return found.get("Value") if found and found["Form"] == "CONSTANT" else None


def function_of(target: Tree) -> str | None:
    """The function a target calls: named by a parameter, else by the end of its address."""
    if target["type"] != FUNCTION:
        return None
    address = target["endpoint"].partition("functions/")[2].split("/")[0]
    return constant(target, "functionName") or address


def queue_of(target: Tree) -> str | None:
    if target["type"] != QUEUE:
        return None
    return constant(target, "queue") or target["endpoint"].rpartition("queues/")[2]


def dead_letter_queue_of(target: Tree) -> str | None:
    kept = target["dead_letter"]
    return kept["Arn"].rpartition("queues/")[2] if kept else None


def schema_of(target: Tree) -> str | None:
    """The payload shape in a trigger's word for it; None where a trigger has none."""
    body = param(target, "Body")
    if body is None or body["Form"] == "ORIGINAL":
        return "CloudEvents"
    if body["Form"] == "JSONPATH" and body["Value"] == "$.data":
        return "RawData"
    return None


def with_param(target: Tree, entry: Tree) -> None:
    """Replace the entry of that key where it stands, or add it."""
    for at, old in enumerate(target["params"]):
        if old["ResourceKey"].lower() == entry["ResourceKey"].lower():
            target["params"][at] = entry
            return
    target["params"].append(entry)


def body_param(schema: str) -> Tree:
    if schema == "RawData":
        return {"ResourceKey": "Body", "Form": "JSONPATH", "Value": "$.data"}
    return {"ResourceKey": "Body", "Form": "ORIGINAL"}


def invocation_param(is_async: bool) -> Tree:
    value = "Async" if is_async else "Sync"
    return {"ResourceKey": "InvocationType", "Form": "CONSTANT", "Value": value}


def own_target(said: Tree, *, id_: str | None, function: str, region: str, account: str) -> Tree:
    """The rule target that a trigger of the function side stands for."""
    return {
        "id": id_,
        "type": FUNCTION,
        "endpoint": f"acs:fc:{region}:{account}:functions/{function}",
        "params": [
            {"ResourceKey": "functionName", "Form": "CONSTANT", "Value": function},
            {"ResourceKey": "Qualifier", "Form": "CONSTANT", "Value": "LATEST"},
            body_param(said["schema"]),
            invocation_param(said["async"]),
        ],
        "retry": said["retry"],
        "errors": said["errors"],
        "dead_letter": said["dead_letter"],
        "concurrency": said["concurrency"],
        "facts": target_facts(),
    }


def target_facts() -> Tree:
    """What is learned of a target's life: its id as a bus-made trigger, and whether an event of it
    met a missing function, so that its deliveries may come later."""
    return {"remote_id": None, "late": False}


# -- configs


def get(tree: Tree, path: tuple[str, ...]) -> Any:
    value: Any = tree
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def strategy(text: str | None) -> str | None:
    """Official examples leave out the underscore; both spellings mean the same."""
    return "BACKOFF_RETRY" if text == "BACKOFFRETRY" else text


def said(tree: Tree) -> Tree:
    """What a triggerConfig says; an absent key says the default of that key."""
    found = {name: get(tree, path) for name, path in PATHS.items()}
    for name, default in _ABSENT.items():
        if found[name] is None:
            found[name] = default
    found["retry"] = strategy(found["retry"])
    found["dead_letter"] = found["dead_letter"] or None
    return found


def given(tree: Tree) -> set[str]:
    return {name for name, path in PATHS.items() if get(tree, path) is not None}


def of_rule(rule: Tree, target: Tree) -> Tree | None:
    """What a triggerConfig would have to say of a rule and its target; None: no words for it."""
    schema = schema_of(target)
    if schema is None:
        return None
    return {
        "enable": rule["status"] == "ENABLE",
        "async": is_async(target),
        "pattern": rule["pattern"],
        "schema": schema,
        "concurrency": target["concurrency"],
        "retry": target["retry"],
        "errors": target["errors"],
        "dead_letter": target["dead_letter"],
    }


def is_async(target: Tree) -> bool:
    """A rule target without InvocationType calls asynchronously."""
    return (constant(target, "InvocationType") or "Async") == "Async"


def patched(tree: Tree, was: Tree, now: Tree) -> Tree:
    """`tree`, which says `was`, with the keys that differ changed so that it says `now`."""
    tree = copy.deepcopy(tree)
    for name, path in PATHS.items():
        if was[name] != now[name]:
            put(tree, path, now[name])
    return tree


def rendered(rule: Tree, target: Tree) -> Tree:
    """The config of a rule that the bus side made: what can be said, nothing that is not set."""
    tree: Tree = {
        "triggerEnable": rule["status"] == "ENABLE",
        "asyncInvocationType": is_async(target),
        "eventRuleFilterPattern": rule["pattern"],
        "eventSourceConfig": {"eventSourceType": "Default"},
    }
    put(tree, PATHS["schema"], schema_of(target))
    for name in ("concurrency", "retry", "errors", "dead_letter"):
        put(tree, PATHS[name], target[name])
    return tree


def put(tree: Tree, path: tuple[str, ...], value: Any) -> None:
    """Set a key with the objects above it; None takes it away, and what it leaves empty."""
    key, rest = path[0], path[1:]
    if value is not None:
        if rest:
            tree[key] = tree[key] if isinstance(tree.get(key), dict) else {}
            put(tree[key], rest, value)
        else:
            tree[key] = value
        return
    if not rest:
        tree.pop(key, None)
    elif isinstance(tree.get(key), dict):
        put(tree[key], rest, None)
        if not tree[key]:
            del tree[key]


def read(text: str) -> Tree:
    tree: Tree = json.loads(text)
    return tree
