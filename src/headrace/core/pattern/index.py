"""Many patterns against one event, by filing each under one thing an event must have to match.

Owns the choice of that thing, the *access*, and the lookups; judging a field is `evaluate`'s
business, and whatever an access does not prove is verified by the pattern's own conditions, so the
index decides speed and never the answer. Design and measurements: spec patterns.md section 4. In
order of preference:

    signature  all plain-value fields together: one dict per set of paths, keyed by their printed
    texts affix      a prefix or suffix: one dict per length and path numeric    a range: one
    interval tree per path present    any other test a present scalar must pass: one list per path
    always     patterns that an event lacking all their fields may match

The cost for an event is the number of distinct signatures plus the candidates found, hardly the
number of rules.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, cast

from headrace.core import jsonpath, jsontext
from headrace.core.pattern import predicates
from headrace.core.pattern.evaluate import NO_DATA, Condition, Pattern
from headrace.core.pattern.fold import Check
from headrace.core.pattern.intervals import Intervals

#: A pattern is filed under at most this many keys of a signature; wider fields are verified
#: instead.
SIGNATURE_KEYS_MAX = 64

#: Rule id and what is left to verify: (path number, check) of each condition.
Entry = tuple[int, tuple[tuple[int, Check], ...]]
#: What one key of a signature leads to: ids that need no verifying, and entries that do.
Filed = tuple[tuple[int, ...], tuple[Entry, ...]]
#: Takes a key from the keys of an event, and finds what is filed under it.
LookUp = tuple[Callable[[list[Any]], Any], Callable[[Any], Filed | None]]
#: Values of the event by path number.
Values = list[Any]
#: Children of a step in the tree of paths: path number or -1, and its own children.
_Children = dict[str, tuple[int, "_Children"]]


class Matcher:
    """A set of numbered patterns. Immutable: when a rule changes, build a new one, swap it in."""

    def __init__(self, rules: Iterable[tuple[int, Pattern]]) -> None:
        paths = _Paths()
        filing = _Filing(paths)
        #: Whether `data` can make a difference; if not, `match` takes events without it.
        self.reads_data = False
        for rule, pattern in rules:
            filing.add(rule, pattern)
            self.reads_data = self.reads_data or pattern.reads_data
        self._paths = paths
        self._signatures = [_Signature(of, filed) for of, filed in filing.signatures.items()]
        self._look_ups = [signature.look_up for signature in self._signatures]
        self._exact = sorted({path for signature in self._signatures for path in signature.of})
        self._look_ups_by_path = {
            path: [signature.look_up for signature in self._signatures if path in signature.of]
            for path in self._exact
        }
        self._affixes = [_Affixes(of, filed) for of, filed in filing.affixes.items()]
        self._numerics = [(of, Intervals(filed)) for of, filed in filing.numerics.items()]
        self._presents = [(of, tuple(filed)) for of, filed in filing.presents.items()]
        self._always = tuple(filing.always)

    def match(self, fields: Mapping[str, Any]) -> list[int]:
        """Return the ids of the patterns the event matches, ascending."""
        values = self._paths.read(fields)
        hits: list[int] = []
        self._match_exact(values, hits)
        for affixes in self._affixes:
            affixes.find(values, hits)
        for path, intervals in self._numerics:
            _find_numeric(intervals, path, values, hits)
        for path, entries in self._presents:
            kind = values[path].__class__
            if kind is not jsonpath.Missing and kind is not dict:
                _verify(entries, values, hits)
        if self._always:
            _verify(self._always, values, hits)
        # An array in the event may lead to one rule by several of its elements.
        return sorted(set(hits)) if len(hits) > 1 else hits

    def _match_exact(self, values: Values, hits: list[int]) -> None:
        keys = values
        arrays: list[int] = []
        for path in self._exact:
            value = values[path]
            if type(value) is not str and type(value) is not jsonpath.Missing:
                if keys is values:
                    keys = values[:]
                keys[path] = key = _key(value)
                if type(key) is frozenset:
                    arrays.append(path)
        _look_up(self._look_ups, keys, values, hits)
        for path in arrays:
            elements: frozenset[Any] = keys[path]
            for keys[path] in elements:
                _look_up(self._look_ups_by_path[path], keys, values, hits)
            keys[path] = elements
        if len(arrays) > 1:
            for signature in self._signatures:
                signature.look_up_arrays(keys, values, hits)


def _look_up(look_ups: Sequence[LookUp], keys: Values, values: Values, hits: list[int]) -> None:
    for key_of, find in look_ups:
        filed = find(key_of(keys))
        if filed is not None:
            hits.extend(filed[0])
            if filed[1]:
                _verify(filed[1], values, hits)


def _key(value: Any) -> Any:
    """The key of a present value: its printed text, None for null, a set of them for an array."""
    if type(value) is list:
        items = predicates.flat(value)
        return jsonpath.MISSING if items is None else frozenset(map(_key, items))
    if type(value) is dict:
        return jsonpath.MISSING
    return None if value is None else jsontext.printed(value)


def _verify(entries: Sequence[Entry], values: Values, hits: list[int]) -> None:
    for rule, checks in entries:
        for path, check in checks:
            if not check(values[path]):
                break
        else:
            hits.append(rule)


def _find_numeric(intervals: Intervals[Entry], path: int, values: Values, hits: list[int]) -> None:
    value = values[path]
    found: list[Entry] = []
    for number in predicates.flat(value) or ():
        if type(number) is int or type(number) is jsontext.Float or type(number) is float:
            intervals.at(number, found)
    if found:
        _verify(found, values, hits)


class _Paths:
    """Numbers the paths that patterns name, and reads all of them from an event in one walk."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[bool, tuple[jsonpath.Step, ...]], int] = {}
        self._attributes: list[tuple[str, int]] = []
        self._tree: _Children = {}
        self._odd: list[tuple[int, tuple[jsonpath.Step, ...]]] = []
        self._blank: Values = []
        self._blank_no_data: Values = []

    def number(self, condition: Condition) -> int:
        path = (condition.in_data, condition.steps)
        number = self._numbers.get(path)
        if number is None:
            number = self._numbers[path] = len(self._numbers)
            self._add(condition, number)
        return number

    def _add(self, condition: Condition, number: int) -> None:
        self._blank.append(jsonpath.MISSING)
        self._blank_no_data.append(NO_DATA if condition.in_data else jsonpath.MISSING)
        names = [step for step in condition.steps if type(step) is str]
        if not condition.in_data:
            self._attributes.append((condition.field, number))
        elif len(names) < len(condition.steps):
            self._odd.append((number, condition.steps))
        else:
            children = self._tree
            for name in names[:-1]:
                children = children.setdefault(name, (-1, {}))[1]
            _, below = children.get(names[-1], (-1, {}))
            children[names[-1]] = (number, below)

    def read(self, fields: Mapping[str, Any]) -> Values:
        data = fields.get("data")
        values = (self._blank_no_data if data is None else self._blank)[:]
        for name, number in self._attributes:
            if name in fields:
                values[number] = fields[name]
        if data is not None:
            if type(data) is dict:
                _fill(self._tree, cast("dict[str, Any]", data), values)
            for number, steps in self._odd:
                values[number] = jsonpath.find(steps, data)
        return values


def _fill(children: _Children, members: dict[str, Any], values: Values) -> None:
    """Read the tree's paths from an object, walking whichever of the two has fewer names."""
    if len(members) < len(children):
        for name, value in members.items():
            child = children.get(name)
            if child is not None:
                _take(child, value, values)
    else:
        for name, child in children.items():
            if name in members:
                _take(child, members[name], values)


def _take(child: tuple[int, _Children], value: Any, values: Values) -> None:
    number, below = child
    if number >= 0:
        values[number] = value
    if below and type(value) is dict:
        _fill(below, cast("dict[str, Any]", value), values)


class _Filing:
    """Decides under which access each pattern is filed, and collects the entries."""

    def __init__(self, paths: _Paths) -> None:
        self._paths = paths
        self.signatures: dict[tuple[int, ...], dict[Any, list[Entry]]] = {}
        self.affixes: dict[tuple[int, str], dict[str, list[Entry]]] = {}
        self.numerics: defaultdict[int, list[tuple[float, float, Entry]]] = defaultdict(list)
        self.presents: defaultdict[int, list[Entry]] = defaultdict(list)
        self.always: list[Entry] = []

    def add(self, rule: int, pattern: Pattern) -> None:
        numbered = [(self._paths.number(c), c) for c in pattern.conditions]
        filed = (
            self._by_signature(rule, numbered)
            or self._by_affix(rule, numbered)
            or self._by_range(rule, numbered)
            or self._by_presence(rule, numbered)
        )
        if not filed:
            self.always.append(_entry(rule, numbered))

    def _by_signature(self, rule: int, numbered: list[tuple[int, Condition]]) -> bool:
        chosen: list[tuple[int, tuple[str | None, ...]]] = []
        proven: set[int] = set()
        product = 1
        exact = [(keys, at) for at, (_, c) in enumerate(numbered) if (keys := c.exact_keys())]
        for keys, at in sorted(exact, key=lambda one: len(one[0])):
            if chosen and product * len(keys) > SIGNATURE_KEYS_MAX:
                break
            product *= len(keys)
            chosen.append((numbered[at][0], keys))
            proven.add(at)
        if not chosen:
            return False
        chosen.sort(key=itemgetter(0))
        entry = _entry(rule, [one for at, one in enumerate(numbered) if at not in proven])
        bucket = self.signatures.setdefault(tuple(path for path, _ in chosen), {})
        for key in itertools.product(*(keys for _, keys in chosen)):
            bucket.setdefault(_joined(key), []).append(entry)
        return True

    def _by_affix(self, rule: int, numbered: list[tuple[int, Condition]]) -> bool:
        choices = [(path, a) for path, c in numbered if (a := _affixes_of(c))]
        if not choices:
            return False
        # The longest of shortest affixes leaves the fewest candidates.
        path, affixes = max(choices, key=lambda choice: min(len(a.text) for a in choice[1]))
        entry = _entry(rule, numbered)
        for affix in dict.fromkeys(affixes):
            filed = self.affixes.setdefault((path, affix.operator), {})
            filed.setdefault(affix.text, []).append(entry)
        return True

    def _by_range(self, rule: int, numbered: list[tuple[int, Condition]]) -> bool:
        choices = [(path, r) for path, c in numbered if (r := _ranges_of(c))]
        if not choices:
            return False
        path, ranges = min(choices, key=lambda choice: sum(r.high - r.low for r in choice[1]))
        entry = _entry(rule, numbered)
        self.numerics[path].extend((r.low, r.high, entry) for r in ranges)
        return True

    def _by_presence(self, rule: int, numbered: list[tuple[int, Condition]]) -> bool:
        for path, condition in numbered:
            if not condition.accepts_missing:
                self.presents[path].append(_entry(rule, numbered))
                return True
        return False


def _entry(rule: int, numbered: Iterable[tuple[int, Condition]]) -> Entry:
    return rule, tuple((path, condition.check) for path, condition in numbered)


def _affixes_of(condition: Condition) -> list[predicates.Prefix | predicates.Suffix]:
    """The prefixes and suffixes one of which a value must have; empty if it need have none."""
    found: list[predicates.Prefix | predicates.Suffix] = []
    for test in condition.tests:
        parts = test.tests if isinstance(test, predicates.AllOf) else (test,)
        affixes = [p for p in parts if isinstance(p, predicates.Prefix | predicates.Suffix)]
        if not affixes:
            return []
        found.append(max(affixes, key=lambda affix: len(affix.text)))
    return found


def _ranges_of(condition: Condition) -> list[predicates.Numeric]:
    """The ranges one of which must hold a value; empty if it need be in none."""
    ranges = [test for test in condition.tests if isinstance(test, predicates.Numeric)]
    return ranges if len(ranges) == len(condition.tests) else []


class _Signature:
    """Patterns filed under the plain values of one set of paths."""

    def __init__(self, of: tuple[int, ...], filed: dict[Any, list[Entry]]) -> None:
        self.of = of
        self._filed = {key: _split(entries) for key, entries in filed.items()}
        #: Takes the key, a tuple or the one path's, from the keys of an event; then the dict's get.
        self.look_up: LookUp = (
            cast("Callable[[Values], Any]", itemgetter(*of)),
            self._filed.get,
        )

    def look_up_arrays(self, keys: Values, values: Values, hits: list[int]) -> None:
        """Find what the elements of arrays lead to if two or more of the paths hold one."""
        parts = [keys[path] for path in self.of]
        if sum(type(part) is frozenset for part in parts) < 2:
            return
        sets: list[frozenset[Any]] = [
            part if type(part) is frozenset else frozenset((part,)) for part in parts
        ]
        # Two long arrays make more pairs than there are rules; then the rules are gone through.
        if math.prod(map(len, sets)) <= len(self._filed):
            keys_found = map(_joined, itertools.product(*sets))
        else:
            keys_found = (key for key in self._filed if self._within(key, sets))
        for key in keys_found:
            filed = self._filed.get(key)
            if filed is not None:
                hits.extend(filed[0])
                _verify(filed[1], values, hits)

    def _within(self, key: Any, sets: Sequence[frozenset[Any]]) -> bool:
        parts = cast("tuple[Any, ...]", key) if len(self.of) > 1 else (key,)
        return all(part in allowed for part, allowed in zip(parts, sets, strict=True))


def _joined(key: tuple[Any, ...]) -> Any:
    return key if len(key) > 1 else next(iter(key))


def _split(entries: Sequence[Entry]) -> Filed:
    proven = tuple(rule for rule, checks in entries if not checks)
    return proven, tuple(entry for entry in entries if entry[1])


class _Affixes:
    """Patterns filed under a prefix, or a suffix, of one path."""

    def __init__(self, of: tuple[int, str], filed: dict[str, list[Entry]]) -> None:
        self._path, operator = of
        self._from_end = operator == "suffix"
        by_length: defaultdict[int, dict[str, tuple[Entry, ...]]] = defaultdict(dict)
        for text, entries in filed.items():
            by_length[len(text)][text] = tuple(entries)
        self._by_length = sorted(by_length.items())

    def find(self, values: Values, hits: list[int]) -> None:
        value = values[self._path]
        if type(value) is str:
            self._find(value, values, hits)
        elif type(value) is list:
            for item in predicates.flat(value) or ():
                if type(item) is str:
                    self._find(item, values, hits)

    def _find(self, text: str, values: Values, hits: list[int]) -> None:
        for length, entries_by_text in self._by_length:
            if length > len(text):
                return
            entries = entries_by_text.get(text[-length:] if self._from_end else text[:length])
            if entries is not None:
                _verify(entries, values, hits)
