"""Text from outside on the console, in logs and in errors: the terminal obeys none of it, and no letter is lost."""

import glob
import io
import logging
import os
import re
import subprocess
import sys
import unicodedata

from rdn import cli, escaping

import pytest
from tqdm import tqdm

from helpers import ROOT, run_python

HOSTILE = '\x1b]0;title\x07\x1b[2J\u202egnp.\x9b31m\x00\x08'
SHOWN = r'\x1b]0;title\x07\x1b[2J\u202egnp.\u009b31m\x00\x08'
HEADER = 'Model Name,OP Type,Core Type,Count,Total Time(us),Min Time(us),Avg Time(us),Max Time(us),Ratio(%)'
OPERATOR = 'Cast\x1b[2J\nAdd'
LANGUAGES = [
    'photo (1) ~ $HOME "quoted" \\ back.png',
    'Ünï̈cödé été.png',
    '图片.png',
    'صورة فوتوغرافية.png',
    'תמונה.png',
    'ภาพถ่าย.png',
    'क्‍ष फ़ोटो.png',  # with a joiner
    'می‌خواهم.png',  # with a non-joiner
    'e\u0301\u0323\u0489.png',  # combining marks
    '👩‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ❤️.png',
]


def is_unsafe(character):
    """Return whether Unicode's tables list a character as a control, line separator, direction mark or surrogate."""
    direction = unicodedata.bidirectional(character)
    is_mark = character in '\u061c\u200e\u200f'
    return (
        unicodedata.category(character) in ('Cc', 'Zl', 'Zp', 'Cs')
        or direction in ('LRE', 'RLE', 'LRO', 'RLO', 'PDF', 'LRI', 'RLI', 'FSI', 'PDI')
        or is_mark
    )


def test_exactly_the_unsafe_characters_of_unicode_are_escaped():
    everything = [chr(code) for code in range(0x10000)]
    kept = [character for character in everything if not is_unsafe(character)]
    assert escaping.escape(''.join(kept)) == ''.join(kept)
    for character in filter(is_unsafe, everything):
        assert re.fullmatch(r'\\([ntr]|x[0-9a-f]{2}|u[0-9a-f]{4})', escaping.escape(character)), ascii(character)


@pytest.mark.parametrize(
    'text, shown',
    [
        (HOSTILE, SHOWN),
        ('a\nb\r\nc\td', r'a\nb\r\nc\td'),
        (os.fsdecode(b'caf\xe9 \x9b.png'), r'caf\xe9 \x9b.png'),  # bytes that are not UTF-8
        ('\ud800', r'\ud800'),
        ('a\u2028b\x85c', r'a\u2028b\u0085c'),
        (12, '12'),
    ],
)
def test_an_unsafe_character_is_shown_by_its_number(text, shown):
    assert escaping.escape(text) == shown
    assert escaping.escape(shown) == shown


@pytest.mark.parametrize('name', LANGUAGES)
def test_names_in_any_language_are_not_changed(name):
    assert escaping.escape(name) == name


def test_bash_reads_a_quoted_argument_as_the_original():
    arguments = [HOSTILE.replace('\0', ''), 'two\nlines\\', "it's\t$HOME", os.fsdecode(b'\xff\xfe a'), *LANGUAGES]
    line = ' '.join(map(escaping.quote, arguments))
    assert escaping.escape(line) == line
    environment = dict(os.environ, LC_ALL='C.UTF-8')
    done = subprocess.run(['bash', '-c', f"printf '%s\\0' {line}"], stdout=subprocess.PIPE, env=environment, check=True)
    assert done.stdout == b''.join(os.fsencode(argument) + b'\0' for argument in arguments)


def end_in_an_error():
    raise ValueError(f'{HOSTILE}\n0 of 1 failed: all well: no picture\n')


def end_in_a_missing_file():
    open(f'/nowhere/{HOSTILE[:-2]}\nx')


def write_anything():
    print(HOSTILE)
    print(HOSTILE, file=sys.stderr)
    sys.stdout.writelines([HOSTILE, '\n'])
    tqdm.write(HOSTILE)
    logging.getLogger('anybody').error(HOSTILE)
    cli.say(f'{HOSTILE}\ntwo')
    print(cli.format_table([['name', 'dB'], [f'{HOSTILE}\n', '1']]))
    print(cli.format_markdown([['name', 'dB'], [f'{HOSTILE}\n', '1']]))


def parse_an_unknown_flag():
    cli.Parser('').parse_args([f'--{HOSTILE}\nx'])


@pytest.mark.parametrize('main', [end_in_an_error, end_in_a_missing_file, write_anything, parse_an_unknown_flag])
def test_the_terminal_obeys_nothing_that_a_script_prints(main, capsys, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['script.py'])
    monkeypatch.setattr('signal.signal', lambda *_: None)
    with pytest.raises(SystemExit):
        cli.run(main)
    out, err = capsys.readouterr()
    for text in (out, err):
        assert not [character for character in text if is_unsafe(character) and character != '\n'], ascii(text)
    if main is write_anything:
        assert (out + err).count(SHOWN) >= 7
    else:
        assert out == '' and err.count('\n') == 1 and '\\x1b[2J\\u202e' in err


@pytest.mark.parametrize('folder', ['', 'test', 'rdn', 'rdn/acceptance', 'rdn/devices', 'pictures'])
def test_every_program_escapes_all_its_output(folder):
    """Programs in tools/ are left out: developers run them on their own files."""
    for path in glob.glob(os.path.join(ROOT, folder, '*.py')):
        with open(path, encoding='utf-8') as file:
            _, guard, ending = file.read().partition("\nif __name__ == '__main__':\n")
        assert not guard or re.search(r'^    cli\.run\(', ending, re.MULTILINE), path


def test_an_operator_of_a_profile_is_one_line_of_its_table(script, tmp_path):
    table = tmp_path / 'op_statistic_0_1.csv'
    table.write_text(f'{HEADER}\nm,"{OPERATOR}",AI Core,1,90,90,90,90,90\nm,Add,AI Core,1,10,10,10,10,10\n')
    ended = script('RDN_profile', table)
    assert ended.status == 0, ended.err
    assert ended.out.splitlines()[1].startswith('m') and ended.out.count('\n') == 5
    assert ended.out.count(r'Cast\x1b[2J\nAdd') == 2


def test_a_table_is_aligned_after_escaping():
    rows = cli.format_table([['operator', 'us'], ['Conv\x1b[2J', '1'], ['Add', '22']]).splitlines()
    assert rows == ['operator     us', r'Conv\x1b[2J   1', 'Add          22']


def test_an_ascii_terminal_shows_letters_as_numbers(tmp_path):
    table = tmp_path / 'op_statistic_0_1.csv'
    table.write_text(f'{HEADER}\nm,图Ünion,AI Core,1,10,10,10,10,100\n', encoding='utf-8')
    environment = dict(os.environ, LC_ALL='C', PYTHONCOERCECLOCALE='0', PYTHONUTF8='0')
    done = run_python('RDN_profile.py', table, cwd=ROOT, env=environment)
    assert done.returncode == 0 and r'\u56fe\xdcnion' in done.stdout, done.stderr


OPENED = """
import os, sys
import rdn.start
rdn.start.open_standard_streams()
numbers = [os.stat(number).st_rdev == os.stat(os.devnull).st_rdev for number in range(3)]
with open(os.devnull) as file:
    numbers.append(file.fileno() > 2 and all(map(os.get_inheritable, range(3))))
print('to stdout')
print('to stderr', file=sys.stderr)
sys.exit(10 + sum(numbers))
"""


@pytest.mark.parametrize(
    'closed, nulls', [('2>&-', 1), ('1>&- 2>&-', 2), ('0<&- 1>&-', 2), ('0<&- 1>&- 2>&-', 3), ('0<&-', 1)]
)
def test_a_closed_stream_becomes_dev_null(closed, nulls):
    line = f'exec "{sys.executable}" -c "$CODE" {closed}'
    done = subprocess.run(
        ['bash', '-c', line],
        cwd=ROOT,
        env=dict(os.environ, CODE=OPENED),
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 10 + nulls + 1, done.stderr
    assert (done.stdout, done.stderr) == (
        '' if '1>&-' in closed else 'to stdout\n',
        '' if '2>&-' in closed else 'to stderr\n',
    )


def test_the_error_of_a_full_disk_names_the_output_stream():
    with open('/dev/full', 'wb', buffering=0) as full, pytest.raises(OSError) as raised:
        escaping.Stream(io.TextIOWrapper(full, write_through=True), 'standard output', '').write('text')
    assert cli.describe_error(raised.value) == 'standard output: No space left on device'
