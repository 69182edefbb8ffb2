"""What one editor of the row `control` may do next, what it asks for, and what stands afterwards.

Each editor has one slot: a rule, a function and a trigger of its own, so that what must stand there
follows from its own ledger alone. Data and pure functions; the model knows nothing of the product
but the requests.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import json
import random
import zipfile
from collections.abc import Callable
from urllib.parse import urlencode

import msgspec

from bench.rig import product

BUS = "default"
#: Bytes of a package: small ones are quick, a kill finds large ones half way.
SMALL, LARGE = 2_000, 3_000_000
#: One of so many uploads is large.
LARGE_EVERY = 3


class State(msgspec.Struct, frozen=True):
    """What stands in a slot, by the number of the step that wrote it last; None: not there."""

    rule: int | None = None
    #: The rule has the slot's function among its targets.
    targeting: bool = False
    #: Its description.
    function: int | None = None
    code: int | None = None
    trigger: int | None = None


class Step(msgspec.Struct, frozen=True):
    kind: str
    number: int


def next_kinds(state: State) -> list[str]:
    """Return every kind of step that must succeed on `state`."""
    kinds = ["create_rule"] if state.rule is None else ["update_rule", "delete_rule"]
    if state.function is None:
        return [*kinds, "create_function"]
    kinds += ["update_function", "upload_code"]
    if state.trigger is None:
        kinds.append("create_trigger")
        if not state.targeting:
            kinds.append("delete_function")
    else:
        kinds += ["update_trigger", "delete_trigger"]
    return kinds


def after(state: State, step: Step) -> State:
    """Return what stands once `step` is done."""
    number = step.number
    changed: dict[str, dict[str, object]] = {
        "create_rule": {"rule": number, "targeting": state.function is not None},
        "update_rule": {"rule": number},
        "delete_rule": {"rule": None, "targeting": False},
        "create_function": {"function": number, "code": number},
        "update_function": {"function": number},
        "upload_code": {"function": number, "code": number},
        "delete_function": {"function": None, "code": None},
        "create_trigger": {"trigger": number},
        "update_trigger": {"trigger": number},
        "delete_trigger": {"trigger": None},
    }
    return msgspec.structs.replace(state, **changed[step.kind])


KINDS = (
    "create_rule", "update_rule", "delete_rule", "create_function", "update_function",
    "upload_code", "delete_function", "create_trigger", "update_trigger", "delete_trigger",
)  # fmt: skip


def names(slot: int) -> tuple[str, str]:
    """Return the names of a slot's rule and function; its trigger is `t`."""
    return f"rule-{slot}", f"fn-{slot}"


def pattern(slot: int, number: int, what: str) -> str:
    return json.dumps({"source": [f"{what}-{slot}-{number}"]})


@functools.lru_cache(maxsize=64)
def package(slot: int, number: int) -> bytes:
    """Return the zip that an upload brings: the same bytes for the same step."""
    size = LARGE if number % LARGE_EVERY == 0 else SMALL
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        source = f"def handler(event, context):\n    return b'{slot}/{number}'\n"
        archive.writestr(zipfile.ZipInfo("index.py"), source)
        noise = random.Random(f"{slot}/{number}").randbytes(size)
        archive.writestr(zipfile.ZipInfo("noise"), noise)
    return out.getvalue()


@functools.lru_cache(maxsize=4096)
def digest(slot: int, number: int) -> str:
    return hashlib.sha256(package(slot, number)).hexdigest()


def request(server: product.Product, slot: int, state: State, step: Step) -> bytes:
    """Return the signed request of a step."""
    return _REQUESTS[step.kind](server, slot, state, step.number)


def _rule(action: str) -> Callable[[product.Product, int, State, int], bytes]:
    def made(server: product.Product, slot: int, state: State, number: int) -> bytes:
        rule, function = names(slot)
        given = {"EventBusName": BUS, "RuleName": rule}
        if action != "DeleteRule":
            given["Description"] = str(number)
            given["FilterPattern"] = pattern(slot, number, "rule")
        if action == "CreateRule" and state.function is not None:
            arn = f"acs:fc:cn-hangzhou:{server.account}:functions/{function}"
            params = [{"ResourceKey": "Body", "Form": "ORIGINAL"}]
            target = {"Id": "f", "Type": "acs.fc.function", "Endpoint": arn, "ParamList": params}
            given["EventTargets"] = json.dumps([target])
        path = "/?" + urlencode(given)
        return server.signed("POST", path, action=action, version="2020-04-01")

    return made


def _fc(
    method: str, path: str, body: Callable[[int, int], dict[str, object]] | None = None
) -> Callable[[product.Product, int, State, int], bytes]:
    def made(server: product.Product, slot: int, state: State, number: int) -> bytes:
        del state
        place = f"/2023-03-30/functions{path}".replace("NAME", names(slot)[1])
        raw = json.dumps(body(slot, number)).encode() if body else b""
        return server.signed(method, place, raw)

    return made


def _code(slot: int, number: int) -> dict[str, object]:
    return {"zipFile": base64.b64encode(package(slot, number)).decode()}


def _new_function(slot: int, number: int) -> dict[str, object]:
    return {
        "functionName": names(slot)[1], "runtime": "python3.10", "handler": "index.handler",
        "description": str(number), "code": _code(slot, number),
    }  # fmt: skip


def _trigger(slot: int, number: int) -> dict[str, object]:
    config = {
        "triggerEnable": True, "eventRuleFilterPattern": pattern(slot, number, "trigger"),
        "eventSourceConfig": {"eventSourceType": "Default"},
    }  # fmt: skip
    return {"description": str(number), "triggerConfig": json.dumps(config)}


def _new_trigger(slot: int, number: int) -> dict[str, object]:
    return {"triggerName": "t", "triggerType": "eventbridge", **_trigger(slot, number)}


_REQUESTS = {
    "create_rule": _rule("CreateRule"),
    "update_rule": _rule("UpdateRule"),
    "delete_rule": _rule("DeleteRule"),
    "create_function": _fc("POST", "", _new_function),
    "update_function": _fc("PUT", "/NAME", lambda _, number: {"description": str(number)}),
    "upload_code": _fc(
        "PUT", "/NAME",
        lambda slot, number: {"description": str(number), "code": _code(slot, number)},
    ),
    "delete_function": _fc("DELETE", "/NAME"),
    "create_trigger": _fc("POST", "/NAME/triggers", _new_trigger),
    "update_trigger": _fc("PUT", "/NAME/triggers/t", _trigger),
    "delete_trigger": _fc("DELETE", "/NAME/triggers/t"),
}  # fmt: skip
