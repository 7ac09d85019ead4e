"""The fields of the records beside results: their types and ranges, checked in one place when a record is read."""

from __future__ import annotations

import math
import re
from typing import Any, Callable, Mapping, NamedTuple

DIGEST = re.compile(r'[0-9a-f]{64}')
MAX_TEXT = 200  # characters
MAX_PATH = 4096  # characters, Linux's limit
SHOWN_CHARACTERS = 60  # of a wrong value, in a message


class Field(NamedTuple):
    """A field of a record.

    Attributes:
        is_valid: whether a value, as JSON gives it, is one of the field's.
        expected: the field's values, in words.
        is_required: whether a record without the field is refused; records of older versions lack some.
    """

    is_valid: Callable[[Any], bool]
    expected: str
    is_required: bool = True


def check(content: Any, fields: Mapping[str, Field]) -> dict[str, Any]:
    """Return a record's content, as JSON gives it.

    Raises:
        ValueError: it is no JSON object, a field is unknown or missing, or a value is of another type or out of range.
    """
    if not isinstance(content, dict):
        raise ValueError(f'{show(content)} is no JSON object')
    for name in content:
        if name not in fields:
            raise ValueError(f'unknown field {show(name)}')
    for name, field in fields.items():
        if name not in content:
            if field.is_required:
                raise ValueError(f'{name} is missing')
        elif not field.is_valid(content[name]):
            raise ValueError(f'{name} is {show(content[name])}, expected {field.expected}')
    return content


def show(value: Any) -> str:
    """A value from a foreign file for a message: in ASCII, without control characters, not too long."""
    text = ascii(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + '...'


def or_null(field: Field) -> Field:
    """The same field with null among its values."""
    return field._replace(
        is_valid=lambda value: value is None or field.is_valid(value), expected=f'{field.expected}, or null'
    )


def may_lack(field: Field) -> Field:
    """The same field for records that may lack it or have null in it."""
    return or_null(field)._replace(is_required=False)


def is_whole(value: Any, least: int, most: int) -> bool:
    """Whether a value is a whole number of this range; true and false, which Python counts among them, are not."""
    return type(value) is int and least <= value <= most


def whole_number(least: int, most: int) -> Field:
    """A field of whole numbers."""
    return Field(lambda value: is_whole(value, least, most), f'a whole number from {least:,} to {most:,}')


def decibels(limit: float) -> Field:
    """A field of differences in dB, up to a limit in either direction, or inf or nan, as of equal pictures."""

    def is_valid(value: Any) -> bool:
        return _is_number(value) and (abs(value) <= limit or value in (math.inf, -math.inf) or value != value)

    return Field(is_valid, f'a number of dB, from -{limit:g} to {limit:g}, or not finite')


def decibel_limit(limit: float) -> Field:
    """A field of limits in dB, which are from 0 to a highest one."""
    return Field(lambda value: _is_number(value) and 0 <= value <= limit, f'a number of dB, from 0 to {limit:g}')


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)  # true and false are none


def list_of(field: Field) -> Field:
    """A field of lists, not empty, of another field's values."""

    def is_valid(value: Any) -> bool:
        return isinstance(value, list) and bool(value) and all(map(field.is_valid, value))

    return Field(is_valid, f'a list, each {field.expected}')


def mapping_of(field: Field, is_key: Callable[[str], bool], keys: str) -> Field:
    """A field of JSON objects whose names and values are of one kind. keys: the names, in words."""

    def is_valid(value: Any) -> bool:
        return isinstance(value, dict) and all(map(is_key, value)) and all(map(field.is_valid, value.values()))

    return Field(is_valid, f'an object of {keys}, each {field.expected}')


ANYTHING = Field(lambda value: True, 'any value')  # what is checked elsewhere
BOOLEAN = Field(lambda value: type(value) is bool, 'true or false')
TEXT = Field(
    lambda value: isinstance(value, str) and 0 < len(value) <= MAX_TEXT and value.isprintable(),
    f'a text of 1 to {MAX_TEXT} printable characters',
)
PATH = Field(
    lambda value: isinstance(value, str) and 0 < len(value) <= MAX_PATH and '\0' not in value, 'the path of a file'
)
SHA256 = Field(lambda value: isinstance(value, str) and bool(DIGEST.fullmatch(value)), 'a SHA-256')
