"""Error words of both APIs as data: which code and HTTP status each of our errors has where.

Owns the vocabulary; faces put it into their envelopes. Our error classes carry EventBridge's
words, so only Function Compute needs a table. It must never invent a cause: an error that is not
here keeps its own code.
Sources: EventBridge "Error codes" and the open-source engine's enums; Function Compute "Error
codes".
"""

from __future__ import annotations

from typing import Literal

import msgspec

from headrace.core import errors

Api = Literal["eventbridge", "fc"]


class Word(msgspec.Struct, frozen=True):
    """How one API says one error."""

    code: str
    status: int
    #: None: our message says it.
    message: str | None = None


_FC: dict[type[errors.HeadraceError], Word] = {
    errors.InvalidInput: Word("InvalidArgument", 400),
    errors.PayloadTooLarge: Word("EntityTooLarge", 400),
    errors.SignatureMissing: Word(
        "MissingRequiredHeader", 400, "required HTTP header Authorization was not specified"
    ),
    errors.KeyUnknown: Word("InvalidAccessKeyID", 403),
    errors.SignatureWrong: Word(
        "SignatureNotMatch",
        403,
        "The request signature we calculated does not match the signature you provided. "
        "Check your access key and signing method",
    ),
    errors.AccessDenied: Word("AccessDenied", 403),
    # A value or a field; operations that are not built have a word of their own.
    errors.Unsupported: Word("InvalidArgument", 400),
    errors.Throttled: Word("ResourceThrottled", 429),
    errors.ReadOnly: Word("ServerReadOnly", 503),
    errors.Draining: Word("ServerDraining", 503),
    errors.Unavailable: Word("ServiceUnavailable", 503),
}

#: Codes our errors may carry on the EventBridge API, per resource, with their HTTP status.
EVENTBRIDGE: dict[str, int] = {
    # access and gateway
    "AccessDenied": 403,
    "InvalidAccessKeyId": 403,
    "MissingSignature": 403,
    "SecurityTokenInvalid": 403,
    "SignatureDoesNotMatch": 403,
    "InvalidTimeStamp.Expired": 400,
    "SignatureNonceUsed": 400,
    "TooManyRequests": 429,
    "InvalidAction.NotFound": 404,
    "InternalError": 500,
    "ServiceUnavailable": 503,
    "ServerReadOnly": 503,
    "ServerDraining": 503,
    "StoreFull": 507,
    # requests
    "InvalidArgument": 400,
    "InvalidParameter": 400,
    "MissingParameter": 400,
    "NextTokenInvalid": 400,
    "EntityTooLarge": 413,
    "InvalidVersion": 400,
    "IdempotentParameterMismatch": 400,
    "PutEventsRequestMoreThanOneEventBus": 400,
    "EventHTTPProtocolBindingInvalid": 400,
    # buses, sources, rules, targets
    "EventBusNotExist": 409,
    "EventBusAlreadyExist": 409,
    "EventBusNameInvalid": 409,
    "EventBusRuleNotEmptyForDelete": 409,
    "EventBusSourceNotEmptyForDelete": 409,
    "EventBusCountExceedLimit": 409,
    "EventSourceNotExist": 409,
    "EventSourceAlreadyExist": 409,
    "EventSourceNameInvalid": 409,
    "EventRuleNotExisted": 409,
    "EventRuleAlreadyExist": 409,
    "EventRuleNameInvalid": 409,
    "EventRuleCountExceedLimit": 409,
    "EventRuleFilterPatternSchemaError": 409,
    "EventRuleFilterPatternExceedLimit": 409,
    "EventRuleTargetIdDuplicate": 409,
    "EventTargetNotExist": 409,
    "EventTargetClassNotExist": 409,
    "EventTargetIneffectiveAttribute": 409,
    "EventTargetMissingAttribute": 409,
    "QueueInUse": 409,
    "EditConflict": 409,
}

#: Codes one entry of PutEvents may fail with; the request itself succeeds.
ENTRY = (
    "EventBusEmpty",
    "EventIdEmpty",
    "EventDataEmpty",
    "EventSourceInvalid",
    "EventSubjectInvalid",
    "EventTypeInvalid",
    "EventSpecversionInvalid",
    "EventContentTypeInvalid",
    "EventExtensionsAttributeExceedLimit",
    "EventExtensionsAttributeInvalid",
    "EventInvalid",
    "EventSizeExceed",
    "EventHTTPProtocolBindingInvalid",
    "JsonAttributeInvalid",
)

#: Codes of the Function Compute API that clients rely on, with their HTTP status.
FC: dict[str, int] = {
    "InvalidArgument": 400,
    "MissingRequiredHeader": 400,
    "PathNotSupported": 400,
    "EntityTooLarge": 400,
    "LimitExceededError": 400,
    "InvalidTimeStamp.Expired": 400,
    "SignatureNonceUsed": 400,
    "AccessDenied": 403,
    "SecurityTokenInvalid": 403,
    "SignatureNotMatch": 403,
    "InvalidAccessKeyID": 403,
    "FunctionNotFound": 404,
    "TriggerNotFound": 404,
    "AliasNotFound": 404,
    "VersionNotFound": 404,
    "LayerNotFound": 404,
    "LayerVersionNotFound": 404,
    "DomainNameNotFound": 404,
    "AsyncConfigNotExists": 404,
    "OnDemandConfigNotFound": 404,
    "FunctionAlreadyExists": 409,
    "TriggerAlreadyExists": 409,
    "AliasAlreadyExists": 409,
    "EditConflict": 409,
    "DomainNameAlreadyExists": 409,
    "PreconditionFailed": 412,
    "ResourceThrottled": 429,
    "ResourceExhausted": 429,
    "InternalServerError": 500,
    "BadResponse": 502,
    "ServiceUnavailable": 503,
    "ServerReadOnly": 503,
    "ServerDraining": 503,
    "StoreFull": 507,
}


def word_of(error: errors.HeadraceError, api: Api) -> Word:
    """Return how `api` says `error`; the message is always filled in.

    A code of that API that was set on the error itself wins over its class's, and so does the code
    of a class that a face made for itself.
    """
    own = Word(error.code, error.status, error.message)
    if api == "eventbridge" or (error.code != type(error).code and error.code in FC):
        return own
    if type(error) is errors.HeadraceError:
        return Word("InternalServerError", 500, error.message)
    for kind in type(error).__mro__:
        outside_core = kind.__module__ != errors.__name__
        if kind in (errors.Refused, errors.AuthError) or (outside_core and "code" in vars(kind)):
            return own
        if found := _FC.get(kind):
            return Word(found.code, found.status, found.message or error.message)
    return own
