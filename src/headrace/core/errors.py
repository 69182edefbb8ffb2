"""The one tree of errors: every refusal the system can utter, with its code, HTTP status and
remedy.

Faces translate these into their API's envelope and never invent a code of their own. A class here
is one cause; its attributes are data for programs, its message a sentence for people.

    HeadraceError
     ├─ InvalidInput            400  a field is wrong (field, expected, got)
     │   ├─ MissingParameter · UnknownParameter · LimitInvalid · PayloadTooLarge
     │   ├─ PatternInvalid · TransformInvalid
     │   └─ PackageInvalid
     ├─ Refused                 409/404/412  the state of things forbids it
     │   ├─ BusNotFound · BusExists · BusNotEmpty · BusNameInvalid
     │   ├─ RuleNotFound · RuleExists · RuleNameInvalid
     │   ├─ TargetNotFound · TargetIdDuplicate · TargetInvalid
     │   ├─ SourceNotFound · SourceExists
     │   ├─ FunctionNotFound · FunctionExists · FunctionInUse · VersionNotFound
     │   ├─ TriggerNotFound · TriggerExists · TriggerUnsupported
     │   ├─ QueueNotFound · QueueExists · QueueInUse
     │   ├─ EventNotFound · DeadLetterNotFound · SwitchNotFound
     │   └─ EditConflict        someone else changed the record first
     ├─ EventRefused            per-entry refusal of an event (EventIdEmpty, EventSizeExceed, ...)
     ├─ AuthError               403
     │   ├─ SignatureMissing · KeyUnknown · SignatureWrong · RequestStale · NonceUsed · AccessDenied
     ├─ Unsupported             the operation or field exists in the cloud and not (yet) here
     ├─ Throttled               429
     │   └─ ShareUsed            an account's share, while others compete
     ├─ StoreFull               507
     └─ Unavailable             503
         └─ ReadOnly · Draining      an operator's switch is on
"""

from __future__ import annotations


class HeadraceError(Exception):
    """Base of every error that may cross a face."""

    #: Code in EventBridge's vocabulary; faces may map it to another API's word (core/codes.py).
    code: str = "InternalError"
    #: HTTP status that goes with the code.
    status: int = 500
    #: What to do next, one sentence.
    remedy: str = ""
    #: What Retry-After says, where the status is 429, 503 or 507.
    retry_after_s: int = 1

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        field: str | None = None,
        expected: object = None,
        got: object = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message or " ".join((self.__doc__ or "").split()))
        if code is not None:
            self.code = code
        if remedy is not None:
            self.remedy = remedy
        self.field = field
        self.expected = expected
        self.got = got

    @property
    def message(self) -> str:
        return str(self.args[0])


class InvalidInput(HeadraceError):
    """A field of the request is wrong."""

    code = "InvalidArgument"
    status = 400


class MissingParameter(InvalidInput):
    """A required parameter is missing."""

    code = "MissingParameter"


class UnknownParameter(InvalidInput):
    """The operation has no such parameter."""

    code = "InvalidParameter"


class LimitInvalid(InvalidInput):
    """Specified parameter Limit is not valid."""


class NextTokenInvalid(InvalidInput):
    """Specified parameter NextToken is not valid."""

    code = "NextTokenInvalid"


class PayloadTooLarge(InvalidInput):
    """The request body is larger than the limit."""

    code = "EntityTooLarge"
    status = 413


class PatternInvalid(InvalidInput):
    """The event pattern breaks a rule of the dialect; `field` is the path inside the pattern."""

    code = "EventRuleFilterPatternSchemaError"
    status = 409


class TransformInvalid(InvalidInput):
    """A transform (ParamList entry) cannot be built."""

    code = "EventTargetIneffectiveAttribute"
    status = 409


class PackageInvalid(InvalidInput):
    """The code package cannot be unpacked safely."""


class Refused(HeadraceError):
    """The state of things forbids the operation."""

    code = "Conflict"
    status = 409


class BusNotFound(Refused):
    """The event bus does not exist."""

    code = "EventBusNotExist"

    @classmethod
    def named(cls, name: str) -> BusNotFound:
        return cls(f"The event bus [{name}] not existed!", field="EventBusName", got=name)


class BusExists(Refused):
    """The event bus exists already."""

    code = "EventBusAlreadyExist"


class BusNotEmpty(Refused):
    """The event bus still has rules or sources."""

    code = "EventBusRuleNotEmptyForDelete"


class BusNameInvalid(InvalidInput):
    """The event bus name breaks the name rule."""

    code = "EventBusNameInvalid"
    status = 409


class RuleNotFound(Refused):
    """The event rule not existed!"""

    code = "EventRuleNotExisted"


class RuleExists(Refused):
    """The event rule exists already."""

    code = "EventRuleAlreadyExist"


class RuleNameInvalid(InvalidInput):
    """The event rule name breaks the name rule."""

    code = "EventRuleNameInvalid"
    status = 409


class TargetNotFound(Refused):
    """The event target does not exist."""

    code = "EventTargetNotExist"


class TargetIdDuplicate(Refused):
    """The id of event target is duplicate!"""

    code = "EventRuleTargetIdDuplicate"


class TargetInvalid(InvalidInput):
    """The event target cannot be used as given."""

    code = "EventTargetIneffectiveAttribute"
    status = 409


class SourceNotFound(Refused):
    """The event source does not exist."""

    code = "EventSourceNotExist"


class SourceExists(Refused):
    """The event source exists already."""

    code = "EventSourceAlreadyExist"


class FunctionNotFound(Refused):
    """The function does not exist."""

    code = "FunctionNotFound"
    status = 404


class FunctionExists(Refused):
    """The function exists already."""

    code = "FunctionAlreadyExists"


class FunctionInUse(Refused):
    """The function still has triggers."""

    code = "FunctionNotEmpty"


class VersionNotFound(Refused):
    """The function version or alias does not exist."""

    code = "VersionNotFound"
    status = 404


class TriggerNotFound(Refused):
    """The trigger does not exist."""

    code = "TriggerNotFound"
    status = 404


class TriggerExists(Refused):
    """The trigger exists already."""

    code = "TriggerAlreadyExists"


class QueueNotFound(Refused):
    """The queue does not exist."""

    code = "QueueNotExist"
    status = 404


class QueueExists(Refused):
    """The queue exists already."""

    code = "QueueAlreadyExist"


class QueueInUse(Refused):
    """The queue is used by targets."""

    code = "QueueInUse"
    remedy = "Delete those targets or point them elsewhere first."


class EditConflict(Refused):
    """The record was changed by someone else since it was read."""

    code = "EditConflict"
    remedy = "Read the record again and repeat the edit on what it says now."


class EventRefused(HeadraceError):
    """One event of a request is refused; `code` is one of the per-entry codes of PutEvents."""

    code = "EventInvalid"
    status = 400


class AuthError(HeadraceError):
    """The caller could not be identified or may not do this."""

    code = "AccessDenied"
    status = 403


class SignatureMissing(AuthError):
    """The request carries no signature."""

    code = "MissingSignature"


class KeyUnknown(AuthError):
    """The access key id is not known here."""

    code = "InvalidAccessKeyId"


class SignatureWrong(AuthError):
    """The request signature we calculated does not match the signature you provided. Check your key
    and signing method."""

    code = "SignatureDoesNotMatch"


class RequestStale(AuthError):
    """The date of the request is outside the accepted window."""

    code = "InvalidTimeStamp.Expired"
    status = 400


class NonceUsed(AuthError):
    """The signature nonce was used before."""

    code = "SignatureNonceUsed"
    status = 400


class AccessDenied(AuthError):
    """The caller is known and has no right to do this."""


class Unsupported(HeadraceError):
    """The operation or field exists in the cloud's API and is not supported here."""

    code = "InvalidAction.NotFound"
    status = 404


class Throttled(HeadraceError):
    """Too many requests."""

    code = "TooManyRequests"
    status = 429


class ShareUsed(Throttled):
    """The account has all that its share gives it while others want some, too."""

    remedy = "Send less at a time, or again after the pause that Retry-After names."

    @classmethod
    def of(cls, share: str, value: int, unit: str, *, code: str | None = None) -> ShareUsed:
        """Name the share that is used up and what it amounts to now."""
        text = f"The account has used its share of {share}: {value} {unit} while others want some."
        return cls(text, code=code, field=share, expected=value)


class StoreFull(HeadraceError):
    """The data directory has no room for new events; reads and acknowledgements go on."""

    code = "StoreFull"
    status = 507
    remedy = "Free disk space or shorten the retention of buses; the server goes on by itself."
    retry_after_s = 10


class Unavailable(HeadraceError):
    """The server cannot do this at the moment."""

    code = "ServiceUnavailable"
    status = 503


class EventNotFound(Refused):
    """No such event is kept."""

    code = "EventNotExist"
    status = 404


class DeadLetterNotFound(Refused):
    """No such dead letter is kept."""

    code = "DeadLetterNotExist"
    status = 404


class SwitchNotFound(Refused):
    """The switch is not on."""

    code = "SwitchNotExist"
    status = 404


class ReadOnly(Unavailable):
    """The server is in read-only mode: it takes no events, edits or asynchronous invocations."""

    code = "ServerReadOnly"
    remedy = "Send it again later; an operator ends this with `headrace switch off read-only`."
    retry_after_s = 10


class Draining(Unavailable):
    """The server is drained: it starts no invocation and finishes what is under way."""

    code = "ServerDraining"
    remedy = "Send it again later; an operator ends this with `headrace switch off drain`."
    retry_after_s = 10
