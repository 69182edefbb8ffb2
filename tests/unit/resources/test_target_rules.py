"""What a target may say, type by type; every refusal names the field."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.core import errors
from headrace.resources import inputs, model, settings, target_rules, targets
from tests.unit.resources import world as worlds

pytestmark = pytest.mark.anyio

Param = inputs.ParamInput
BODY = Param("Body", "ORIGINAL")
CHECKER = target_rules.Checker(worlds.ACCOUNT, settings.Settings(region=worlds.REGION))


def checked(given: inputs.TargetInput) -> model.Target:
    return CHECKER.target(given, "T")


def refusal(given: inputs.TargetInput) -> errors.HeadraceError:
    with pytest.raises(errors.HeadraceError) as refused:
        checked(given)
    return refused.value


def test_a_type_without_a_way_to_deliver_is_refused_naming_those_that_exist() -> None:
    error = refusal(inputs.TargetInput(id="1", type="acs.alikafka", endpoint="x"))
    assert (error.code, error.field) == ("EventTargetClassNotExist", "T.Type")
    for type_ in ("acs.fc.function", "acs.mns.queue", "http", "https"):
        assert type_ in error.message


def test_only_types_that_the_app_delivers_to_are_taken() -> None:
    only_http = settings.Settings(region="r", deliverable=frozenset({"http"}))
    checker = target_rules.Checker(worlds.ACCOUNT, only_http)
    checker.target(worlds.web(), "T")
    with pytest.raises(errors.TargetInvalid, match=r"acs\.mns\.queue"):
        checker.target(worlds.feeds("q"), "T")


@pytest.mark.parametrize("id_", ["", "a b", "a/b", "a|b", "a\n", "x" * 256])
def test_ids_can_be_part_of_names(id_: str) -> None:
    assert refusal(worlds.web(id_)).field == "T.Id"


@pytest.mark.parametrize(
    "endpoint",
    [
        "acs:fc:cn-hangzhou:1234567890:services/svc.LATEST/functions/f",
        "acs:fc:cn-beijing:1234567890:functions/f",
        "acs:fc:cn-hangzhou:1234567890:functions/f/LATEST",
    ],
)
def test_a_function_is_named_by_either_form_of_its_arn(endpoint: str) -> None:
    target = checked(inputs.TargetInput(id="1", type="acs.fc.function", endpoint=endpoint))
    assert targets.function_of(target) == "f"
    assert targets.qualifier_of(target) == "LATEST"
    assert target.endpoint == endpoint


def test_a_function_is_named_by_its_parameter_in_any_case() -> None:
    target = checked(
        inputs.TargetInput(
            id="1",
            type="acs.fc.function",
            params=[Param("FUNCTIONNAME", "CONSTANT", "f"), Param("body", "ORIGINAL")],
        )
    )
    assert targets.function_of(target) == "f"
    assert [entry.key for entry in target.params] == ["FUNCTIONNAME", "body"]


def test_an_invocation_is_asynchronous_unless_it_says_sync() -> None:
    assert targets.is_async(checked(worlds.calls("f")))
    sync = [Param("invocationtype", "CONSTANT", "Sync")]
    assert not targets.is_async(checked(worlds.calls("f", params=sync)))


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ([Param("functionName", "CONSTANT", "other")], "T.Endpoint"),
        ([Param("Qualifier", "CONSTANT", "prod")], "T.ParamList.Qualifier"),
        ([Param("InvocationType", "CONSTANT", "Later")], "T.ParamList[0].Value"),
        ([Param("DataFormat", "CONSTANT", "ObjectList")], "T.ParamList[0].Value"),
        ([Param("Nonsense", "CONSTANT", "x")], "T.ParamList[0].ResourceKey"),
        ([Param("", "CONSTANT", "x")], "T.ParamList[0].ResourceKey"),
        ([BODY, Param("BODY", "ORIGINAL")], "T.ParamList[1].ResourceKey"),
        ([Param("Body", "XPATH", "x")], "T.ParamList[0].Form"),
        ([Param("Qualifier", "JSONPATH", "$.data")], "T.ParamList[0].Form"),
    ],
)
def test_a_function_target_that_contradicts_itself_is_refused(
    params: list[inputs.ParamInput], field: str
) -> None:
    assert refusal(worlds.calls("f", params=params)).field == field


@pytest.mark.parametrize(
    "endpoint",
    ["f", "acs:fc:cn-hangzhou:1234567890:x/f", "acs:mns:cn-hangzhou:1234567890:queues/f"],
)
def test_an_endpoint_that_names_no_function_is_refused(endpoint: str) -> None:
    given = inputs.TargetInput(id="1", type="acs.fc.function", endpoint=endpoint)
    assert refusal(given).field == "T.Endpoint"


def test_a_target_of_another_account_is_refused() -> None:
    given = inputs.TargetInput(
        id="1", type="acs.fc.function", endpoint="acs:fc:cn-hangzhou:999:functions/f"
    )
    assert "999" in refusal(given).message


@pytest.mark.parametrize("type_", ["acs.fc.function", "acs.mns.queue", "http"])
def test_a_target_without_any_address_is_refused(type_: str) -> None:
    error = refusal(inputs.TargetInput(id="1", type=type_))
    assert (error.code, error.field) == ("EventTargetMissingAttribute", "T.Endpoint")


@pytest.mark.parametrize(
    "url", ["receiver", "ftp://a/", "http://", "http://a b/", "http://a:x/", "http://a:0/", "//a"]
)
def test_an_http_target_needs_a_url_with_a_host(url: str) -> None:
    assert refusal(worlds.web(url=url)).field == "T.Endpoint"


def test_an_https_target_is_not_sent_in_the_clear() -> None:
    given = inputs.TargetInput(id="1", type="https", endpoint="http://a/")
    assert refusal(given).field == "T.Endpoint"
    assert checked(worlds.web(url="https://a/"))


def test_the_url_parameter_is_the_address_and_may_not_contradict_the_endpoint() -> None:
    params = [Param("URL", "CONSTANT", "http://a/x")]
    alone = checked(inputs.TargetInput(id="1", type="http", params=params))
    assert targets.url_of(alone) == "http://a/x"
    assert refusal(worlds.web(url="http://b/", params=params)).field == "T.Endpoint"


def test_values_that_are_not_text_are_kept_as_json_text() -> None:
    template = Param("Body", "TEMPLATE", {"a": "$.data.a"}, {"got": "${a}"})
    kept = targets.param(checked(worlds.web(params=[template])), "body")
    assert kept is not None
    assert (kept.value, kept.template) == ('{"a":"$.data.a"}', '{"got":"${a}"}')


def test_a_transform_that_cannot_be_built_is_refused_with_its_place() -> None:
    given = worlds.web(params=[Param("Body", "TEMPLATE", "not json", "${a}")])
    error = refusal(given)
    assert isinstance(error, errors.TransformInvalid)
    assert str(error.field).startswith("T.ParamList[0]")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("BACKOFF_RETRY", "BACKOFF_RETRY"),
        ("BACKOFFRETRY", "BACKOFF_RETRY"),
        ("EXPONENTIAL_DECAY_RETRY", "EXPONENTIAL_DECAY_RETRY"),
        ("", None),
        (None, None),
    ],
)
def test_the_misspelt_retry_strategy_of_the_examples_is_understood(
    sent: str | None, kept: str | None
) -> None:
    assert checked(worlds.web(retry=sent)).retry == kept


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"retry": "NEVER"}, "T.PushRetryStrategy"),
        ({"errors": "SOME"}, "T.ErrorsTolerance"),
        ({"concurrency": 0}, "T.ConcurrentConfig.Concurrency"),
        ({"concurrency": -1}, "T.ConcurrentConfig.Concurrency"),
        ({"concurrency": 1001}, "T.ConcurrentConfig.Concurrency"),
        ({"dead_letter": {"Arn": "acs:mq:r:1:/instances/i/topic/t"}}, "T.DeadLetterQueue.Arn"),
        ({"dead_letter": {"Network": "x"}}, "T.DeadLetterQueue.Arn"),
        ({"dead_letter": {"Queue": "x"}}, "T.DeadLetterQueue.Queue"),
    ],
)
def test_delivery_settings_are_checked(more: dict[str, Any], field: str) -> None:
    assert refusal(worlds.web(**more)).field == field


@pytest.mark.parametrize("empty", [None, {}, {"Arn": ""}, {"Arn": None, "Network": ""}])
def test_an_empty_dead_letter_queue_is_absent(empty: dict[str, Any] | None) -> None:
    """Terraform sends `{}` when none is set."""
    assert checked(worlds.web(dead_letter=empty)).dead_letter is None


def test_what_belongs_to_the_network_of_the_cloud_is_echoed() -> None:
    arn = worlds.dead_letter_arn("d")
    target = checked(worlds.web(dead_letter={"Arn": arn, "Network": "PublicNetwork"}))
    assert target.dead_letter == model.DeadLetterQueue(arn, {"Network": "PublicNetwork"})
    assert targets.dead_letter_queue_of(target) == "d"


async def test_a_function_that_does_not_exist_yet_may_be_a_target(world: worlds.World) -> None:
    """As in the cloud; deliveries are retried until it does."""
    await world.rule(targets=[worlds.calls("later")])
    assert targets.function_of(world.stored_rule("r").targets[0]) == "later"


async def test_a_queue_must_exist_before_a_target_names_it(world: worlds.World) -> None:
    """Made on demand, a misspelt name would swallow events in silence."""
    for given in (
        worlds.feeds("q"),
        worlds.web(dead_letter={"Arn": worlds.dead_letter_arn("q")}),
    ):
        with pytest.raises(errors.TargetInvalid, match=r"\[q\], which does not exist") as refused:
            await world.rule(targets=[given])
        assert refused.value.remedy == "Create it first: headrace queue create q"
    await world.catalog.create_queue(worlds.ACCOUNT, "q")
    await world.rule(
        targets=[
            worlds.feeds("q"),
            worlds.web(dead_letter={"Arn": worlds.dead_letter_arn("q")}),
        ]
    )


async def test_dead_letters_stay_in_the_own_account(world: worlds.World) -> None:
    await world.catalog.create_queue(worlds.ACCOUNT, "q")
    foreign = {"Arn": "acs:mns:cn-hangzhou:999:/queues/q"}
    with pytest.raises(errors.TargetInvalid, match="999"):
        await world.rule(targets=[worlds.web(dead_letter=foreign)])
