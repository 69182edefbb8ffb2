"""The service-linked role operations. There are no RAM roles here, so there is nothing to lack or
to create.
"""

from __future__ import annotations

from typing import Any

from headrace.api import operations, shapes
from headrace.api.shapes import shape

#: The role that the cloud names for targets of type function.
_ROLE = "AliyunServiceRoleForEventBridge"
_NOTE = {
    "ProductName": shapes.Note("echoed", "every role counts as present: access here needs no role")
}


async def _check(call: operations.Call) -> dict[str, Any]:
    return {"Data": {"CheckPass": True, "StsRoleName": call.args.get("ProductName", _ROLE)}}


async def _create(call: operations.Call) -> dict[str, Any]:
    return {"HttpCode": 200}


ROWS = (
    operations.Operation(
        "CheckServiceLinkedRoleForProduct",
        _check,
        "eventbridge:CheckServiceLinkedRoleForProduct",
        operations.anything,
        shape("ProductName", _NOTE),
        shape("Data:{CheckPass:b, StsRoleName}"),
    ),
    operations.Operation(
        "CreateServiceLinkedRoleForProduct",
        _create,
        "eventbridge:CreateServiceLinkedRoleForProduct",
        operations.anything,
        shape("ProductName*", _NOTE),
        shape("HttpCode:i"),
        mutates=True,
    ),
)
