"""core/pattern: the parts of the dialect, and of ours, that the vectors do not reach."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.core import errors, jsontext, pattern
from headrace.core.pattern import parse


def matches(pattern_text: str, event_text: str) -> bool:
    return pattern.compile(pattern_text).matches(jsontext.decode(event_text))


def on_data(test: str, value: str) -> bool:
    return matches(f'{{"data":{{"a":[{test}]}}}}', f'{{"data":{{"a":{value}}}}}')


def refusal(pattern_text: str) -> errors.PatternInvalid:
    with pytest.raises(errors.PatternInvalid) as caught:
        pattern.compile(pattern_text)
    return caught.value


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("test", "value", "matched"),
    [
        ("true", '"true"', True),
        ('"true"', "true", True),
        ("1", "true", False),
        ("2.50", "2.50", True),
        ("2.5", "2.50", False),
        ("null", "[1,null]", True),
        ('"null"', "null", False),
        ('{"contains":"mid"}', '"a mid b"', True),
        ('{"contains":"1"}', "123", False),
        ('{"anything-but":[]}', "null", True),
        ('{"anything-but":[]}', "[]", False),
        ('{"anything-but":"x"}', '["x","y"]', True),
        ('{"anything-but":{"prefix":"x"}}', "5", True),
        ('{"numeric":[">",5]}', "true", False),
        ('{"numeric":[">",5]}', '"6"', False),
        ('{"numeric":[">",5]}', "1" + "0" * 400, True),
        ('{"numeric":[">",5]}', "1e999", True),
        ('{"numeric":["<",5,">",1]}', "3", True),
        ('{"numeric":[">",5,"<",1]}', "3", False),
        ('{"numeric":["!=",5]}', "5.00000001", False),
        ('{"numeric":["!=",5]}', "5.1", True),
        ('{"numeric":["=",5,"!=",5]}', "5", False),
        ('{"cidr":"10.0.0.77/24"}', '"10.0.0.1"', True),
        ('{"cidr":"10.0.0.0/31"}', '"10.0.0.1"', False),
        ('{"cidr":"0.0.0.0/0"}', '"8.8.8.8"', True),
        ('{"cidr":"10.0.0.0/24"}', '"10.0.0.01"', False),
        ('{"cidr":"10.0.0.0/24"}', '"10.0.0.１"', False),
        ('{"cidr":"2001:db8::1"}', '"2001:DB8:0:0::1"', True),
        ('{"cidr":"2001:db8::1"}', '"2001:db8::2"', False),
        ('{"exists":true}', '["x",{"y":1}]', False),
        ('{"exists":true}', '{"y":1}', False),
        ('{"exists":false},"x"', '"x"', True),
        ('{"prefix":"a","numeric":[">",1]}', '["ab",5]', False),
        ('{"prefix":"a","suffix":"z","contains":"m"}', '["a..z","amz"]', True),
    ],
)
def test_a_value_against_a_test(test: str, value: str, matched: bool) -> None:
    assert on_data(test, value) is matched


def test_every_field_must_hold_and_any_of_its_values_may() -> None:
    text = '{"source":["a","b"],"data":{"x":[1],"y":[2,3]}}'
    assert matches(text, '{"source":"b","data":{"x":1,"y":3}}')
    assert not matches(text, '{"source":"b","data":{"x":1,"y":4}}')
    assert not matches(text, '{"source":"c","data":{"x":1,"y":3}}')


# ---------------------------------------------------------------- paths


@pytest.mark.parametrize(
    ("key", "data", "matched"),
    [
        ("a[1]", '{"a":["y","x"]}', True),
        ("a[-1]", '{"a":["y","x"]}', True),
        ("a[2]", '{"a":["y","x"]}', False),
        ("a[0].b", '{"a":[{"b":"x"}]}', True),
        ("*.b", '{"p":{"b":"y"},"q":{"b":"x"}}', True),
        ("*.b", '{"p":{"b":{}},"q":{"b":"x"}}', False),
        ("*.*", '{"p":{"b":"y"},"q":["x"]}', True),
        ("a[*]", '{"a":["x"]}', True),
        ("['a b']", '{"a b":"x"}', True),
        ("['a.b']", '{"a.b":"x"}', True),
        ("[0]", '["x"]', True),
        ("a", '"x"', False),
    ],
)
def test_a_key_is_a_piece_of_jsonpath(key: str, data: str, matched: bool) -> None:
    text = json.dumps({"data": {key: ["x"]}})
    assert matches(text, f'{{"data":{data}}}') is matched


def test_a_dotted_key_and_its_nesting_are_one_field() -> None:
    text = '{"data":{"a.b":[{"prefix":"x"}],"a":{"b":[{"suffix":"z"}]}}}'
    assert matches(text, '{"data":{"a":{"b":"xyz"}}}')
    assert not matches(text, '{"data":{"a":{"b":"xy"}}}')


@pytest.mark.parametrize("data", ["", ',"data":null'])
def test_without_data_no_pattern_on_data_matches_not_even_exists_false(data: str) -> None:
    assert not matches('{"data":{"a":[{"exists":false}]}}', f'{{"id":"1"{data}}}')


def test_exists_false_holds_for_an_absent_attribute() -> None:
    assert matches('{"subject":[{"exists":false}]}', '{"id":"1"}')


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("text", "field", "word"),
    [
        ('{"foo":["x"]}', "foo", "source"),
        ('{"$or":[{"source":["x"]}]}', "$or", "source"),
        ('{"data":{"a":{"b":"x"}}}', "data.a.b", "array"),
        ('{"data":{"a":[["x"]]}}', "data.a", "scalar"),
        ('{"data":{"":["x"]}}', "data.", "name"),
        ('{"data":{"a..b":["x"]}}', "data.a..b", "a.b"),
        ('{"data":{"a b":["x"]}}', "data.a b", "['any text']"),
        ('{"data":{"a[?(@.x)]":["x"]}}', "data.a[?(@.x)]", "name"),
        ('{"data":{"f()":["x"]}}', "data.f()", "name"),
        ('{"type":[{"contains":""}]}', "type.contains", "non-empty string"),
        ('{"type":[{"prefix":""}]}', "type.prefix", "non-empty string"),
        ('{"type":[{"prefixx":"a"}]}', "type", "prefix"),
        ('{"type":[{"anything-but":{"prefix":["a"]}}]}', "type.anything-but.prefix", "string"),
        ('{"type":[{"anything-but":{"contains":"a"}}]}', "type.anything-but", "suffix"),
        ('{"type":[{"numeric":[">",1e10]}]}', "type.numeric", "1e9"),
        ('{"type":[{"numeric":[">",true]}]}', "type.numeric", "number"),
        ('{"type":[{"numeric":[">"]}]}', "type.numeric", "pairs"),
        ('{"type":[{"numeric":[["="],1]}]}', "type.numeric", "!="),
        ('{"type":[{"cidr":"2001:db8::/32"}]}', "type.cidr", "IPv4"),
        ('{"type":[{"cidr":"10.0.0.0/+8"}]}', "type.cidr", "IPv4"),
        ('{"type":[{"cidr":"fe80::1%eth0"}]}', "type.cidr", "IPv4"),
        ('{"type":[{"exists":"true"}]}', "type.exists", "true or false"),
    ],
)
def test_a_refusal_names_the_field_and_what_was_expected(text: str, field: str, word: str) -> None:
    refused = refusal(text)
    assert refused.field == field
    assert word in str(refused.expected)
    assert field in refused.message
    assert refused.code == "EventRuleFilterPatternSchemaError"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"source":["x"]} trailing', "character 18"),
        ("{'source':['x',]}", "character 16"),
        ('{"source":[x]}', "character 12"),
        ('{"source":["x"', "the end"),
        ('{"source":["\ud800"]}', "character 12"),
        ('{"source":["\\ud800"]}', "character 12"),
        ("[" * 5_000, "64 levels"),
    ],
)
def test_text_that_is_not_json_is_refused_with_the_place(text: str, where: str) -> None:
    refused = refusal(text)
    assert where in refused.message
    json.dumps(refused.got).encode()


def test_single_quotes_and_bare_names_are_read_as_the_engine_reads_them() -> None:
    text = "{source:['say \"hi\"','it\\'s'], 'data' : {n:[3.0e2,-1,null,true]}}"
    strict = '{"source":["say \\"hi\\"","it\'s"],"data":{"n":[3.0e2,-1,null,true]}}'
    ours, theirs = pattern.compile(text), pattern.compile(strict)
    assert [c.tests for c in ours.conditions] == [c.tests for c in theirs.conditions]
    assert [c.field for c in ours.conditions] == ["source", "data.n"]


# ---------------------------------------------------------------- limits


def test_a_pattern_of_8_kib_is_taken_and_one_byte_more_is_not() -> None:
    frame = '{"source":[""]}'
    fits = '{"source":["' + "x" * (parse.PATTERN_BYTES_MAX - len(frame)) + '"]}'
    assert pattern.compile(fits).conditions
    assert "8192 bytes" in refusal(fits.replace("x", "xx", 1)).message
    assert "8192 bytes" in refusal('{"source":["' + "文" * 3_000 + '"]}').message


def test_more_than_1000_terms_are_refused() -> None:
    values = ",".join(str(n % 10) for n in range(parse.TERMS_MAX))
    assert pattern.compile(f'{{"source":[{values}]}}').conditions
    assert "1000" in refusal(f'{{"source":[{values},1]}}').message
    but = f'{{"source":[{{"anything-but":[{values}]}}]}}'
    assert "1000" in refusal(but).message


def test_costly_tests_have_their_own_limits() -> None:
    contains = ",".join('{"contains":"a"}' for _ in range(parse.CONTAINS_MAX + 1))
    assert "contains" in refusal(f'{{"source":[{contains}]}}').message
    assert "`*`" in refusal('{"data":{"*.*.*.*.*":["x"]}}').message
    prefixes = ",".join('{"prefix":"a"}' for _ in range(parse.FIELD_EXPRESSIONS_MAX + 1))
    assert "expressions" in refusal(f'{{"source":[{prefixes}]}}').message


def test_the_cloud_s_quota_of_expressions_is_there_for_strict_limits() -> None:
    five = ",".join('{"prefix":"a"}' for _ in range(5))
    most = parse.FIELD_EXPRESSIONS_MAX_STRICT
    pattern.compile(f'{{"source":[{five},"plain","values"]}}', field_expressions_max=most)
    with pytest.raises(errors.PatternInvalid, match="expressions"):
        pattern.compile(f'{{"source":[{five},{{"prefix":"b"}}]}}', field_expressions_max=most)


def test_nesting_deeper_than_64_is_refused() -> None:
    def nested(levels: int) -> str:
        return '{"data":' + '{"a":' * levels + '["x"]' + "}" * levels + "}"

    assert pattern.compile(nested(64)).conditions
    assert "64" in refusal(nested(65)).message
    assert "64" in refusal(nested(1_000)).message


# ---------------------------------------------------------------- explain


def explained(pattern_text: str, event_text: str) -> pattern.Explanation:
    return pattern.explain(pattern.compile(pattern_text), jsontext.decode(event_text))


def test_explain_lists_every_failing_field_in_the_order_of_the_pattern() -> None:
    told = explained(
        '{"source":["a"],"type":["t"],"data":{"n":[{"numeric":[">",5]},"all"]}}',
        '{"source":"b","type":"t","data":{"n":3}}',
    )
    assert not told.matched
    assert [failure.path for failure in told.failures] == ["source", "data.n"]
    assert told.first == told.failures[0]
    last = told.failures[1]
    assert (last.operator, last.expected, last.got) == (
        "numeric | equals",
        '[{"numeric":[">",5]},"all"]',
        "3",
    )


def test_explain_of_a_match_has_no_failures() -> None:
    told = explained('{"source":["a"]}', '{"source":"a"}')
    assert told == pattern.Explanation(matched=True)
    assert told.first is None


@pytest.mark.parametrize(
    ("pattern_text", "event_text", "hint"),
    [
        ('{"data":{"a":[300]}}', '{"data":{"a":300.0}}', "same number spelt otherwise"),
        ('{"data":{"a":[3e2]}}', '{"data":{"a":3e2}}', "same number spelt otherwise"),
        ('{"source":["a"]}', '{"source":"A"}', "same but for case"),
        ('{"source":["a"]}', '{"source":"a "}', "blanks"),
        ('{"source":[{"prefix":"ab"}]}', '{"source":"ABC"}', "same but for case"),
        ('{"data":{"a":[{"prefix":"1"}]}}', '{"data":{"a":12}}', "strings only"),
        ('{"data":{"a":[{"numeric":[">",1]}]}}', '{"data":{"a":"2"}}', "numbers only"),
        ('{"data":{"a":[null]}}', '{"data":{"a":"null"}}', "different values"),
        ('{"data":{"a":["x"]}}', "{}", "no data"),
        ('{"data":{"a":["x"]}}', '{"data":{"A":"x"}}', "case-sensitive"),
        ('{"data":{"a":{"b":["x"]}}}', '{"data":{"a.b":"x"}}', "with a dot in it"),
        ('{"data":{"a":{"b":["x"]}}}', '{"data":{"a":[{"b":"x"}]}}', "arrays of objects"),
        ('{"data":{"a":{"b":["x"]}}}', '{"data":{"a":5}}', "not an object"),
        ('{"data":{"a":["x"]}}', '{"data":{"a":[]}}', "empty array"),
        ('{"data":{"a":["x"]}}', '{"data":{"a":["x",[]]}}', "holds objects or arrays"),
        ('{"data":{"a":["x"]}}', '{"data":{"a":{}}}', "name the fields inside"),
        ('{"data":{"a":[{"cidr":"10.0.0.0/8"}]}}', '{"data":{"a":"10.0.0.0"}}', "broadcast"),
        (
            '{"source":[{"prefix":"q","suffix":"Z"}]}',
            '{"source":"qz"}',
            "same but for case",
        ),
    ],
)
def test_explain_says_what_nearly_matched(pattern_text: str, event_text: str, hint: str) -> None:
    told = explained(pattern_text, event_text)
    assert told.first is not None
    assert hint in told.first.hint
    assert told.first.sentence().startswith(f"{told.first.path}: expected ")


@pytest.mark.parametrize(
    ("pattern_text", "event_text"),
    [
        ('{"data":{"a":[9007199254740993]}}', '{"data":{"a":9007199254740992}}'),
        ('{"source":["a"]}', '{"source":"b"}'),
        ('{"source":["a"]}', "{}"),
    ],
)
def test_explain_hints_at_nothing_where_nothing_is_near(pattern_text: str, event_text: str) -> None:
    told = explained(pattern_text, event_text)
    assert told.first is not None
    assert told.first.hint == ""


def test_explain_cuts_long_values() -> None:
    told = explained('{"data":{"a":["x"]}}', json.dumps({"data": {"a": "y" * 10_000}}))
    assert told.first is not None
    assert len(told.first.got) == 200
    assert told.first.got.endswith("...")


# ---------------------------------------------------------------- matcher


def rules(*texts: str) -> pattern.Matcher:
    return pattern.Matcher((n, pattern.compile(text)) for n, text in enumerate(texts))


def test_ids_come_out_ascending_whatever_the_order_of_the_rules() -> None:
    everything = pattern.compile("{}")
    source = pattern.compile('{"source":["a"]}')
    matcher = pattern.Matcher([(9, everything), (3, source), (-1, everything), (5, source)])
    assert matcher.match({"source": "a"}) == [-1, 3, 5, 9]
    assert matcher.match({"source": "b"}) == [-1, 9]


def test_an_empty_matcher_matches_nothing_and_reads_no_data() -> None:
    matcher = rules()
    assert matcher.match({"source": "a", "data": {}}) == []
    assert not matcher.reads_data


def test_a_matcher_reads_data_when_one_of_its_rules_does() -> None:
    assert not rules('{"source":["a"]}', "{}").reads_data
    assert rules('{"source":["a"]}', '{"data":{"x":[1]}}').reads_data


def test_a_rule_found_by_two_elements_of_an_array_is_named_once() -> None:
    matcher = rules(
        '{"data":{"a":["x","y"]}}',
        '{"data":{"a":[{"prefix":"x"},{"prefix":"y"}]}}',
        '{"data":{"n":[{"numeric":[">",1]},{"numeric":["<",9]}]}}',
    )
    assert matcher.match({"data": {"a": ["x", "y"], "n": [3, 4]}}) == [0, 1, 2]


def test_two_long_arrays_under_one_signature_do_not_multiply() -> None:
    """600 x 600 pairs against 3 rules: found by going through the rules."""
    matcher = rules(
        '{"data":{"a":["599"],"b":["0"]}}',
        '{"data":{"a":["600"],"b":["0"]}}',
        '{"data":{"a":["0"],"b":["599"]}}',
    )
    many = [str(n) for n in range(600)]
    assert matcher.match({"data": {"a": many, "b": many}}) == [0, 2]


def test_a_field_with_more_values_than_a_signature_takes_is_still_exact() -> None:
    wide = ",".join(f'"v{n}"' for n in range(200))
    matcher = rules(
        f'{{"source":[{wide}]}}',
        f'{{"source":[{wide}],"type":[{wide}],"data":{{"k":["1","2"]}}}}',
    )
    event: dict[str, Any] = {"source": "v199", "type": "v0", "data": {"k": 2}}
    assert matcher.match(event) == [0, 1]
    assert matcher.match({**event, "type": "v200"}) == [0]


def test_overlapping_ranges_are_all_found_and_open_ends_respected() -> None:
    texts = [f'{{"data":{{"n":[{{"numeric":[">=",{n},"<",{n + 10}]}}]}}}}' for n in range(100)]
    matcher = rules(*texts, '{"data":{"n":[{"numeric":["!=",50]}]}}')
    assert matcher.match({"data": {"n": 50}}) == list(range(41, 51))
    assert matcher.match({"data": {"n": jsontext.decode(b"5e1")}}) == list(range(41, 51))
    assert matcher.match({"data": {"n": -1}}) == [100]
    assert matcher.match({"data": {"n": "50"}}) == []
