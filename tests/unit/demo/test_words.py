"""Every sentence of the demo exists in both languages and takes the same facts."""

from __future__ import annotations

import string

import pytest

from headrace.demo import words


def facts(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


@pytest.mark.parametrize("key", words.CATALOGUE)
def test_both_languages_take_the_same_facts(key: str) -> None:
    english, chinese = words.CATALOGUE[key]
    assert english
    assert chinese
    assert facts(english) == facts(chinese)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "dead"),
        ({"LANG": "zh_CN.UTF-8"}, "死信"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "dead"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_TW.UTF-8"}, "死信"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, "死信"),
    ],
)
def test_first_locale_variable_that_is_set_decides(environ: dict[str, str], said: str) -> None:
    assert words.Words(environ)("picture.dead") == said
