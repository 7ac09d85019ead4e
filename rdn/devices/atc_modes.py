"""The precision modes of an installed atc, read from the text of `atc --help`.

Three flags matter: --precision_mode, or --precision_mode_v2 in newer versions, which excludes the first one; and
--op_select_implmode, which chooses between exact and fast implementations of operators. The text lists their values:

    --precision_mode        precision mode, support force_fp16(default), force_fp32, allow_mix_precision.
    --op_select_implmode    Set op select implmode. Support high_precision, high_performance. default: high_performance
"""

from __future__ import annotations

import re
from typing import NamedTuple

from rdn.devices import base

# The newer versions' flag comes first, because `read` skips values whose meaning an earlier flag already has.
FLAGS = ('precision_mode_v2', 'precision_mode', 'op_select_implmode')
SAME_MODES = {
    'force_fp16': 'fp16',
    'must_keep_origin_dtype': 'origin',
    'allow_mix_precision': 'mixed_float16',
    'allow_mix_precision_fp16': 'mixed_float16',
    'allow_mix_precision_bf16': 'mixed_bfloat16',
}
_VALUE = r'"?[a-z][a-z0-9_]*"?(?: ?\(default\))?'
_SEPARATOR = r' ?(?:,|;|/|\|| or | and ) ?'
_VALUES = re.compile(rf'(?i:support)s?:? ?({_VALUE}(?:{_SEPARATOR}{_VALUE})*)')
_DEFAULT = re.compile(r'default ?(?:value)? ?(?:is)? ?: ?"?([a-z][a-z0-9_]*)', re.IGNORECASE)
_NEXT = r'(?=^[ \t]*(?:--?[a-zA-Z]|\[|=====)|\Z)'  # the next flag, a heading or the end


class Values(NamedTuple):
    """The values of a flag.

    Attributes:
        names: the values, in the help's order.
        default: the default value; None if the help does not name it.
    """

    names: list[str]
    default: str | None


def values_of(help_text: str, flag: str) -> Values:
    """Return a flag's values in the text of `atc --help`; empty if the flag or its values are missing.

    Args:
        help_text: the text of `atc --help`.
        flag: the flag's name, without dashes.
    """
    pattern = rf'^[ \t]*--?{flag}(?![a-z0-9_])(.*?){_NEXT}'
    paragraph = re.search(pattern, help_text, re.DOTALL | re.MULTILINE)
    if not paragraph:
        return Values([], None)
    text = ' '.join(paragraph.group(1).split())
    found = _VALUES.search(text)
    if not found:
        return Values([], None)
    marked = re.search(r'([a-z0-9_]+)"? ?\(default\)', found.group(1)) or _DEFAULT.search(text)
    names = re.findall(r'[a-z][a-z0-9_]*', re.sub(r'\(default\)| or | and ', ',', found.group(1)))
    return Values(list(dict.fromkeys(names)), marked.group(1) if marked else None)


def read(help_text: str) -> list[base.Mode]:
    """Return the modes in the text of `atc --help`, each one once: first the default, which needs no flag."""
    modes, seen = [], set()
    default = None
    for flag in FLAGS:
        values = values_of(help_text, flag)
        if flag != 'op_select_implmode':
            default = default or values.default
        for name in values.names:
            meaning = SAME_MODES.get(name, name)
            is_default = SAME_MODES.get(values.default or '', values.default) == meaning
            if meaning not in seen and not is_default:
                modes.append(base.Mode(f'{flag}={name}', name, [f'--{flag}={name}']))
            seen.add(meaning)
    return [base.Mode(f'default ({default})' if default else 'default', 'default'), *modes]
