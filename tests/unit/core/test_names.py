"""Names: the rules and their errors, every form of ARN there and back, ids like the cloud's."""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core import errors, names

R, A = "cn-hangzhou", "1234567890123456"
PARTS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True)


class At:
    """A clock that stands."""

    def __init__(self, ms: int) -> None:
        self.ms = ms

    def wall_ms(self) -> int:
        return self.ms

    def mono_us(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("arn", "kind", "parts"),
    [
        (names.bus_arn(R, A, "b"), "bus", ("b",)),
        (names.rule_arn(R, A, "b", "r"), "rule", ("b", "r")),
        (names.target_arn(R, A, "b", "r", target="t"), "target", ("b", "r", "t")),
        (names.source_arn(R, A, "b", "mymns.source"), "source", ("b", "mymns.source")),
        (names.stream_arn(R, A, "s"), "stream", ("s",)),
        (names.function_arn(R, A, "f"), "function", ("f",)),
        (names.queue_arn(R, A, "q"), "queue", ("q",)),
        (names.endpoint_of_queue(R, A, "q"), "queue", ("q",)),
    ],
)
def test_every_arn_we_build_is_read_back(arn: str, kind: str, parts: tuple[str, ...]) -> None:
    found = names.parse_arn(arn)
    assert (found.kind, found.region, found.account, found.names) == (kind, R, A, parts)
    assert found.name == parts[-1]


def test_arns_are_spelt_as_in_the_documentation() -> None:
    bus = f"acs:eventbridge:{R}:{A}:eventbus/b"
    assert names.bus_arn(R, A, "b") == bus
    assert names.target_arn(R, A, "b", "r", target="t") == f"{bus}/rule/r/target/t"
    assert names.source_arn(R, A, "b", "s") == f"{bus}/eventsource/s"
    assert names.official_source_arn(R, "acs.oss") == (
        f"acs:eventbridge:{R}:SYSTEM:eventsource/acs.oss"
    )
    assert names.function_arn(R, A, "f", "prod") == f"acs:fc:{R}:{A}:functions/f/prod"
    assert names.service_function_arn(R, A, "svc", "f") == (
        f"acs:fc:{R}:{A}:services/svc.LATEST/functions/f"
    )
    assert names.queue_arn(R, A, "q") == f"acs:mns:{R}:{A}:/queues/q"
    assert names.endpoint_of_queue(R, A, "q") == f"acs:mns:{R}:{A}:queues/q"


@pytest.mark.parametrize(
    ("resource", "service", "qualifier"),
    [
        ("functions/f", None, None),
        ("functions/f/prod", None, "prod"),
        ("services/svc.LATEST/functions/f", "svc", "LATEST"),
        ("services/svc/functions/f", "svc", None),
        ("services/.1/functions/f", "", "1"),
    ],
)
def test_functions_are_found_in_both_generations_of_arns(
    resource: str, service: str | None, qualifier: str | None
) -> None:
    found = names.parse_arn(f"acs:fc:{R}:{A}:{resource}")
    assert (found.name, found.service, found.qualifier) == ("f", service, qualifier)


def test_a_queue_destination_with_messages_is_that_queue() -> None:
    assert names.parse_arn(f"acs:mns:{R}:{A}:/queues/q/messages").names == ("q",)


def test_an_official_source_has_no_bus() -> None:
    found = names.parse_arn(names.official_source_arn(R, "acs.aliyuncvc"))
    assert (found.kind, found.account, found.names) == ("source", "SYSTEM", ("acs.aliyuncvc",))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "acs:",
        "acs:eventbridge:r:a:",
        "acs:eventbridge:r:a:eventbus/",
        "acs:eventbridge:r:a:eventbus/b/",
        "acs:eventbridge:r:a:eventbus/b/rule/",
        "acs:eventbridge:r:a:eventbus/b/rule/r/x",
        "acs:eventbridge:r:a:eventbus/b c",
        "acs:fc:r:a:functions/",
        "acs:fc:r:a:functions/f/q/x",
        "acs:mns:r:a:topics/t",
        "acs:ecs:r:a:instance/i",
        "arn:aws:events:r:a:event-bus/b",
        "acs:eventbridge:r:a:eventbus/b\n",
    ],
)
def test_anything_else_is_refused_naming_the_field(text: str) -> None:
    with pytest.raises(errors.InvalidInput) as refusal:
        names.parse_arn(text, field="Endpoint")
    assert refusal.value.field == "Endpoint"


@given(PARTS, PARTS, PARTS)
def test_names_come_back_whole_from_target_arns(bus: str, rule: str, target: str) -> None:
    arn = names.target_arn(R, A, bus, rule, target=target)
    assert names.parse_arn(arn).names == (bus, rule, target)


@pytest.mark.parametrize("name", ["a", "9", "MNS-my_func-t1", "mymns.source", "x" * 127, "default"])
def test_good_bus_and_rule_names_pass(name: str) -> None:
    assert names.check_bus_name(name) == names.check_rule_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a/b", "ä", "x" * 128, "a\n", "a|b"])
def test_bad_bus_and_rule_names_are_refused(name: str) -> None:
    with pytest.raises(errors.BusNameInvalid):
        names.check_bus_name(name)
    with pytest.raises(errors.RuleNameInvalid):
        names.check_rule_name(name)


def test_the_reserved_prefix_is_refused_for_buses() -> None:
    with pytest.raises(errors.BusNameInvalid):
        names.check_bus_name("eventbridge-reserved-x")


def test_the_rule_of_a_trigger_of_an_underscored_function_has_a_good_name() -> None:
    assert names.check_rule_name("_f-t") == "_f-t"


@pytest.mark.parametrize(
    "check", [names.check_function_name, names.check_trigger_name, names.check_task_id]
)
def test_functions_triggers_and_tasks_share_a_rule(check: Callable[[str], str]) -> None:
    for good in ("f", "_f", "F-1_x", "x" * 128):
        assert check(good) == good
    for bad in ("", "1f", "-f", "f.g", "f g", "x" * 129, "f\n", "f|g"):
        with pytest.raises(errors.InvalidInput) as refusal:
            check(bad)
        assert refusal.value.code == "InvalidArgument"
        assert refusal.value.status == 400


def test_source_names_have_their_own_code() -> None:
    with pytest.raises(errors.InvalidInput) as refusal:
        names.check_source_name("a b")
    assert (refusal.value.code, refusal.value.status) == ("EventSourceNameInvalid", 409)


def test_queue_and_target_names() -> None:
    assert names.check_queue_name("q-1") == "q-1"
    assert names.check_target_id("Mlm123456JHd2RsRoKw") == "Mlm123456JHd2RsRoKw"
    for bad in ("", "-q", "q_1", "x" * 121):
        with pytest.raises(errors.InvalidInput):
            names.check_queue_name(bad)
    # "|" joins bus, rule and target in the name of a remote trigger; "/" joins parts of an ARN.
    for bad in ("", "a|b", "a/b", "a b", "x" * 256):
        with pytest.raises(errors.InvalidInput):
            names.check_target_id(bad)


def test_bus_request_ids_are_version_4_uuids_in_capitals() -> None:
    text = names.bus_request_id(random.Random(1))
    assert text == text.upper()
    assert str(uuid.UUID(text)).upper() == text
    assert uuid.UUID(text).version == 4
    assert uuid.UUID(text).variant == uuid.RFC_4122


def test_function_request_ids_begin_with_the_time() -> None:
    text = names.function_request_id(At(0x650C0F0D * 1000 + 999), random.Random(1))
    assert re.fullmatch(r"1-650c0f0d-[0-9a-f]{8}-[0-9a-f]{12}", text)


def test_instance_ids_begin_with_the_time() -> None:
    text = names.instance_id(At(0x650C0ECC * 1000), random.Random(1))
    assert re.fullmatch(r"c-650c0ecc-[0-9a-f]{20}", text)


def test_ids_do_not_repeat() -> None:
    chance = random.Random(1)
    made = [names.bus_request_id(chance) for _ in range(1000)]
    made += [names.function_request_id(At(0), chance) for _ in range(1000)]
    assert len(set(made)) == 2000
