"""The FC face itself: routing, authorisation, and errors as the SDK reads them."""

from __future__ import annotations

import msgspec
import pytest

from headrace.api.fc import faults
from headrace.core import errors
from tests.unit.api.fc.conftest import ACCOUNT, REGION, Door, headers_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/functions/f/aliases", "ListAliases"),
        ("POST", "/functions/f/versions", "PublishFunctionVersion"),
        ("GET", "/layers", "ListLayers"),
        ("PUT", "/resource-groups", "ChangeResourceGroup"),
        ("POST", "/tags-v2", "TagResources"),
        ("PUT", "/functions/f/async-tasks/t/stop", "StopAsyncTask"),
    ],
)
async def test_an_operation_not_built_says_so_by_name(
    door: Door, method: str, path: str, name: str
) -> None:
    status, error = await door.ask(method, path)
    assert (status, error["Code"]) == (501, "NotImplemented")
    assert name in error["Message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nothing"), ("PATCH", "/functions"), ("GET", "/functions/a/b/c/d"), ("GET", "/")],
)
async def test_a_path_of_no_operation_says_so(door: Door, method: str, path: str) -> None:
    status, error = await door.ask(method, path)
    assert (status, error["Code"]) == (400, "PathNotSupported")


async def test_an_unsigned_request_gets_no_further(door: Door) -> None:
    status, error = await door.ask("GET", "/functions", headers={"x-unsigned": "1"})
    assert (status, error["Code"]) == (400, "MissingRequiredHeader")
    assert door.services.allowed == []


async def test_each_call_is_authorised_by_action_and_resource(door: Door) -> None:
    await door.create()
    assert door.services.allowed == [
        ("fc:CreateFunction", f"acs:fc:{REGION}:{ACCOUNT}:functions/hello")
    ]


async def test_an_action_header_that_contradicts_the_path_is_refused(door: Door) -> None:
    agreed = {"x-acs-action": "ListFunctions"}
    assert (await door.ask("GET", "/functions", headers=agreed))[0] == 200
    status, error = await door.ask("GET", "/functions", headers={"x-acs-action": "DeleteFunction"})
    assert (status, error["Code"]) == (400, "InvalidArgument")


async def test_a_name_in_the_path_is_decoded_once(door: Door) -> None:
    status, error = await door.ask("GET", "/functions/a%252Fb")
    assert status == 404
    assert "a%2Fb" in error["Message"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.KeyUnknown(), 403, "InvalidAccessKeyID"),
        (errors.SignatureWrong(), 403, "SignatureNotMatch"),
        (errors.AccessDenied(), 403, "AccessDenied"),
        (errors.RequestStale(), 400, "InvalidTimeStamp.Expired"),
        (errors.NonceUsed(), 400, "SignatureNonceUsed"),
        (errors.PatternInvalid("p"), 400, "InvalidArgument"),
        (errors.PackageInvalid("p"), 400, "InvalidArgument"),
        (errors.PayloadTooLarge("p"), 400, "EntityTooLarge"),
        (errors.FunctionInUse("p"), 409, "FunctionNotEmpty"),
        (errors.StoreFull("p"), 507, "StoreFull"),
    ],
)
def test_each_cause_has_this_apis_word(error: errors.HeadraceError, status: int, code: str) -> None:
    answer = faults.refuse(error, "R")
    body = msgspec.json.decode(answer.body)
    assert (answer.status, body["Code"], body["RequestId"]) == (status, code, "R")
    assert headers_of(answer)["x-fc-request-id"] == "R"


def test_a_request_too_large_ends_its_connection() -> None:
    assert headers_of(faults.refuse(errors.PayloadTooLarge("p"), "R"))["connection"] == "close"
