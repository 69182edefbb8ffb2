"""Functions through the FC SDK: effect, documented errors, state after restart."""

from __future__ import annotations

import base64
import io
import re
import urllib.error
import urllib.request
import zipfile
from typing import Any

import pytest

from tests.wire import making, processes, sdk

#: Of the check text "123456789" (CRC-64/XZ); the API prints it as a decimal number.
CRC64_OF_DIGITS = 11051210869376104954
OTHER = "def handler(event, context):\n    return b'other'\n"


@pytest.fixture
def function(functions: sdk.Functions) -> str:
    """The name of a new function that echoes."""
    name = making.name("fn")
    functions.create_function(body=making.function_input(name))
    return name


def crc64(data: bytes) -> int:
    crc = 0xFFFFFFFFFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xC96C5795D7870F42 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFFFFFFFFFF


def download(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read()


def stable(body: dict[str, Any]) -> dict[str, Any]:
    """Without what changes from answer to answer."""
    return {name: value for name, value in body.items() if name != "requestId"}


def test_function_is_created_and_shows_everything_that_was_sent(
    functions: sdk.Functions, server: processes.Server
) -> None:
    name = making.name("fn")
    packed = making.package()
    created = functions.create_function(
        body=making.function_input(
            name, description="echoes", memorySize=256, diskSize=512, timeout=7,
            instanceConcurrency=3, environmentVariables={"COLOUR": "blue"}, cpu=0.5,
            tags=[{"Key": "team", "Value": "blue"}], internetAccess=True,
        )
    )  # fmt: skip
    assert created.status == 200
    assert created.headers["x-fc-request-id"]
    shown = created.body
    assert shown["functionArn"] == (f"acs:fc:{server.region}:{server.account}:functions/{name}")
    assert crc64(b"123456789") == CRC64_OF_DIGITS
    assert shown["codeChecksum"] == str(crc64(packed))
    assert shown["codeSize"] == len(packed)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", shown["functionId"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", shown["createdTime"])
    assert (shown["state"], shown["lastUpdateStatus"]) == ("Active", "Successful")
    sent = {
        "functionName": name, "runtime": "python3.10", "handler": "index.handler",
        "description": "echoes", "memorySize": 256, "diskSize": 512, "timeout": 7,
        "instanceConcurrency": 3, "environmentVariables": {"COLOUR": "blue"}, "cpu": 0.5,
        "tags": [{"Key": "team", "Value": "blue"}], "internetAccess": True,
    }  # fmt: skip
    assert shown | sent == shown
    assert functions.get_function(name).body == shown
    assert functions.get_function(name, qualifier="LATEST").body == shown


def test_update_changes_what_is_given_and_nothing_else(
    functions: sdk.Functions, function: str
) -> None:
    before = functions.get_function(function).body
    functions.update_function(function, body={"description": "new", "timeout": 9})
    after = functions.get_function(function).body
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed - {"lastModifiedTime"} == {"description", "timeout"}
    assert functions.invoke_function(function, payload=b"x").payload == b"x"


def test_updated_code_runs_at_once(functions: sdk.Functions, function: str) -> None:
    assert functions.invoke_function(function, payload=b"x").payload == b"x"
    packed = making.package(OTHER)
    updated = functions.update_function(
        function, body={"code": {"zipFile": base64.b64encode(packed).decode()}}
    )
    assert updated.body["codeChecksum"] == str(crc64(packed))
    invoked = functions.invoke_function(function, payload=b"x")
    assert invoked.payload == b"other"
    assert invoked.headers["x-fc-code-checksum"] == str(crc64(packed))


def test_updated_environment_is_seen_by_the_next_call(functions: sdk.Functions) -> None:
    name = making.name("fn")
    source = "import os\ndef handler(event, context):\n    return os.environ.get('COLOUR', '-')\n"
    functions.create_function(
        body=making.function_input(name, source, environmentVariables={"COLOUR": "blue"})
    )
    assert functions.invoke_function(name, payload=b"").payload == b"blue"
    functions.update_function(name, body={"environmentVariables": {"COLOUR": "red"}})
    assert functions.invoke_function(name, payload=b"").payload == b"red"


def test_code_is_downloaded_byte_for_byte(functions: sdk.Functions, function: str) -> None:
    code = functions.get_function_code(function).body
    packed = making.package()
    assert code["checksum"] == str(crc64(packed))
    assert download(code["url"]) == packed


def test_link_to_code_that_was_altered_opens_nothing(
    functions: sdk.Functions, function: str
) -> None:
    url = functions.get_function_code(function).body["url"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        download(re.sub("Signature=.", "Signature=~", url))
    assert refused.value.code == 403
    refused.value.close()


def test_functions_are_listed_by_prefix_in_pages(functions: sdk.Functions) -> None:
    prefix = making.name("paged")
    names = [f"{prefix}-{letter}" for letter in "abc"]
    for name in names:
        functions.create_function(body=making.function_input(name))
    first = functions.list_functions(prefix=prefix, limit=2).body
    second = functions.list_functions(prefix=prefix, limit=2, nextToken=first["nextToken"]).body
    seen = [function["functionName"] for function in first["functions"] + second["functions"]]
    assert seen == names
    assert not second.get("nextToken")
    assert functions.list_functions(prefix=prefix, runtime="python3.12").body["functions"] == []


def test_deleted_function_is_gone(functions: sdk.Functions, function: str) -> None:
    assert functions.delete_function(function).status == 204
    for call in (
        functions.get_function, functions.get_function_code, functions.delete_function,
    ):  # fmt: skip
        with pytest.raises(sdk.SdkError) as refused:
            call(function)
        assert (refused.value.code, refused.value.status) == ("FunctionNotFound", 404)


@pytest.mark.parametrize(
    ("operation", "args"),
    [
        ("get_function", {}),
        ("get_function_code", {}),
        ("update_function", {"body": {"timeout": 3}}),
        ("delete_function", {}),
        ("invoke_function", {"payload": b""}),
    ],
)
def test_missing_function_is_an_error_with_its_code(
    functions: sdk.Functions, operation: str, args: dict[str, Any]
) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        getattr(functions, operation)("nothing", **args)
    assert (refused.value.code, refused.value.status) == ("FunctionNotFound", 404)
    assert refused.value.data["RequestId"]
    assert "nothing" in refused.value.message


def test_second_function_of_a_name_is_refused(functions: sdk.Functions, function: str) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        functions.create_function(body=making.function_input(function, OTHER))
    assert (refused.value.code, refused.value.status) == ("FunctionAlreadyExists", 409)
    assert functions.invoke_function(function, payload=b"x").payload == b"x"


def zip_slip() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../evil.py", "x = 1")
    return packed.getvalue()


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"functionName": "1st"}, "function name"),
        ({"functionName": "a b"}, "function name"),
        ({"runtime": "cobol"}, "runtime"),
        ({"runtime": None}, "runtime"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": 86_401}, "timeout"),
        ({"memorySize": 100}, "memorySize"),
        ({"environmentVariables": {"FC_REGION": "x"}}, "FC_REGION"),
        ({"code": {"zipFile": "not base64!"}}, "zipFile"),
        ({"code": {"zipFile": base64.b64encode(b"no zip").decode()}}, "zip"),
        ({"code": {"zipFile": base64.b64encode(zip_slip()).decode()}}, "evil"),
        ({"code": {"ossBucketName": "b", "ossObjectName": "o"}}, "oss"),
        (
            {"code": {"zipFile": base64.b64encode(making.package()).decode(), "checksum": "1"}},
            "checksum",
        ),
        ({"layers": ["acs:fc:cn-hangzhou:1:layers/a/versions/1"]}, "layers"),
    ],
)
def test_function_that_cannot_be_is_refused_by_field_and_not_kept(
    functions: sdk.Functions, changed: dict[str, Any], word: str
) -> None:
    name = making.name("wrong")
    with pytest.raises(sdk.SdkError) as refused:
        functions.create_function(body=making.function_input(name) | changed)
    assert refused.value.code == "InvalidArgument"
    assert refused.value.status == 400
    assert word in refused.value.message
    assert functions.list_functions(prefix="wrong").body["functions"] == []


def test_refused_update_changes_nothing(functions: sdk.Functions, function: str) -> None:
    before = functions.get_function(function).body
    with pytest.raises(sdk.SdkError) as refused:
        functions.update_function(function, body={"description": "new", "timeout": -1})
    assert (refused.value.code, refused.value.status) == ("InvalidArgument", 400)
    assert functions.get_function(function).body == before


@pytest.mark.parametrize(
    ("qualifier", "code"), [("7", "VersionNotFound"), ("prod", "AliasNotFound")]
)
def test_qualifier_that_does_not_exist_is_an_error(
    functions: sdk.Functions, function: str, qualifier: str, code: str
) -> None:
    for call in (functions.get_function, functions.get_function_code):
        with pytest.raises(sdk.SdkError) as refused:
            call(function, qualifier=qualifier)
        assert (refused.value.code, refused.value.status) == (code, 404)
    with pytest.raises(sdk.SdkError) as refused:
        functions.invoke_function(function, payload=b"", qualifier=qualifier)
    assert (refused.value.code, refused.value.status) == (code, 404)


def test_function_has_no_published_versions(functions: sdk.Functions, function: str) -> None:
    listed = functions.list_function_versions(function)
    assert listed.body["versions"] == []
    with pytest.raises(sdk.SdkError) as refused:
        functions.list_function_versions("nothing")
    assert refused.value.code == "FunctionNotFound"


def test_own_region_is_the_only_one(functions: sdk.Functions, server: processes.Server) -> None:
    regions = functions.describe_regions().body["Regions"]["Region"]
    assert [region["RegionId"] for region in regions] == [server.region]


def test_limit_out_of_range_is_refused(functions: sdk.Functions) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        functions.list_functions(limit=101)
    assert (refused.value.code, refused.value.status) == ("InvalidArgument", 400)


def test_edit_on_an_old_revision_is_refused(functions: sdk.Functions, function: str) -> None:
    """Our own header guards an edit; the SDK passes it on."""
    revision = functions.get_function(function).headers["x-headrace-revision"]
    functions.update_function(function, body={"timeout": 8})
    with pytest.raises(sdk.SdkError) as refused:
        functions.update_function(
            function, body={"timeout": 9}, headers={"x-headrace-revision": revision}
        )
    assert refused.value.status in (409, 412)
    assert functions.get_function(function).body["timeout"] == 8


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_functions_are_as_they_were_after_a_restart(
    functions: sdk.Functions, server: processes.Server, function: str, how: str
) -> None:
    gone = making.name("gone")
    functions.create_function(body=making.function_input(gone))
    functions.delete_function(gone)
    packed = making.package(OTHER)
    functions.update_function(
        function,
        body={"timeout": 9, "code": {"zipFile": base64.b64encode(packed).decode()}},
    )
    before = stable(functions.get_function(function).body)
    listed = functions.list_functions(limit=100).body
    server.restart(how)
    assert stable(functions.get_function(function).body) == before
    assert functions.list_functions(limit=100).body == listed
    assert functions.invoke_function(function, payload=b"x").payload == b"other"
    assert download(functions.get_function_code(function).body["url"]) == packed
    with pytest.raises(sdk.SdkError) as refused:
        functions.get_function(gone)
    assert refused.value.code == "FunctionNotFound"
