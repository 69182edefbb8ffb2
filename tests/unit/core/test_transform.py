"""core/transform: what the vectors do not reach, above all that data stays data."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.core import errors, jsonpath, jsontext, transform


def applied(form: str, value: str | None, template: str | None, event: Any) -> str | None:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return transform.compile(form, value, template).apply(None, body)


def rendered(template: str, value: dict[str, Any], data: Any) -> str | None:
    return applied("TEMPLATE", json.dumps(value), template, {"data": data})


# ---------------------------------------------------------------- forms and limits


def test_original_is_the_body_byte_for_byte_and_needs_no_decoding() -> None:
    original = transform.compile("ORIGINAL", "ignored", "ignored")
    assert not original.reads_fields
    assert original.apply(None, b'{ "a" : 1.50 }') == '{ "a" : 1.50 }'


def test_original_may_be_as_long_as_the_event() -> None:
    body = b'"' + b"x" * 1_000_000 + b'"'
    assert transform.compile("ORIGINAL", None).apply(None, body) == body.decode()


def test_a_constant_is_not_looked_into() -> None:
    assert applied("CONSTANT", "${a} $.id", None, {"id": "1"}) == "${a} $.id"
    assert not transform.compile("CONSTANT", "x").reads_fields


@pytest.mark.parametrize(
    ("form", "value", "template", "field"),
    [
        ("original", None, None, "Form"),
        ("JSONPATH", "$." + "x" * 10_240, None, "Value"),
        ("CONSTANT", "x" * 10_241, None, "Value"),
        ("TEMPLATE", "{}", "x" * 10_241, "Template"),
        ("TEMPLATE", "{}", None, "Template"),
        ("TEMPLATE", '{"a":null}', "x", "Value.a"),
        ("TEMPLATE", '{"a":"\ud800"}', "x", "Value"),
        ("TEMPLATE", '{"a":"${b}","b":"x ${a}"}', "${a}", "Value"),
    ],
)
def test_what_cannot_be_built_is_refused_with_its_field(
    form: str, value: str | None, template: str | None, field: str
) -> None:
    with pytest.raises(errors.TransformInvalid) as refused:
        transform.compile(form, value, template)
    assert refused.value.field == field
    json.dumps([refused.value.message, str(refused.value.got)]).encode()


def test_10240_characters_are_taken() -> None:
    assert applied("CONSTANT", "文" * 10_240, None, {}) == "文" * 10_240


# ---------------------------------------------------------------- paths


@pytest.mark.parametrize(
    "text",
    ["$.a", " $.a ", "$['a']", '$["a"]', "$.['a']", "$[ 'a' ]", "$.b[0].c", "$.b[-1]['c']"],
)
def test_definite_paths(text: str) -> None:
    assert applied("JSONPATH", text, None, {"a": "v", "b": [{"c": "v"}]}) == "v"


@pytest.mark.parametrize(
    "text",
    [
        "$..a",
        "$.a b",
        "$.b[0:1]",
        "$.b[?(@.c)]",
        "$.b[(@.length-1)]",
        "$['a','b']",
        "$.a.",
        "$a",
        "$['a",
        "$.b[99999999999]",
        "id",
    ],
)
def test_any_other_text_is_a_constant(text: str) -> None:
    assert applied("JSONPATH", text, None, {"a": "v", "b": [{"c": "v"}]}) == text


def test_quotes_and_backslashes_in_bracketed_names() -> None:
    assert applied("JSONPATH", r"$['it\'s']", None, {"it's": 1}) == "1"
    assert applied("JSONPATH", r"$['a\\b']", None, {"a\\b": 1}) == "1"


def test_a_function_fails_on_the_event() -> None:
    path = jsonpath.parse("$.a.length()")
    assert path is not None
    assert path.function == "length"
    with pytest.raises(transform.Failed, match=r"length\(\)"):
        applied("JSONPATH", "$.a.length()", None, {"a": [1]})
    with pytest.raises(transform.Failed, match=r"length\(\)"):
        applied("TEMPLATE", '{"n":"$.a.length()"}', "${n}", {"a": [1]})


# ---------------------------------------------------------------- positions in JSON templates


@pytest.mark.parametrize(
    ("template", "data", "text"),
    [
        ('{"v":"${a}"}', "x", '{"v":"x"}'),
        ('{"v":"${a}"}', '"', '{"v":"\\""}'),
        ('{"v":"<${a}>"}', "\\", '{"v":"<\\\\>"}'),
        ('{"v":${a}}', "x", '{"v":"x"}'),
        ('{"v":${a}}', "", '{"v":""}'),
        ('{"v":${a}}', "5", '{"v":"5"}'),
        ('{"v":${a}}', 5, '{"v":5}'),
        ('{"v":${a}}', True, '{"v":true}'),
        ('{"v":${a}}', {"k": [None]}, '{"v":{"k":[null]}}'),
        ('{"v":"${a}"}', {"k": "q"}, '{"v":"{\\"k\\":\\"q\\"}"}'),
        ("{${a}:1}", "k", '{"k":1}'),
        ("{${a} : 1}", 5, '{"5" : 1}'),
        ('{"${a}":1}', 'k"', '{"k\\"":1}'),
        ("[${a}]", "x", '["x"]'),
        ("[${a}]", "", "[]"),
        ("[1,${a}]", "", '[1,""]'),
        ('["\\"${a}"]', '"', '["\\"\\""]'),
        ('"${a}"', '"', '"""'),
        ("${a}", '{"x":1}', '{"x":1}'),
        ('{"v":1${a}}', "x", '{"v":1x}'),
        ("{'v':'${a}'}", "'", "{'v':'''}"),
    ],
)
def test_a_value_goes_in_by_its_position(template: str, data: Any, text: str) -> None:
    assert rendered(template, {"a": "$.data"}, data) == text


def test_constants_of_the_author_are_json_where_they_are_json() -> None:
    value = {"n": "5", "s": "word", "o": '{"k":1}', "t": True, "q": 'a"b'}
    template = '{"n":${n},"s":${s},"o":${o},"t":${t},"q":"${q}","m":${q},"k":"${o}"}'
    result = rendered(template, value, None)
    assert result is not None
    assert json.loads(result) == {
        "n": 5,
        "s": "word",
        "o": {"k": 1},
        "t": True,
        "q": 'a"b',
        "m": 'a"b',
        "k": '{"k":1}',
    }


def test_a_constant_may_name_other_variables_once() -> None:
    value = {"greet": 'Dear "${name}"', "name": "$.data", "same": "${name}"}
    assert rendered("${greet}, ${same}", value, "Li") == 'Dear "Li", Li'
    result = rendered('{"a":${greet},"b":"${greet}","c":${same}}', value, 'L"i')
    assert result is not None
    assert json.loads(result) == {"a": 'Dear "L"i"', "b": 'Dear "L"i"', "c": 'L"i'}


def test_defaults_and_missing_values_by_position() -> None:
    value = {"a": "$.data.missing"}
    assert rendered('{"v":"${a}"}', value, {}) == '{"v":"${a}"}'
    assert rendered('{"v":"${a:-say \\"hi\\"}"}', value, {}) == '{"v":"say \\"hi\\""}'
    assert rendered('{"v":${a:-5},"w":${a:-none},"x":${u:-[1]}}', value, {}) == (
        '{"v":5,"w":"none","x":[1]}'
    )


def test_a_dollar_escapes_a_variable() -> None:
    assert rendered('{"v":"$${a} ${a}"}', {"a": "$.data"}, "x") == '{"v":"${a} x"}'


# ---------------------------------------------------------------- injection

PAYLOADS = [
    '"',
    '","admin":true,"x":"',
    '"}],"evil":[{"a":"',
    "\\",
    '\\"',
    '\\\\","a":"',
    "${b}",
    "${a}",
    "$${b}",
    "${b:-x}",
    "${env:HOME}",
    "\n\r\t\x00\x1f",
    "\u2028\u2029",
    "\u202e😀",
    "}",
    "]",
    "],[",
    ",",
    "null",
    "{}",
    "'; DROP TABLE t; --",
    "*/ //",
    "\\u0022",
    "\x7f",
    "EB_SYS_EMBED_OBJECT",
]
SHAPES = [
    '{"v":"${a}"}',
    '{"v":"pre ${a} post","w":"${b}"}',
    '{"v":${a},"w":[${b}]}',
    "[${a}]",
    '[{"x":["${a}",${a}]},"${b}"]',
    "{${a}:1}",
    '{"k${a}":{"n":null}}',
    '{"keep":1,"EB_SYS_EMBED_OBJECT":"${a}"}',
]


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return [_shape(child) for child in value.values()]
    if isinstance(value, list):
        return ["list", *(_shape(child) for child in value)]
    return "scalar"


@pytest.mark.parametrize("template", SHAPES)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_text_of_an_event_changes_the_structure_of_a_json_template(
    template: str, payload: str
) -> None:
    """Every payload, alone and inside longer text, against the structure a harmless word gives."""
    value = {"a": "$.data.a", "b": "$.data.b"}
    harmless = rendered(template, value, {"a": "word", "b": "SECRET"})
    assert harmless is not None
    for text in (payload, f"x{payload}", f"{payload}x", payload * 3):
        result = rendered(template, value, {"a": text, "b": "SECRET"})
        assert result is not None
        assert _shape(json.loads(result)) == _shape(json.loads(harmless))
        assert result.count("SECRET") == harmless.count("SECRET")


def test_variables_inside_values_are_not_expanded_in_raw_text_either() -> None:
    value = {"a": "$.data.a", "b": "$.data.b"}
    assert rendered("<${a}>", value, {"a": "${b}${a}$${b}", "b": "SECRET"}) == "<${b}${a}$${b}>"


# ---------------------------------------------------------------- embedding


@pytest.mark.parametrize("variable", ['"${o}"', "${o}"])
def test_an_embedded_object_gives_its_members_and_the_template_s_own_win(variable: str) -> None:
    template = f'{{"id":1,"EB_SYS_EMBED_OBJECT":{variable},"last":null}}'
    result = rendered(template, {"o": "$.data"}, {"id": 2, "k": 3.50, "n": {"m": []}})
    assert result == '{"id":1,"k":3.5,"n":{"m":[]},"last":null}'


def test_embedding_works_inside_the_template_and_keeps_what_is_around_it() -> None:
    template = '{"out":[{"EB_SYS_EMBED_OBJECT":"${o}"},"${o}"],"x":1}'
    assert rendered(template, {"o": "$.data"}, {"k": 1}) == (
        '{"out":[{"k":1},"{\\"k\\":1}"],"x":1}'
    )


def test_only_an_object_is_embedded_and_only_where_the_template_says_so() -> None:
    template = '{"EB_SYS_EMBED_OBJECT":"${o}","d":${d}}'
    event = {"o": '{"k":1}', "d": {"EB_SYS_EMBED_OBJECT": {"evil": 1}}}
    result = rendered(template, {"o": "$.data.o", "d": "$.data.d"}, event)
    assert result == '{"EB_SYS_EMBED_OBJECT":"{\\"k\\":1}","d":{"EB_SYS_EMBED_OBJECT":{"evil":1}}}'


# ---------------------------------------------------------------- bounds


def test_a_result_over_256_kib_fails_the_event_and_not_the_server() -> None:
    template = "${a}" * 2_560
    value = {"a": "$.data"}
    assert rendered(template, value, "x" * 102) == "x" * 102 * 2_560
    with pytest.raises(transform.Failed, match="262144"):
        rendered(template, value, "x" * 103)
    with pytest.raises(transform.Failed, match="262144"):
        rendered(template, value, "x" * 1_000_000)
    with pytest.raises(transform.Failed, match="262144"):
        rendered("${a}", value, "文" * 100_000)


def test_constants_that_multiply_are_refused_when_built() -> None:
    """Ten names, each twenty times the next: 20**10 pieces if they were put in place."""
    value = {f"n{k}": f"${{n{k + 1}}}" * 20 for k in range(10)} | {"n10": "x"}
    with pytest.raises(errors.TransformInvalid, match="at most"):
        transform.compile("TEMPLATE", json.dumps(value), "${n0}")


def test_a_long_chain_of_constants_is_refused_when_built() -> None:
    value = {f"n{k}": f"${{n{k + 1}}}" for k in range(400)} | {"n400": "x"}
    with pytest.raises(errors.TransformInvalid, match="deep at most"):
        transform.compile("TEMPLATE", json.dumps(value), "${n0}")


def test_an_event_that_is_not_json_fails_with_a_reason() -> None:
    with pytest.raises(transform.Failed, match="not JSON"):
        applied("JSONPATH", "$.id", None, b"{")
    with pytest.raises(transform.Failed, match="UTF-8"):
        applied("ORIGINAL", None, None, b"\xff")


def test_fields_that_are_already_decoded_are_used() -> None:
    compiled = transform.compile("JSONPATH", "$.data.n")
    assert compiled.reads_fields
    assert compiled.apply(jsontext.decode(b'{"data":{"n":3.0e2}}'), b"") == "300"
