"""Shapes: the notation, and reading input by it."""

from __future__ import annotations

import pytest

from headrace.api import shapes
from headrace.core import errors, jsontext

TARGETS = shapes.shape(
    "Bus*; Limit:i; Force:b; Targets:[{Id*, Config:{Concurrency:i}, Value:printed}]; Tags:map;"
    " Ids:[s]; Any:any"
)


def test_notation_keeps_names_kinds_and_what_is_required() -> None:
    assert list(TARGETS.fields) == ["Bus", "Limit", "Force", "Targets", "Tags", "Ids", "Any"]
    assert TARGETS.required == ("Bus",)
    assert TARGETS.fields["Targets"].kind == "list"
    assert TARGETS.fields["Targets"].item == "group"
    assert [path for path, _ in TARGETS.walk()][3:7] == [
        "Targets",
        "Targets.Id",
        "Targets.Config",
        "Targets.Config.Concurrency",
    ]


@pytest.mark.parametrize("text", ["a a", "a; a", "a:{b", "a:[s", "a:zebra", ":i"])
def test_slip_in_the_notation_is_found_at_import(text: str) -> None:
    with pytest.raises(ValueError):
        shapes.shape(text)


def test_note_for_a_field_that_is_not_there_is_found_at_import() -> None:
    with pytest.raises(ValueError, match=r"A\.C"):
        shapes.shape("A:{B}", shapes.echoed("why", "A.C"))


def test_number_in_a_printed_field_keeps_its_spelling() -> None:
    """The control API hands over JSON whose fractions keep their text (`jsontext.Float`)."""
    given = {"Bus": "b", "Targets": [{"Id": "1", "Value": jsontext.decode('{"a":[1.50,3e2]}')}]}
    assert shapes.read(TARGETS, given)["Targets"][0]["Value"] == '{"a":[1.50,3e2]}'


def test_read_types_every_field() -> None:
    given = {
        "Bus": "b",
        "Limit": "7",
        "Force": "true",
        "Targets": [{"Id": "1", "Config": {"Concurrency": 3}, "Value": {"a": 1}}],
        "Tags": {"k": "v"},
        "Ids": ["x"],
        "Any": [1, {"y": None}],
    }
    assert shapes.read(TARGETS, given) == {
        "Bus": "b",
        "Limit": 7,
        "Force": True,
        "Targets": [{"Id": "1", "Config": {"Concurrency": 3}, "Value": '{"a":1}'}],
        "Tags": {"k": "v"},
        "Ids": ["x"],
        "Any": [1, {"y": None}],
    }


def test_unknown_field_is_refused_with_its_whole_path() -> None:
    with pytest.raises(errors.UnknownParameter) as caught:
        shapes.read(TARGETS, {"Bus": "b", "Targets": [{"Id": "1", "Config": {"Speed": 3}}]})
    assert caught.value.field == "Targets.1.Config.Speed"


@pytest.mark.parametrize("value", [None, ""])
def test_required_field_without_value_is_missing(value: str | None) -> None:
    with pytest.raises(errors.MissingParameter) as caught:
        shapes.read(TARGETS, {"Bus": value})
    assert caught.value.field == "Bus"


def test_required_field_inside_a_list_names_the_member() -> None:
    with pytest.raises(errors.MissingParameter, match=r"Targets\.2\.Id"):
        shapes.read(TARGETS, {"Bus": "b", "Targets": [{"Id": "1"}, {}]})


def test_empty_object_counts_as_absent() -> None:
    """Terraform sends {} for a dead letter queue that is not set."""
    given = {"Bus": "b", "Tags": {}, "Targets": [{"Id": "1", "Config": {}}]}
    assert shapes.read(TARGETS, given) == {"Bus": "b", "Targets": [{"Id": "1"}]}


def test_small_first_letter_is_taken_inside_groups_only() -> None:
    given = {"Bus": "b", "Targets": [{"id": "1"}]}
    assert shapes.read(TARGETS, given)["Targets"] == [{"Id": "1"}]
    with pytest.raises(errors.UnknownParameter):
        shapes.read(TARGETS, {"bus": "b"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Limit", "seven"),
        ("Limit", 1.5),
        ("Limit", True),
        ("Limit", "9" * 21),
        ("Limit", "9223372036854775808"),
        ("Limit", -(2**63) - 1),
        ("Force", "maybe"),
        ("Targets", {"Id": "1"}),
        ("Targets", ["x"]),
        ("Tags", {"k": 1}),
        ("Ids", [1]),
    ],
)
def test_value_of_the_wrong_kind_is_refused(name: str, value: object) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        shapes.read(TARGETS, {"Bus": "b", name: value})
    assert (caught.value.field or "").startswith(name)


def test_refused_field_says_why_and_passes_when_absent() -> None:
    wanted = shapes.shape("A; B", shapes.refused("there is no B here", "B"))
    assert shapes.read(wanted, {"A": "1", "B": None}) == {"A": "1"}
    with pytest.raises(errors.InvalidInput, match="there is no B here"):
        shapes.read(wanted, {"A": "1", "B": "2"})


# Text parameters ------------------------------------------------------------------------------


def test_json_text_and_flattened_parameters_read_the_same() -> None:
    as_json = {
        "Bus": "b",
        "Targets": '[{"Id":"1","Config":{"Concurrency":3}},{"Id":"2"}]',
        "Ids": '["x","y"]',
        "Tags": '{"k":"v"}',
    }
    flattened = {
        "Bus": "b",
        "Targets.2.Id": "2",
        "Targets.1.Id": "1",
        "Targets.1.Config.Concurrency": "3",
        "Ids.1": "x",
        "Ids.2": "y",
        "Tags.k": "v",
    }
    one = shapes.read(TARGETS, shapes.nested(TARGETS, as_json))
    other = shapes.read(TARGETS, shapes.nested(TARGETS, flattened))
    assert one == other
    assert one["Targets"][0] == {"Id": "1", "Config": {"Concurrency": 3}}


@pytest.mark.parametrize(
    "given",
    [
        {"Speed": "1"},
        {"Speed.1": "1"},
        {"Targets.0.Id": "1"},
        {"Targets.x.Id": "1"},
        {"Targets.1001.Id": "1"},
        {"Bus.1": "1"},
        {"Targets.1.Id.Deep": "1"},
    ],
)
def test_flattened_name_that_fits_nothing_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(errors.InvalidInput):
        shapes.read(TARGETS, shapes.nested(TARGETS, {"Bus": "b", **given}))


@pytest.mark.parametrize(
    "given", [{"Ids": '["a"]', "Ids.1": "b"}, {"Targets.1": "a", "Targets.1.Id": "b"}]
)
def test_parameter_given_in_both_forms_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(errors.InvalidInput, match="twice"):
        shapes.nested(TARGETS, given)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "NaN", '"\\ud800"'])
def test_parameter_that_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(errors.InvalidInput):
        shapes.read(TARGETS, shapes.nested(TARGETS, {"Bus": "b", "Targets": text}))


def test_verbatim_parameter_keeps_its_text_also_when_flattened() -> None:
    wanted = shapes.shape("List~:[{Id}]")
    assert shapes.nested(wanted, {"List": '[{"Id": 1.50}]'}) == {"List": '[{"Id": 1.50}]'}
    assert shapes.nested(wanted, {"List.1.Id": "a"}) == {"List": '[{"Id":"a"}]'}
