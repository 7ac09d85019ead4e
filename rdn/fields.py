"""The fields of records: their types and value ranges, which are checked when a record is read."""

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
        is_valid: the function that returns whether a value from JSON is valid.
        expected: the valid values, in words.
        is_required: whether a record without the field is invalid. Records of older versions lack some fields.
    """

    is_valid: Callable[[Any], bool]
    expected: str
    is_required: bool = True


def check(content: Any, fields: Mapping[str, Field]) -> dict[str, Any]:
    """Check the content of a record, and return it.

    Args:
        content: the parsed JSON.
        fields: the record's fields by name.

    Returns:
        The same content.

    Raises:
        ValueError: the content is not a JSON object, a field is unknown or missing, or a value is invalid.
    """
    if not isinstance(content, dict):
        raise ValueError(f'{show(content)} is not a JSON object')
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
    """Return a value from a file as short ASCII text without control characters, for a message."""
    text = ascii(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + '...'


def or_null(field: Field) -> Field:
    """Return the same field, but null is valid, too."""
    return field._replace(
        is_valid=lambda value: value is None or field.is_valid(value), expected=f'{field.expected}, or null'
    )


def may_lack(field: Field) -> Field:
    """Return the same field, but it may be null or missing."""
    return or_null(field)._replace(is_required=False)


def is_whole(value: Any, least: int, most: int) -> bool:
    """Return whether a value is a whole number from `least` to `most`; true and false are not numbers here."""
    return type(value) is int and least <= value <= most


def whole_number(least: int, most: int) -> Field:
    """Return a field for whole numbers from `least` to `most`."""
    return Field(lambda value: is_whole(value, least, most), f'a whole number from {least:,} to {most:,}')


def decibels(limit: float) -> Field:
    """Return a field for differences in dB: from -limit to limit, or infinite or nan, which equal pictures produce."""

    def is_valid(value: Any) -> bool:
        return _is_number(value) and (abs(value) <= limit or value in (math.inf, -math.inf) or value != value)

    return Field(is_valid, f'a number of dB, from -{limit:g} to {limit:g}, or not finite')


def decibel_limit(limit: float) -> Field:
    """Return a field for limits in dB, from 0 to `limit`."""
    return Field(lambda value: _is_number(value) and 0 <= value <= limit, f'a number of dB, from 0 to {limit:g}')


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)  # not bool


def list_of(field: Field) -> Field:
    """Return a field for non-empty lists whose items are valid for another field."""

    def is_valid(value: Any) -> bool:
        return isinstance(value, list) and bool(value) and all(map(field.is_valid, value))

    return Field(is_valid, f'a list, each {field.expected}')


def mapping_of(field: Field, is_key: Callable[[str], bool], keys: str) -> Field:
    """Return a field for JSON objects whose keys are all of one kind, and whose values are valid for one field.

    Args:
        field: the field of the values.
        is_key: returns whether a key is valid.
        keys: the valid keys, in words.
    """

    def is_valid(value: Any) -> bool:
        return isinstance(value, dict) and all(map(is_key, value)) and all(map(field.is_valid, value.values()))

    return Field(is_valid, f'an object of {keys}, each {field.expected}')


ANYTHING = Field(lambda value: True, 'any value')  # for values that are checked elsewhere
BOOLEAN = Field(lambda value: type(value) is bool, 'true or false')
TEXT = Field(
    lambda value: isinstance(value, str) and 0 < len(value) <= MAX_TEXT and value.isprintable(),
    f'a text of 1 to {MAX_TEXT} printable characters',
)
PATH = Field(
    lambda value: isinstance(value, str) and 0 < len(value) <= MAX_PATH and '\0' not in value, 'the path of a file'
)
SHA256 = Field(lambda value: isinstance(value, str) and bool(DIGEST.fullmatch(value)), 'a SHA-256')
