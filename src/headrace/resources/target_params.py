"""The ParamList of a target: which keys and forms each type has, and the check of what is sent.

Keys are compared case-insensitively and echoed as sent; every transform is compiled once to see
that it can be.
Source: EventBridge "Event target parameters" (2026-03).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from headrace.core import errors, transform
from headrace.resources import inputs, model, settings

_ANY: Final = frozenset({"ORIGINAL", "CONSTANT", "JSONPATH", "TEMPLATE"})
_CONSTANT: Final = frozenset({"CONSTANT"})


class ParamRule(msgspec.Struct, frozen=True):
    """What one ResourceKey of one type of target may be."""

    forms: frozenset[str]
    #: Allowed constants; empty = any text.
    values: tuple[str, ...] = ()


_FUNCTION_PARAMS: Final = {
    "servicename": ParamRule(_CONSTANT),
    "functionname": ParamRule(_CONSTANT),
    "qualifier": ParamRule(_CONSTANT),
    "body": ParamRule(_ANY),
    "invocationtype": ParamRule(_CONSTANT, ("Sync", "Async")),
    # ObjectList (an array per call) belongs to streams, which are not built yet.
    "dataformat": ParamRule(_CONSTANT, ("Object",)),
}
_HTTP_PARAMS: Final = {
    "url": ParamRule(_CONSTANT),
    "body": ParamRule(_ANY),
    "network": ParamRule(_CONSTANT, ("PublicNetwork", "PrivateNetwork")),
    "vpcnameandid": ParamRule(_CONSTANT),
    "vswitchesnameandid": ParamRule(_CONSTANT),
    "securitygroupnameandid": ParamRule(_CONSTANT),
    "token": ParamRule(_CONSTANT),
}
_QUEUE_PARAMS: Final = {
    "queue": ParamRule(_CONSTANT),
    "body": ParamRule(_ANY),
    "isbase64encode": ParamRule(_CONSTANT, ("true", "false")),
}

#: Type of target -> lower-cased ResourceKey -> rule.
PARAMS: Final[Mapping[str, Mapping[str, ParamRule]]] = {
    settings.FUNCTION_TARGET: _FUNCTION_PARAMS,
    settings.QUEUE_TARGET: _QUEUE_PARAMS,
    "http": _HTTP_PARAMS,
    "https": _HTTP_PARAMS,
}


def check_params(
    given: inputs.TargetInput, field: str, *, chars_max: int
) -> tuple[model.Param, ...]:
    most = settings.PARAMS_PER_TARGET_MAX
    if len(given.params) > most:
        raise errors.TargetInvalid(f"{field} has more than {most} entries.", field=field)
    known = PARAMS.get(given.type)
    params = tuple(
        _param(
            entry,
            _param_rule(entry, known, given.type, f"{field}[{index}]"),
            f"{field}[{index}]",
            chars_max,
        )
        for index, entry in enumerate(given.params)
    )
    seen: set[str] = set()
    for index, entry in enumerate(params):
        if entry.key.lower() in seen:
            at = f"{field}[{index}].ResourceKey"
            raise errors.TargetInvalid(
                f"{at} [{entry.key}] is given twice.", field=at, got=entry.key
            )
        seen.add(entry.key.lower())
    return params


def _param(given: inputs.ParamInput, rule: ParamRule, at: str, chars_max: int) -> model.Param:
    param_ = model.Param(
        key=given.key,
        form=_form(given.form, rule.forms, f"{at}.Form"),
        value=_text(given.value, f"{at}.Value", chars_max),
        template=_text(given.template, f"{at}.Template", chars_max),
    )
    if rule.values and param_.value not in rule.values:
        allowed = " or ".join(rule.values)
        raise errors.TargetInvalid(
            f"{at}.Value of {given.key} must be {allowed}, got [{param_.value}].",
            field=f"{at}.Value",
            expected=allowed,
            got=param_.value,
        )
    _compile(param_, at)
    return param_


def _text(given: Any, field: str, most: int) -> str | None:
    """Return JSON that is not text as text: official examples send objects and numbers here."""
    if given is None:
        return None
    text = given if isinstance(given, str) else msgspec.json.encode(given).decode()
    if len(text) > most:
        raise errors.TargetInvalid(
            f"{field} has {len(text)} characters, at most {most} are allowed.",
            field=field,
            expected=most,
            got=len(text),
        )
    return text


def _param_rule(
    given: inputs.ParamInput, known: Mapping[str, ParamRule] | None, type_: str, at: str
) -> ParamRule:
    if not given.key:
        raise errors.TargetInvalid(
            f"{at}.ResourceKey is required.",
            code="EventTargetMissingAttribute",
            field=f"{at}.ResourceKey",
        )
    rule = ParamRule(_ANY) if known is None else known.get(given.key.lower())
    if rule is None:
        keys = ", ".join(sorted(known or ()))
        raise errors.TargetInvalid(
            f"{at}.ResourceKey [{given.key}] is not a parameter of {type_}; "
            f"those are (in any case): {keys}.",
            field=f"{at}.ResourceKey",
            expected=keys,
            got=given.key,
        )
    return rule


def _form(given: str, allowed: frozenset[str], field: str) -> model.ParamForm:
    form = given.upper()
    if form not in allowed:
        forms = ", ".join(sorted(allowed))
        raise errors.TargetInvalid(
            f"{field} must be {forms}, got [{given}].", field=field, expected=forms, got=given
        )
    return cast("model.ParamForm", form)


def _compile(given: model.Param, at: str) -> None:
    try:
        transform.compile(given.form, given.value, given.template)
    except errors.TransformInvalid as invalid:
        field = f"{at}.{invalid.field}" if invalid.field else at
        raise errors.TransformInvalid(
            f"{at} ({given.key}): {invalid.message}",
            field=field,
            expected=invalid.expected,
            got=invalid.got,
        ) from invalid
