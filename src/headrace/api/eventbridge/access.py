"""What each EventBridge operation is about, as the ARN that authorisation sees."""

from __future__ import annotations

from headrace.api import operations
from headrace.core import names


def bus(call: operations.Call) -> str:
    """The bus named by EventBusName; all of them when none is named."""
    name: str = call.args.get("EventBusName", "*")
    return names.bus_arn(call.services.region, call.account, name)


def rule(call: operations.Call) -> str:
    """The rule named by EventBusName and RuleName."""
    bus_name: str = call.args.get("EventBusName", "*")
    rule_name: str = call.args.get("RuleName", "*")
    return names.rule_arn(call.services.region, call.account, bus_name, rule_name)


def every_bus(call: operations.Call) -> str:
    return names.bus_arn(call.services.region, call.account, "*")
