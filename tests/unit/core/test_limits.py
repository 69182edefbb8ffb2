"""The bounds: the cloud's table word for word, ours never narrower, all of them listed."""

from __future__ import annotations

from headrace.core import limits


def test_strict_limits_are_the_clouds_table() -> None:
    strict = limits.STRICT
    assert (strict.event_bytes_max, strict.request_events_max) == (256 * 1024, 16)
    assert strict.request_bytes_max == 1024 * 1024
    assert (strict.id_chars_max, strict.source_chars_max) == (128, 128)
    assert (strict.subject_chars_max, strict.type_chars_max) == (512, 64)
    assert (strict.rules_per_bus_max, strict.targets_per_rule_max) == (50, 5)
    assert (strict.expressions_per_field_max, strict.template_chars_max) == (5, 10_240)
    assert strict.buses_max == 50


def test_our_own_limits_are_nowhere_narrower() -> None:
    for bound in limits.listed():
        if isinstance(bound.wide, bool) or bound.wide is None or bound.strict is None:
            continue
        assert bound.wide >= bound.strict, bound.name


def test_every_limit_is_listed_once_by_name() -> None:
    names = [bound.name for bound in limits.listed()]
    assert len(names) == len(set(names))
    assert {"event_bytes_max", "depth_max", "signature_window_ms", "nonce_entries_max"} <= set(
        names
    )
    assert "mib" not in names
