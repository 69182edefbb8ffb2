"""An event whose attributes stand once each is taken as written; any other is refused."""

from __future__ import annotations

import json
from typing import TypeAlias

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.core import errors, event, limits

#: Name and value as they are written.
Member: TypeAlias = tuple[str, str]
REQUIRED: list[Member] = [('"id"', '"23"'), ('"source"', '"s"'), ('"type"', '"a:b"')]
BLANKS = st.sampled_from(["", "", " ", "\n\t", "  "])
# Texts that end like others, in more than one spelling, with what looks like a member inside.
STRINGS = st.sampled_from(
    ['"1"', '"\\u0031"', '"a}"', '"é"', '"\\u00e9"', '"\\/"', '"/"', '",\\"x\\":1"', '"{ }"']
)
NUMBERS = st.sampled_from(["1", "0", "-1", "-0", "11", "23"])
EXTENSIONS = st.tuples(
    st.sampled_from(['"x"', '"y"', '"\\u0078"', '"subject2"']),
    st.one_of(STRINGS, NUMBERS, st.sampled_from(["true", "false", "null"])),
)
DATA = st.tuples(
    st.just('"data"'),
    st.one_of(
        STRINGS,
        NUMBERS,
        st.sampled_from(["null", "1e5", "{}", "{ }", "[ 1, 2]", '{"a":1,"a":1}', '{ "id" : 1 }']),
    ),
)
MEMBERS = st.lists(st.one_of(EXTENSIONS, DATA), max_size=4).flatmap(
    lambda more: st.permutations([*REQUIRED, *more])
)


@settings(max_examples=500)
@given(members=MEMBERS, blanks=st.lists(BLANKS, min_size=5, max_size=5))
@example(members=[*REQUIRED, ('"data"', "1"), ('"x"', "11")], blanks=[""] * 5)
@example(members=[*REQUIRED, ('"data"', "{ }"), ('"data"', "{ }")], blanks=[""] * 5)
@example(members=[*REQUIRED, ('"x"', "1"), ('"x"', "1"), ('"data"', '"1"')], blanks=[" "] * 5)
@example(members=[*REQUIRED, ('"data"', '"1"'), ('"x"', '"\\"1"')], blanks=[""] * 5)
def test_exactly_the_events_with_a_repeated_attribute_are_refused(
    members: list[Member], blanks: list[str]
) -> None:
    ahead, before, behind, after, end = blanks
    inner = ",".join(f"{ahead}{name}{before}:{behind}{value}{after}" for name, value in members)
    text = f"{end}{{{inner}}}{end}"
    names = [json.loads(name) for name, _ in members]
    if len(set(names)) < len(names):
        with pytest.raises(errors.EventRefused) as caught:
            event.parse(text.encode(), limits.WIDE)
        assert caught.value.code == "JsonAttributeInvalid"
        return
    parsed = event.parse(text.encode(), limits.WIDE)
    wanted = json.loads(text)
    taken = {key: wanted[key] for key in wanted if key == "data" or wanted[key] is not None}
    assert json.loads(parsed.body()) == {"specversion": "1.0", **taken}
