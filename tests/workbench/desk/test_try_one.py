"""A form from a signature: what each field takes, and how typed text becomes a JSON value."""

from __future__ import annotations

import pytest

from workbench.desk.try_one import FormError, FormField, TryForm, _field


def field(**item: object) -> FormField:
    return _field({"name": "x", "required": True, "type": "number", **item}, {"x": item.get("example")})


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), (" 3.5 ", 3.5), ("3,5", 3.5), ("-1e3", -1000.0), ("0", 0)],
)
def test_numbers_are_read_as_people_write_them(text: str, value: float) -> None:
    assert field().value(text) == value


@pytest.mark.parametrize("text", ["", "abc", "nan", "inf", "1_000", "1,2,3"])
def test_what_is_no_number_says_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match="number 0 … 23"):
        field(minimum=0, maximum=23).value(text)


@pytest.mark.parametrize(("text", "value"), [("yes", True), ("FALSE", False), ("1", True)])
def test_yes_and_no(text: str, value: bool) -> None:
    assert field(type="boolean").value(text) is value


def test_an_empty_field_that_may_be_missing_is_left_out() -> None:
    optional = field(type=["number", "null"], required=False)
    assert optional.value("") is None
    assert optional.hint == "number, may be empty"


def test_a_number_among_strings_stays_what_the_choices_say() -> None:
    assert field(type="string", enum=["1", "2"]).value("2") == "2"
    assert field(type="integer", enum=[1, 2]).value("2") == 2


@pytest.mark.parametrize(
    ("item", "hint"),
    [
        ({"type": "integer", "minimum": 0, "maximum": 23}, "whole number 0 … 23"),
        ({"minimum": 0}, "number ≥ 0"),
        ({"maximum": 1}, "number ≤ 1"),
        ({"type": "string", "enum": ["spring", "summer"]}, "spring | summer"),
        ({"type": "string", "format": "date-time"}, "date or time"),
        ({"type": "boolean"}, "yes or no"),
    ],
)
def test_the_hint_says_what_a_field_takes(item: dict[str, object], hint: str) -> None:
    assert field(**item).hint == hint


def test_the_example_is_typed_already() -> None:
    assert [field(example=value).text for value in (0.1, 3.0, True, "a", None, 123456.789)] == [
        "0.1",
        "3",
        "true",
        "a",
        "",
        "123456.789",
    ]


def test_a_record_names_every_field_that_cannot_be_sent() -> None:
    form = TryForm("m", 1, (field(name="a"), field(name="b"), field(name="c", type="string")))
    with pytest.raises(FormError) as raised:
        form.record({"a": "one", "b": "2"})
    assert raised.value.errors == {"a": "expected number", "c": "needed: string"}
    assert form.record({"a": "1", "b": "2", "c": "x"}) == {"a": 1, "b": 2, "c": "x"}
