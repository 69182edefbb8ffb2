"""Functions through the FC face: exact keys and codes, and no field dropped in silence."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlsplit

import pytest

from headrace.core import crc64
from tests.unit.api.fc.conftest import ACCOUNT, REGION, Door, function_body, headers_of, zipped

pytestmark = pytest.mark.anyio


async def test_a_created_function_is_shown_with_the_wires_keys(door: Door) -> None:
    made = await door.create(
        description="d", environmentVariables={"A": "1"}, tags=[{"Key": "k", "Value": "v"}],
        memorySize=128, timeout=10, cpu=0.35, internetAccess=True,
    )  # fmt: skip
    package = zipped()
    assert made["functionName"] == "hello"
    assert made["functionArn"] == f"acs:fc:{REGION}:{ACCOUNT}:functions/hello"
    assert made["runtime"] == "python3.10"
    assert made["handler"] == "index.handler"
    assert (made["memorySize"], made["timeout"], made["diskSize"]) == (128, 10, 512)
    assert made["codeSize"] == len(package)
    assert made["codeChecksum"] == crc64.printed(package)
    assert made["environmentVariables"] == {"A": "1"}
    assert made["tags"] == [{"Key": "k", "Value": "v"}]
    assert made["cpu"] == 0.35
    assert made["state"] == "Active"
    assert made["lastUpdateStatus"] == "Successful"
    assert made["createdTime"] == "2023-11-14T22:13:20Z"
    assert "idleTimeout" not in made
    assert "instanceLifecycleConfig" not in made
    assert await door.ask("GET", "/functions/hello") == (200, made)


async def test_the_package_is_kept_byte_for_byte(door: Door) -> None:
    await door.create()
    assert list(door.packages.kept.values()) == [zipped()]


async def test_a_second_function_of_a_name_is_a_409(door: Door) -> None:
    await door.create()
    status, error = await door.ask("POST", "/functions", function_body())
    assert (status, error["Code"], error["RequestId"]) == (409, "FunctionAlreadyExists", "REQ-1")
    assert set(error) == {"Code", "Message", "RequestId"}


async def test_a_missing_function_is_a_404(door: Door) -> None:
    for method, path in (
        ("GET", "/functions/no"),
        ("PUT", "/functions/no"),
        ("DELETE", "/functions/no"),
        ("GET", "/functions/no/code"),
        ("GET", "/functions/no/versions"),
    ):
        status, error = await door.ask(method, path, {} if method == "PUT" else None)
        assert (status, error["Code"]) == (404, "FunctionNotFound"), path


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"surprise": 1}, "surprise"),
        ({"code": {"zipFile": "x", "sha": "y"}}, "code.sha"),
        ({"code": {"ossBucketName": "b", "ossObjectName": "o"}}, "code.ossBucketName"),
        ({"gpuConfig": {"gpuType": "fc.gpu.ada.1", "gpuMemorySize": 1024}}, "gpuConfig"),
        ({"layers": ["acs:fc:layer"]}, "layers"),
        ({"runtime": "nodejs20"}, "runtime"),
        ({"timeout": "soon"}, "timeout"),
        ({"memorySize": 100}, "memorySize"),
        ({"environmentVariables": {"A": 1}}, "environmentVariables.A"),
        ({"environmentVariables": [1]}, "environmentVariables"),
        ({"instanceLifecycleConfig": {"boot": {}}}, "instanceLifecycleConfig.boot"),
        ({"instanceLifecycleConfig": {"initializer": {"timeout": 1, "x": 2}}}, "initializer.x"),
        ({"tags": [{"Key": "a"}, {"Key": "a"}]}, "tags[1].Key"),
        ({"tags": [{"Key": "a", "Why": "b"}]}, "Why"),
    ],
)
async def test_a_field_that_is_wrong_or_refused_is_named_and_nothing_is_made(
    door: Door, fields: dict[str, Any], named: str
) -> None:
    status, error = await door.ask("POST", "/functions", function_body(**fields))
    assert 400 <= status < 500, error
    assert named in error["Message"]
    assert (await door.ask("GET", "/functions"))[1] == {"functions": []}


async def test_empty_forms_and_defaults_of_refused_fields_are_taken(door: Door) -> None:
    """What SDKs send for blocks nobody filled in."""
    made = await door.create(
        layers=[], nasConfig={"groupId": 0, "userId": 0, "mountPoints": []}, tags=[],
        sessionAffinity="NONE", instanceIsolationMode="SHARE", disableOndemand=False,
        customDNS={"dnsOptions": []}, gpuConfig=None,
    )  # fmt: skip
    assert not {"layers", "nasConfig", "customDNS", "gpuConfig"} & made.keys()
    assert made["tags"] == []


@pytest.mark.parametrize("missing", ["functionName", "runtime", "handler", "code"])
async def test_what_a_new_function_must_say_is_asked_for(door: Door, missing: str) -> None:
    body = function_body()
    del body[missing]
    status, error = await door.ask("POST", "/functions", body)
    assert (status, error["Code"]) == (400, "InvalidArgument")
    assert missing in error["Message"]


async def test_a_checksum_that_does_not_fit_is_refused(door: Door) -> None:
    code = {"zipFile": base64.b64encode(zipped()).decode(), "checksum": "1"}
    status, error = await door.ask("POST", "/functions", function_body(code=code))
    assert (status, error["Code"]) == (400, "InvalidArgument")
    assert "code.checksum" in error["Message"]
    assert door.packages.kept == {}
    code["checksum"] = crc64.printed(zipped())
    assert (await door.ask("POST", "/functions", function_body(code=code)))[0] == 200


@pytest.mark.parametrize(
    "zip_file", ["not base64!", base64.b64encode(b"not a zip").decode(), "QUJD\n"]
)
async def test_a_package_that_is_none_is_refused(door: Door, zip_file: str) -> None:
    body = function_body(code={"zipFile": zip_file})
    status, error = await door.ask("POST", "/functions", body)
    assert (status, error["Code"]) == (400, "InvalidArgument")


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000])
async def test_a_body_that_is_no_json_object_is_refused(door: Door, body: bytes) -> None:
    answer = await door.raw("POST", "/functions", body)
    assert answer.status == 400
    assert b'"InvalidArgument"' in answer.body


async def test_an_update_changes_what_it_names_and_keeps_the_rest(door: Door) -> None:
    made = await door.create(environmentVariables={"A": "1"}, timeout=10)
    status, after = await door.ask("PUT", "/functions/hello", {"timeout": 20})
    assert status == 200
    assert after["timeout"] == 20
    assert after["environmentVariables"] == {"A": "1"}
    assert after["codeChecksum"] == made["codeChecksum"]
    assert after["functionId"] == made["functionId"]


async def test_an_update_with_empty_forms_clears(door: Door) -> None:
    hooks = {"initializer": {"handler": "index.init", "timeout": 5}}
    made = await door.create(environmentVariables={"A": "1"}, instanceLifecycleConfig=hooks)
    assert made["instanceLifecycleConfig"] == hooks
    cleared = {"environmentVariables": {}, "instanceLifecycleConfig": {}, "description": ""}
    _, after = await door.ask("PUT", "/functions/hello", cleared)
    assert after["environmentVariables"] == {}
    assert "instanceLifecycleConfig" not in after


async def test_a_lifecycle_block_replaces_both_hooks(door: Door) -> None:
    await door.create(instanceLifecycleConfig={"initializer": {"handler": "index.init"}})
    patch = {"instanceLifecycleConfig": {"preStop": {"handler": "index.stop", "timeout": 9}}}
    _, after = await door.ask("PUT", "/functions/hello", patch)
    assert after["instanceLifecycleConfig"] == patch["instanceLifecycleConfig"]


async def test_new_code_changes_the_checksum(door: Door) -> None:
    await door.create()
    package = zipped("def handler(event, context):\n    return 1\n")
    patch = {"code": {"zipFile": base64.b64encode(package).decode()}}
    _, after = await door.ask("PUT", "/functions/hello", patch)
    assert after["codeChecksum"] == crc64.printed(package)


async def test_a_name_in_the_body_must_be_that_of_the_path(door: Door) -> None:
    await door.create()
    assert (await door.ask("PUT", "/functions/hello", {"functionName": "hello"}))[0] == 200
    status, error = await door.ask("PUT", "/functions/hello", {"functionName": "other"})
    assert (status, error["Code"]) == (400, "InvalidArgument")


async def test_an_edit_on_a_revision_that_passed_is_a_409(door: Door) -> None:
    await door.create()
    seen = headers_of(await door.raw("GET", "/functions/hello"))["x-headrace-revision"]
    guard = {"x-headrace-revision": seen}
    assert (await door.ask("PUT", "/functions/hello", {"timeout": 5}, headers=guard))[0] == 200
    status, error = await door.ask("PUT", "/functions/hello", {"timeout": 6}, headers=guard)
    assert (status, error["Code"]) == (409, "EditConflict")
    status, _ = await door.ask("DELETE", "/functions/hello", headers=guard)
    assert status == 409
    assert (await door.ask("PUT", "/functions/hello", {"timeout": 6}))[0] == 200
    bad = {"x-headrace-revision": "-1"}
    assert (await door.ask("PUT", "/functions/hello", {"timeout": 6}, headers=bad))[0] == 400


async def test_delete_is_a_204_without_a_body(door: Door) -> None:
    await door.create()
    assert await door.ask("DELETE", "/functions/hello") == (204, None)
    assert (await door.ask("GET", "/functions/hello"))[0] == 404


async def test_lists_are_paged_by_name(door: Door) -> None:
    for number in range(5):
        await door.create(f"f{number}")
    await door.create("other")
    _, first = await door.ask("GET", "/functions", query="prefix=f&limit=3")
    assert [f["functionName"] for f in first["functions"]] == ["f0", "f1", "f2"]
    query = f"prefix=f&limit=3&nextToken={first['nextToken']}"
    _, second = await door.ask("GET", "/functions", query=query)
    assert [f["functionName"] for f in second["functions"]] == ["f3", "f4"]
    assert "nextToken" not in second
    assert (await door.ask("GET", "/functions", query="fcVersion=v2"))[1] == {"functions": []}


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "fcVersion=v9", "gpuType=T4", "colour=red",
              "prefix=a&prefix=b", "prefix=%ff"],
)  # fmt: skip
async def test_a_wrong_query_is_a_400(door: Door, query: str) -> None:
    status, error = await door.ask("GET", "/functions", query=query)
    assert (status, error["Code"]) == (400, "InvalidArgument")


async def test_versions_other_than_latest_are_not_there(door: Door) -> None:
    await door.create()
    assert (await door.ask("GET", "/functions/hello", query="qualifier=LATEST"))[0] == 200
    status, error = await door.ask("GET", "/functions/hello", query="qualifier=3")
    assert (status, error["Code"]) == (404, "VersionNotFound")
    status, error = await door.ask("GET", "/functions/hello/code", query="qualifier=prod")
    assert (status, error["Code"]) == (404, "AliasNotFound")
    listed = await door.ask("GET", "/functions/hello/versions")
    assert listed == (200, {"direction": "BACKWARD", "versions": []})


async def test_the_one_region_is_described(door: Door) -> None:
    _, told = await door.ask("GET", "/regions", query="AcceptLanguage=zh-CN")
    assert told["Regions"]["Region"][0]["RegionId"] == REGION


async def link_of(door: Door, **headers: str) -> Any:
    status, told = await door.ask("GET", "/functions/hello/code", headers=headers)
    assert status == 200
    assert told["checksum"] == crc64.printed(zipped())
    return urlsplit(told["url"])


async def test_the_code_link_answers_with_the_exact_package(door: Door) -> None:
    await door.create()
    link = await link_of(door)
    assert (link.scheme, link.netloc) == ("http", "127.0.0.1:7280")
    answer = await door.raw("GET", link.path, query=link.query, prefix="")
    assert (answer.status, answer.body) == (200, zipped())
    assert answer.content_type == b"application/zip"


async def test_the_code_link_keeps_the_protocol_of_a_proxy(door: Door) -> None:
    await door.create()
    link = await link_of(door, **{"host": "fc.example", "x-forwarded-proto": "https"})
    assert (link.scheme, link.netloc) == ("https", "fc.example")


async def test_a_code_link_dies_after_its_time(door: Door) -> None:
    await door.create()
    link = await link_of(door)
    door.services.clock.wall += 10 * 60 * 1000
    assert (await door.raw("GET", link.path, query=link.query, prefix="")).status == 400


async def test_a_code_link_that_was_touched_opens_nothing(door: Door) -> None:
    await door.create()
    link = await link_of(door)
    for path, query in (
        (link.path[:-1] + ("0" if link.path[-1] != "0" else "1"), link.query),
        (link.path, link.query.replace("Expires=1", "Expires=2")),
        (link.path, link.query.replace(ACCOUNT, "1")),
        (link.path, link.query[:-2]),
        (link.path, ""),
    ):
        assert (await door.raw("GET", path, query=query, prefix="")).status == 403


async def test_a_link_whose_package_is_gone_is_a_404(door: Door) -> None:
    await door.create()
    link = await link_of(door)
    door.packages.kept.clear()
    assert (await door.raw("GET", link.path, query=link.query, prefix="")).status == 404
