"""Event patterns in the Alibaba dialect: compiling, matching one or many, explaining a refusal.

The dialect is spec patterns.md section 5. Nothing in this package reads a clock, keeps state
between events or runs a user's regular expression.

    parse       pattern text -> tree -> validated conditions; every refusal names its field
    lenient     the JSON reader for what strict JSON refuses and the dialect takes
    predicates  the tests a field may ask for
    fold        the tests of one field as one quick check
    evaluate    Condition and Pattern: one pattern against one event
    index       Matcher: many patterns against one event
    explain     why a pattern does not match an event
"""

from __future__ import annotations

from headrace.core.pattern.evaluate import Condition, Pattern
from headrace.core.pattern.explain import Explanation, Failure, explain
from headrace.core.pattern.index import Matcher
from headrace.core.pattern.parse import ATTRIBUTES, PATTERN_BYTES_MAX, TERMS_MAX, compile

__all__ = [
    "ATTRIBUTES",
    "PATTERN_BYTES_MAX",
    "TERMS_MAX",
    "Condition",
    "Explanation",
    "Failure",
    "Matcher",
    "Pattern",
    "compile",
    "explain",
]
