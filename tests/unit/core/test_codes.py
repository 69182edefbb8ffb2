"""The words of both APIs: what clients match on, for each of our errors."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from headrace.core import codes, errors


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (errors.KeyUnknown("k"), "InvalidAccessKeyId", 403),
        (errors.SignatureWrong(), "SignatureDoesNotMatch", 403),
        (errors.RequestStale(), "InvalidTimeStamp.Expired", 400),
        (errors.NonceUsed(), "SignatureNonceUsed", 400),
        (errors.BusNotFound.named("b"), "EventBusNotExist", 409),
        (errors.RuleNotFound(), "EventRuleNotExisted", 409),
        (errors.PatternInvalid(), "EventRuleFilterPatternSchemaError", 409),
        (errors.Throttled(), "TooManyRequests", 429),
        (errors.HeadraceError("x"), "InternalError", 500),
    ],
)
def test_eventbridge_words(error: errors.HeadraceError, code: str, status: int) -> None:
    word = codes.word_of(error, "eventbridge")
    assert (word.code, word.status) == (code, status)
    assert word.message == error.message


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (errors.KeyUnknown("k"), "InvalidAccessKeyID", 403),
        (errors.SignatureWrong(), "SignatureNotMatch", 403),
        (errors.SignatureMissing(), "MissingRequiredHeader", 400),
        (errors.RequestStale(), "InvalidTimeStamp.Expired", 400),
        (errors.NonceUsed(), "SignatureNonceUsed", 400),
        (errors.AccessDenied(), "AccessDenied", 403),
        (errors.FunctionNotFound(), "FunctionNotFound", 404),
        (errors.TriggerNotFound(), "TriggerNotFound", 404),
        (errors.VersionNotFound(), "VersionNotFound", 404),
        (errors.FunctionExists(), "FunctionAlreadyExists", 409),
        (errors.TriggerExists(), "TriggerAlreadyExists", 409),
        (errors.EditConflict(), "EditConflict", 409),
        (errors.MissingParameter(), "InvalidArgument", 400),
        (errors.UnknownParameter(), "InvalidArgument", 400),
        (errors.PatternInvalid(), "InvalidArgument", 400),
        (errors.PackageInvalid(), "InvalidArgument", 400),
        (errors.BusNameInvalid(), "InvalidArgument", 400),
        (errors.PayloadTooLarge(), "EntityTooLarge", 400),
        (errors.Throttled(), "ResourceThrottled", 429),
        (errors.StoreFull(), "StoreFull", 507),
        (errors.HeadraceError("x"), "InternalServerError", 500),
    ],
)
def test_function_compute_words(error: errors.HeadraceError, code: str, status: int) -> None:
    word = codes.word_of(error, "fc")
    assert (word.code, word.status) == (code, status)
    assert word.message


def test_a_code_set_on_the_error_itself_wins() -> None:
    error = errors.SignatureWrong("no", code="SecurityTokenInvalid")
    assert codes.word_of(error, "fc").code == "SecurityTokenInvalid"


def test_the_signature_message_is_each_apis_own() -> None:
    error = errors.SignatureWrong()
    bus = codes.word_of(error, "eventbridge").message or ""
    function = codes.word_of(error, "fc").message or ""
    assert bus.endswith("Check your key and signing method.")
    assert function.endswith("Check your access key and signing method")


def test_what_fc_is_told_of_our_own_errors_are_words_its_clients_know() -> None:
    """Errors of the bus keep their own code there; those of access and input must not."""
    for _, kind in inspect.getmembers(errors, inspect.isclass):
        if not issubclass(kind, errors.InvalidInput | errors.AuthError | errors.Throttled):
            continue
        word = codes.word_of(kind("x"), "fc")
        assert codes.FC[word.code] == word.status, kind.__name__


def test_statuses_of_our_classes_agree_with_the_eventbridge_table() -> None:
    for _, kind in inspect.getmembers(errors, inspect.isclass):
        if issubclass(kind, errors.HeadraceError) and kind.code in codes.EVENTBRIDGE:
            assert kind.status == codes.EVENTBRIDGE[kind.code], kind.__name__


@pytest.mark.parametrize("kind", [errors.QueueInUse, errors.BusNotEmpty, errors.TargetInvalid])
def test_eventbridge_knows_the_words_of_our_refusals(kind: type[errors.HeadraceError]) -> None:
    assert codes.EVENTBRIDGE[kind.code] == kind.status


def test_every_code_that_is_set_by_name_is_a_word_of_its_api() -> None:
    """A code in a `code="..."` is on one of the lists, or a client could not know it."""
    source = Path(codes.__file__).parents[1]
    known = {*codes.EVENTBRIDGE, *codes.FC, *codes.ENTRY}
    used: set[str] = set()
    for folder in ("api", "access", "resources", "core", "functions"):
        for file in (source / folder).rglob("*.py"):
            used |= set(re.findall(r'\bcode="([A-Za-z.]+)"', file.read_text()))
    assert len(used) > 5
    assert used <= known, used - known


def test_a_face_keeps_the_words_it_made_for_itself() -> None:
    class Late(errors.InvalidInput):
        code = "Late"
        status = 408

    word = codes.word_of(Late("x"), "fc")
    assert (word.code, word.status) == ("Late", 408)


def test_a_code_of_the_other_api_is_not_taken_over() -> None:
    error = errors.InvalidInput("x", code="InvalidParameter")
    assert codes.word_of(error, "fc").code == "InvalidArgument"


def test_entry_codes_are_the_engines_fourteen() -> None:
    assert len(codes.ENTRY) == len(set(codes.ENTRY)) == 14
