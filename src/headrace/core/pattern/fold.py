"""The alternatives of one field as one check that costs little more than the dearest of them.

Owns speed only: a folded check gives the answer the tests give one by one. It matters for long
arrays, where every test saved is saved for each element (security.md S12).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from headrace.core import jsontext
from headrace.core.pattern import predicates

#: Whether a value passes.
Check = Callable[[Any], bool]


def fold(tests: Sequence[predicates.Test]) -> Check:
    """Return a check of scalars that passes what any of the tests accepts."""
    texts = frozenset(
        test.text for test in tests if isinstance(test, predicates.Equals) and test.text is not None
    )
    null = predicates.Equals(None) in tests
    of_texts = _string_checks(tests)
    of_numbers = [test.accepts for test in tests if isinstance(test, predicates.Numeric)]
    of_all = _anything_but(tests) + [test.accepts for test in tests if _stands_alone(test)]

    def accepts(value: Any) -> bool:
        if type(value) is str:
            return value in texts or _any(of_texts, value) or _any(of_all, value)
        if value is None:
            return null or _any(of_all, value)
        if texts and jsontext.printed(value) in texts:
            return True
        return _any(of_numbers, value) or _any(of_all, value)

    return accepts


def _any(checks: list[Check], value: Any) -> bool:
    # A loop, because a generator costs more than the one check there mostly is.
    for check in checks:  # noqa: SIM110
        if check(value):
            return True
    return False


def _stands_alone(test: predicates.Test) -> bool:
    return isinstance(test, predicates.AnythingButAffix | predicates.Exists | predicates.AllOf)


def _string_checks(tests: Sequence[predicates.Test]) -> list[Check]:
    """The checks only strings can pass: affixes in one call each, an address read once."""
    prefixes = tuple(test.text for test in tests if isinstance(test, predicates.Prefix))
    suffixes = tuple(test.text for test in tests if isinstance(test, predicates.Suffix))
    checks: list[Check] = []
    if prefixes:
        checks.append(lambda text: text.startswith(prefixes))
    if suffixes:
        checks.append(lambda text: text.endswith(suffixes))
    addresses = _addresses(tests)
    if addresses is not None:
        checks.append(addresses)
    checks += [test.accepts for test in tests if isinstance(test, predicates.Contains)]
    return checks


def _addresses(tests: Sequence[predicates.Test]) -> Check | None:
    blocks = [(test.network, test.broadcast) for test in tests if isinstance(test, predicates.Cidr)]
    single = {test.address for test in tests if isinstance(test, predicates.Address)}
    if not blocks and not single:
        return None

    def accepts(text: str) -> bool:
        address = predicates.ip(text)
        if address is None:
            return False
        version, number = address
        in_block = version == 4 and any(low < number < high for low, high in blocks)
        return in_block or address in single

    return accepts


def _anything_but(tests: Sequence[predicates.Test]) -> list[Check]:
    """Several of them exclude together what all of them exclude."""
    excluding = [test for test in tests if isinstance(test, predicates.AnythingBut)]
    if not excluding:
        return []
    texts = excluding[0].texts
    for test in excluding[1:]:
        texts &= test.texts
    return [predicates.AnythingBut(texts, all(test.null for test in excluding)).accepts]
