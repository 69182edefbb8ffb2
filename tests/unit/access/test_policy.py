"""Authorisation: root may, nobody else may unless told so, and a denial always wins."""

from __future__ import annotations

import pytest

from headrace.access import policy
from headrace.core import errors

BUS = "acs:eventbridge:cn-hangzhou:1:eventbus/orders"
Statement = policy.Statement


def member(*statements: policy.Statement) -> policy.Principal:
    return policy.Principal("1", "id", statements=statements)


def may(principal: policy.Principal, action: str, resource: str = BUS) -> bool:
    try:
        policy.authorize(principal, action, resource)
    except errors.AccessDenied:
        return False
    return True


def test_root_may_do_anything() -> None:
    policy.authorize(policy.Principal("1", "id", root=True), "eventbridge:DeleteEventBus", BUS)


def test_anyone_else_may_do_nothing_by_default() -> None:
    with pytest.raises(errors.AccessDenied) as refusal:
        policy.authorize(member(), "eventbridge:PutEvents", BUS)
    assert refusal.value.field == "eventbridge:PutEvents"
    assert refusal.value.got == BUS


def test_an_allowance_covers_its_actions_and_resources_only() -> None:
    who = member(Statement("Allow", ("eventbridge:Put*",), ("acs:eventbridge:*:eventbus/orders",)))
    assert may(who, "eventbridge:PutEvents")
    assert may(who, "eventbridge:PutTargets")
    assert not may(who, "eventbridge:DeleteRule")
    assert not may(who, "eventbridge:PutEvents", BUS + "2")


def test_a_denial_beats_every_allowance_in_any_order() -> None:
    allow = Statement("Allow", ("*",))
    deny = Statement("Deny", ("eventbridge:Delete*",))
    for who in (member(allow, deny), member(deny, allow)):
        assert may(who, "eventbridge:PutEvents")
        assert not may(who, "eventbridge:DeleteRule")


def test_a_denial_binds_root_too() -> None:
    who = policy.Principal("1", "id", True, (Statement("Deny", ("fc:*",)),))
    assert may(who, "eventbridge:PutEvents")
    assert not may(who, "fc:InvokeFunction")


def test_actions_are_compared_without_case_and_resources_with() -> None:
    who = member(Statement("Allow", ("EventBridge:putevents",), (BUS,)))
    assert may(who, "eventbridge:PutEvents")
    assert not may(who, "eventbridge:PutEvents", BUS.replace("orders", "Orders"))


def test_a_question_mark_is_one_character_and_a_bracket_is_itself() -> None:
    who = member(Statement("Allow", ("fc:*",), ("f?", "g[ab]")))
    assert may(who, "fc:X", "f1")
    assert not may(who, "fc:X", "f12")
    assert not may(who, "fc:X", "ga")
    assert may(who, "fc:X", "g[ab]")
