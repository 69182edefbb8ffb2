"""What a target may say: its type, destination and delivery settings, checked whole with the
field's path.

Pure: whether a queue that a target names exists is asked by `queues`. A function need not exist (as
in the cloud): deliveries to it fail and are retried until it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from headrace.core import errors, names
from headrace.resources import inputs, model, settings, target_params, targets

_RETRIES: Final[Mapping[str, model.RetryStrategy]] = {
    "BACKOFFRETRY": "BACKOFF_RETRY",
    "EXPONENTIALDECAYRETRY": "EXPONENTIAL_DECAY_RETRY",
}
_ENDPOINT_FORMS: Final = {
    "function": "acs:fc:{region}:{account}:functions/{function}",
    "queue": "acs:mns:{region}:{account}:queues/{queue}",
}
_DEAD_LETTER_KEYS: Final = ("Network", "VpcId", "VSwitchIds", "SecurityGroupId")


class Checker(msgspec.Struct, frozen=True):
    """Checks target inputs of one account against the settings."""

    account: str
    settings: settings.Settings

    def target(self, given: inputs.TargetInput, field: str) -> model.Target:
        """Return the record that `given` asks for, without a subscription number.

        field: path of the target in the request, e.g. `EventTargets[0]`.
        Raises: TargetInvalid, TransformInvalid.
        """
        _check_id(given.id, f"{field}.Id")
        self._type(given.type, f"{field}.Type")
        _endpoint_length(given.endpoint, f"{field}.Endpoint")
        most = self.settings.limits.template_chars_max or settings.PARAM_CHARS_MAX
        target = model.Target(
            id=given.id,
            type=given.type,
            endpoint=given.endpoint,
            params=target_params.check_params(given, f"{field}.ParamList", chars_max=most),
            retry=retry(given.retry, f"{field}.PushRetryStrategy"),
            errors=tolerance(given.errors, f"{field}.ErrorsTolerance"),
            dead_letter=dead_letter(given.dead_letter, f"{field}.DeadLetterQueue"),
            concurrency=concurrency(given.concurrency, f"{field}.ConcurrentConfig.Concurrency"),
        )
        self._address(target, field)
        return target

    def _type(self, given: str, field: str) -> None:
        if not given:
            raise errors.MissingParameter(f"{field} is required.", field=field)
        if given in self.settings.deliverable:
            return
        known = ", ".join(sorted(self.settings.deliverable))
        raise errors.TargetInvalid(
            f"{field} [{given}] cannot be delivered to here; the types that can are: {known}.",
            code="EventTargetClassNotExist",
            field=field,
            expected=known,
            got=given,
        )

    def _address(self, target: model.Target, field: str) -> None:
        if target.type == settings.FUNCTION_TARGET:
            self._function_address(target, field)
        elif target.type == settings.QUEUE_TARGET:
            self._queue_address(target, field)
        elif target.type in settings.HTTP_TARGETS:
            _http_address(target, field)

    def _function_address(self, target: model.Target, field: str) -> None:
        parsed = self._own_arn(target.endpoint, "function", field)
        _check_same(field, parsed, "functionName", targets.constant(target, "functionName"))
        function = targets.function_of(target)
        if function is None:
            raise _no_address(field, "functionName")
        try:
            names.check_function_name(function)
        except errors.InvalidInput as invalid:
            raise errors.TargetInvalid(
                f"{field}.Endpoint: {invalid.message}", field=f"{field}.Endpoint", got=function
            ) from invalid
        check_qualifier(targets.qualifier_of(target), f"{field}.ParamList.Qualifier")

    def _queue_address(self, target: model.Target, field: str) -> None:
        parsed = self._own_arn(target.endpoint, "queue", field)
        _check_same(field, parsed, "queue", targets.constant(target, "queue"))
        if targets.queue_of(target) is None:
            raise _no_address(field, "queue")

    def _own_arn(self, endpoint: str, kind: names.Kind, field: str) -> names.Arn | None:
        """Return the parsed endpoint, None if it is not given; it must be of the own account."""
        if not endpoint:
            return None
        parsed = targets.arn_of(endpoint, kind)
        if parsed is None:
            raise _bad_endpoint(field, endpoint, _ENDPOINT_FORMS[kind])
        check_own(parsed, self.account, f"{field}.Endpoint")
        return parsed


def retry(given: str | None, field: str) -> model.RetryStrategy | None:
    """Return the strategy, or None if not sent. The examples' misspelling BACKOFFRETRY is
    normalised.
    """
    if not given:
        return None
    found = _RETRIES.get(given.upper().replace("_", ""))
    if found is None:
        allowed = " or ".join(_RETRIES.values())
        raise errors.TargetInvalid(
            f"{field} must be {allowed}, got [{given}].", field=field, expected=allowed, got=given
        )
    return found


def tolerance(given: str | None, field: str) -> model.ErrorsTolerance | None:
    """Return ALL or NONE, or None if not sent."""
    if not given:
        return None
    if given not in ("ALL", "NONE"):
        raise errors.TargetInvalid(
            f"{field} must be ALL or NONE, got [{given}].",
            field=field,
            expected="ALL or NONE",
            got=given,
        )
    return given


def concurrency(given: int | None, field: str) -> int | None:
    """Return the number of parallel deliveries, or None if not sent."""
    if given is None or 1 <= given <= settings.CONCURRENCY_MAX:
        return given
    span = f"1-{settings.CONCURRENCY_MAX}"
    raise errors.TargetInvalid(
        f"{field} must be {span}, got {given}.", field=field, expected=span, got=given
    )


def dead_letter(given: Mapping[str, Any] | None, field: str) -> model.DeadLetterQueue | None:
    """Return the dead-letter queue asked for; an empty object is absent (Terraform sends it)."""
    said = {key: value for key, value in (given or {}).items() if value not in (None, "")}
    if not said:
        return None
    unknown = sorted(set(said) - {"Arn", *_DEAD_LETTER_KEYS})
    if unknown:
        at = f"{field}.{unknown[0]}"
        raise errors.TargetInvalid(f"{at} is not a known key.", field=at, got=unknown[0])
    arn = said.pop("Arn", None)
    if not isinstance(arn, str) or targets.arn_of(arn, "queue") is None:
        form = "acs:mns:{region}:{account}:/queues/{queue}"
        raise errors.TargetInvalid(
            f"{field}.Arn [{arn}] must name a built-in queue as {form}; "
            "dead letters cannot go to another kind of place yet.",
            field=f"{field}.Arn",
            expected=form,
            got=arn,
        )
    return model.DeadLetterQueue(arn=arn, echoed={key: str(value) for key, value in said.items()})


def check_qualifier(given: str, field: str) -> None:
    """Raise unless `given` is LATEST: versions and aliases are not built yet."""
    if given == "LATEST":
        return
    raise errors.VersionNotFound(
        f"{field} [{given}] does not exist: versions and aliases are not supported yet.",
        field=field,
        expected="LATEST",
        got=given,
    )


def duplicates(ids: Sequence[str]) -> set[str]:
    """Return the ids that occur more than once."""
    return {id_ for id_ in ids if ids.count(id_) > 1}


def _endpoint_length(given: str, field: str) -> None:
    most = settings.ENDPOINT_CHARS_MAX
    if len(given) > most:
        raise errors.TargetInvalid(
            f"{field} has {len(given)} characters, at most {most} are allowed.",
            field=field,
            expected=most,
            got=len(given),
        )


def _http_address(target: model.Target, field: str) -> None:
    url = targets.url_of(target)
    if not url:
        raise _no_address(field, "url")
    if target.endpoint and target.endpoint != url:
        raise errors.TargetInvalid(
            f"{field}.Endpoint [{target.endpoint}] and the parameter url [{url}] differ.",
            field=f"{field}.Endpoint",
            expected=url,
            got=target.endpoint,
        )
    schemes = ("https",) if target.type == "https" else ("http", "https")
    if not _is_url(url, schemes):
        raise errors.TargetInvalid(
            f"{field}.Endpoint [{url}] must be a {' or '.join(schemes)} URL with a host.",
            field=f"{field}.Endpoint",
            expected=schemes[0] + "://host/path",
            got=url,
        )


def _is_url(url: str, schemes: tuple[str, ...]) -> bool:
    if any(char.isspace() or not char.isprintable() for char in url):
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # a port that is no number, an unclosed bracket
        return False
    return parts.scheme.lower() in schemes and bool(parts.hostname) and port != 0


def _bad_endpoint(field: str, got: str, form: str) -> errors.TargetInvalid:
    return errors.TargetInvalid(
        f"{field}.Endpoint [{got}] must have the form {form}.",
        field=f"{field}.Endpoint",
        expected=form,
        got=got,
    )


def _no_address(field: str, key: str) -> errors.TargetInvalid:
    return errors.TargetInvalid(
        f"{field} names no destination: give Endpoint or the parameter {key}.",
        code="EventTargetMissingAttribute",
        field=f"{field}.Endpoint",
    )


def check_own(parsed: names.Arn, account: str, field: str) -> None:
    """Raise TargetInvalid if an ARN belongs to another account."""
    if parsed.account == account:
        return
    raise errors.TargetInvalid(
        f"{field} belongs to the account [{parsed.account}]; it must be of the own, [{account}].",
        field=field,
        expected=account,
        got=parsed.account,
    )


def _check_same(field: str, parsed: names.Arn | None, key: str, named: str | None) -> None:
    if parsed is None or not named or parsed.name == named:
        return
    raise errors.TargetInvalid(
        f"{field}.Endpoint names [{parsed.name}] and the parameter {key} says [{named}].",
        field=f"{field}.Endpoint",
        expected=named,
        got=parsed.name,
    )


def _check_id(given: str, field: str) -> None:
    if not given:
        raise errors.MissingParameter(f"{field} is required.", field=field)
    try:
        names.check_target_id(given)
    except errors.InvalidInput as invalid:
        raise errors.TargetInvalid(
            f"{field} [{given[:128]}] must be 1-255 characters without white space, / and |.",
            field=field,
            got=given[:128],
        ) from invalid
