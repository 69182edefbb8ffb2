"""Red switches: list them, turn one on or off. Only the account itself turns them."""

from __future__ import annotations

from typing import Any

from headrace.api import operations, services
from headrace.api.shapes import shape
from headrace.core import errors
from headrace.resources import model, switches


def switch_of(switch: model.Switch) -> dict[str, Any]:
    """A switch as it is shown: who turned it last, when and why, and what was before."""
    last = switch.flips[-1]
    return {
        "name": switches.name_of(switch.kind, switch.of),
        "switch": switch.kind,
        "of": switch.of,
        "account": switch.account,
        "on": switch.on,
        "since_ms": switch.since_ms,
        "by": last.by,
        "reason": last.reason,
        "history": [
            {"on": flip.on, "at_ms": flip.at_ms, "by": flip.by, "reason": flip.reason}
            for flip in switch.flips
        ],
    }


def under_way(services: services.Services) -> dict[str, int]:
    """What has begun and has not ended: a drained server has come to rest at 0 and 0."""
    return {
        "deliveries": services.engine.dispatcher.under_way,
        "invocations": services.functions.stats().under_way,
    }


async def _list(call: operations.Call) -> dict[str, Any]:
    board = call.services.engine.switchboard
    shown = board.known if call.args.get("all", False) else board.on
    return {
        "switches": [switch_of(switch) for switch in shown],
        "under_way": under_way(call.services),
    }


async def _on(call: operations.Call) -> dict[str, Any]:
    return await _turn(call, on=True)


async def _off(call: operations.Call) -> dict[str, Any]:
    return await _turn(call, on=False)


async def _turn(call: operations.Call, *, on: bool) -> dict[str, Any]:
    args, principal = call.args, call.principal
    if not principal.root or principal.account != call.services.account:
        raise errors.AccessDenied("Only the account of this server itself turns switches.")
    turned = await call.services.catalog.turn_switch(
        call.account,
        args["switch"],
        args.get("of", ""),
        on=on,
        by=principal.access_key_id,
        reason=args.get("reason", ""),
    )
    return switch_of(turned)


_FLIP = "{on:b, at_ms:i, by, reason}"
_SWITCH = "name, switch, of, account, on:b, since_ms:i, by, reason, history:[" + _FLIP + "]"
UNDER_WAY = "under_way:{deliveries:i, invocations:i}"
SWITCHES = "switches:[{" + _SWITCH + "}]"


def _row(name: str, handler: operations.Handler, method: str) -> operations.Operation:
    return operations.Operation(
        name,
        handler,
        "headrace:" + name,
        operations.anything,
        shape("switch*; of; reason"),
        shape(_SWITCH),
        methods=(method,),
        path="/headrace/v1/switches/{switch}",
        in_read_only=True,
    )


ROWS = (
    operations.Operation(
        "ListSwitches",
        _list,
        "headrace:ListSwitches",
        operations.anything,
        shape("all:b"),
        shape(SWITCHES + ", " + UNDER_WAY),
        methods=("GET",),
        path="/headrace/v1/switches",
    ),
    _row("TurnSwitchOn", _on, "PUT"),
    _row("TurnSwitchOff", _off, "DELETE"),
)
