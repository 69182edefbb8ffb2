"""The server itself: what it is, how full it is, whether its books balance, and what of the APIs it
answers.
"""

from __future__ import annotations

from typing import Any

from headrace.api import operations
from headrace.api.native import switches
from headrace.api.shapes import shape


async def _status(call: operations.Call) -> dict[str, Any]:
    services = call.services
    return {
        **services.facts,
        "account": services.account,
        "region": services.region,
        "now_ms": services.clock.wall_ms(),
        "buses": services.catalog.list_buses(call.account, limit=1).total,
        "functions": services.catalog.list_functions(call.account, limit=1).total,
        "dead_letters": services.engine.dead_letters.count(call.account),
        "balanced": services.engine.books().balanced,
        "usage": await services.engine.usage(),
        "switches": [switches.switch_of(switch) for switch in services.engine.switchboard.on],
        "under_way": switches.under_way(services),
    }


async def _books(call: operations.Call) -> dict[str, Any]:
    books = call.services.engine.books()
    return {"balanced": books.balanced, "subscriptions": books.subscriptions, "rules": books.rules}


async def _compatibility(call: operations.Call) -> dict[str, Any]:
    return {"rows": list(operations.compatibility(*call.services.tables))}


ROWS = (
    operations.Operation(
        "GetStatus",
        _status,
        "headrace:GetStatus",
        methods=("GET",),
        path="/headrace/v1/status",
        answer=shape(
            "account, region, now_ms:i, buses:i, functions:i, dead_letters:i, balanced:b,"
            " usage:{bytes_used:i, bytes_free:i, first:i, last:i, segments:i, oldest_ms:i,"
            " low_bytes:i, is_low:b}, " + switches.SWITCHES + ", " + switches.UNDER_WAY
        ),
    ),
    operations.Operation(
        "GetBooks",
        _books,
        "headrace:GetBooks",
        methods=("GET",),
        path="/headrace/v1/books",
        answer=shape(
            "balanced:b, subscriptions:[{subscription:i, name, enqueued:i, carried_in:i,"
            " delivered:i, dead:i, dropped:i, moved_out:i, open:i, retried:i, stray:i, balance:i,"
            " failing:i}],"
            " rules:[{rule:i, name, accepted:i, matched:i, filtered:i, balance:i}]"
        ),
    ),
    operations.Operation(
        "GetCompatibility",
        _compatibility,
        "headrace:GetCompatibility",
        methods=("GET",),
        path="/headrace/v1/compatibility",
        answer=shape("rows:[{api, operation, field, role, reason}]"),
    ),
)
