"""A page and its translation have the same commands, numbers, code names and links. Pages name only existing files."""

import glob
import os
import re
from decimal import Decimal

import pytest

from helpers import ROOT

PAGES = ['README.md', 'README.zh-CN.md', 'CONTRIBUTING.md', 'weights/README.md']
PAGES += sorted(f'docs/{name}' for name in os.listdir(os.path.join(ROOT, 'docs')) if name.endswith('.md'))
CHINESE = '.zh-CN.md'
TRANSLATED = [name.replace(CHINESE, '.md') for name in PAGES if name.endswith(CHINESE)]

# Units that belong to a language: "12 megapixels" is "1200 万像素" in Chinese.
UNITS = {'million': 10**6, 'megapixel': 10**6, 'billion': 10**9, '万': 10**4, '百万': 10**6, '千万': 10**7, '亿': 10**8}
UNIT = '|'.join(sorted(UNITS, key=len, reverse=True))
WITH_UNIT = re.compile(rf'(?<![\w.,])(an?|\d[\d,]*(?:\.\d+)?)[ -]?({UNIT})', re.ASCII)
# Numbers to compare: those with a decimal point, or with two or more digits.
NUMBER = re.compile(r'(?<![\w.])[+−-]?\d[\d,]*(?:\.\d+)+|(?<![\w.])\d[\d,]*\d(?!\w|\.\w)', re.ASCII)


def read(name):
    with open(os.path.join(ROOT, name), encoding='utf-8') as file:
        return file.read()


@pytest.fixture(scope='module', params=TRANSLATED)
def both(request):
    """Return the English and the Chinese text of a page."""
    return read(request.param), read(request.param.replace('.md', CHINESE))


def blocks(text):
    return re.findall(r'^```(\w*)\n(.*?)^```$', text, re.DOTALL | re.MULTILINE)


def uncommented(block):
    language, text = block
    return language, re.sub(r' +# .*$', '', text, flags=re.MULTILINE)


def code_names(text):
    """Return everything in back quotes: flags, files, commands."""
    return sorted(set(re.findall(r'`([^`\n]+)`', text)))


def comments(block):
    return re.findall(r' +(# .*)$', block[1], re.MULTILINE)


def sections(text):
    """Return the text of each section without its code blocks, in order."""
    plain = re.sub(r'^```.*?^```$', '', text, flags=re.DOTALL | re.MULTILINE)
    return re.split(r'^#+ ', plain, flags=re.MULTILINE)[1:]


def in_full(match):
    """Return a number with a unit of its language as digits: '1200 万' and '12 million' become '12000000'."""
    count = '1' if match.group(1) in ('a', 'an') else match.group(1).replace(',', '')
    return f'{(Decimal(count) * UNITS[match.group(2)]).normalize():f} '


def numbers(text):
    """Return the numbers of a text to compare, sorted, without thousands separators."""
    return sorted(number.replace(',', '') for number in NUMBER.findall(WITH_UNIT.sub(in_full, text)))


def table_rows(section):
    return [line.strip().strip('|').split('|') for line in section.splitlines() if line.startswith('|')]


def references(text):
    """Return the names of sources, the same in any language: 'instg_0035', '#1875', 'EE1001', 'Ascend/tools'."""
    shown = re.sub(r'\]\([^)]*\)', ']', text)
    return sorted(re.findall(r'\w*[a-z]_\w+|#\d+|\bE\w*\d{4,}|\w+(?:-\w+)*/\w+(?:-\w+)*', shown, re.ASCII))


@pytest.mark.parametrize(
    'english, chinese',
    [
        ('12 megapixels', '1200 万像素'),
        ('a 4-megapixel picture', '一张 400 万像素的图片'),
        ('a megapixel takes 20 s', '每 100 万像素需 20 秒'),
        ('1.5 million pictures', '150 万张图片'),
        ('3 million', '3 百万'),
        ('2 billion', '20 亿'),
        ('22,123,395 parameters', '共22123395个参数'),
        ('30,000 pictures', '3 万张图片'),
    ],
)
def test_a_number_may_have_the_unit_of_its_language(english, chinese):
    assert numbers(english) == numbers(chinese) != []


@pytest.mark.parametrize(
    'english, chinese',
    [('12 megapixels', '12 万像素'), ('12 megapixels', '120 万像素'), ('4 megapixels', '4 像素'), ('15 s', '约51秒')],
)
def test_a_wrong_number_is_noticed_in_any_unit(english, chinese):
    assert numbers(english) != numbers(chinese)


def test_four_pages_have_a_translation():
    assert TRANSLATED == ['README.md', 'docs/accuracy.md', 'docs/ascend.md', 'docs/guide.md']


def test_commands_and_printed_figures_are_the_same(both):
    """In a block of commands only comments may be translated."""
    english, chinese = map(blocks, both)
    assert [uncommented(block) for block in english] == [uncommented(block) for block in chinese]
    for ours, theirs in zip(english, chinese):
        assert len(comments(ours)) == len(comments(theirs))


def test_sections_have_the_same_order_and_numbers(both):
    english, chinese = map(sections, both)
    assert len(english) == len(chinese)
    for ours, theirs in zip(english, chinese):
        title = ours.splitlines()[0]
        number = re.match(r'[\d.]+', title)
        if number:
            assert theirs.startswith(number.group()), title
        assert numbers(ours) == numbers(theirs), title


def test_tables_have_the_same_rows_with_the_same_numbers_and_sources(both):
    for ours, theirs in zip(*map(sections, both)):
        english, chinese = table_rows(ours), table_rows(theirs)
        assert len(english) == len(chinese), ours.splitlines()[0]
        for row, its in zip(english, chinese):
            assert len(row) == len(its), row
            for cell, translated in zip(row, its):
                assert numbers(cell) == numbers(translated), (cell, translated)
                assert code_names(cell) == code_names(translated), (cell, translated)
            assert references(row[-1]) == references(its[-1]), (row[-1], its[-1])


def test_links_to_other_sites_are_the_same(both):
    english, chinese = (sorted(re.findall(r'\]\((http[^)]+)\)', text)) for text in both)
    assert english == chinese


def test_code_names_are_the_same(both):
    english, chinese = (code_names(re.sub(r'```.*?```', '', text, flags=re.DOTALL)) for text in both)
    assert english == chinese


@pytest.mark.parametrize('name', TRANSLATED)
def test_a_page_and_its_translation_link_each_other(name):
    for page, other in ((name, name.replace('.md', CHINESE)), (name.replace('.md', CHINESE), name)):
        assert f'({os.path.basename(other)})' in read(page).split('## ')[0]


def headings(text):
    return {slug(line.lstrip('#')) for line in text.splitlines() if line.startswith('#')}


@pytest.mark.parametrize('name', PAGES)
def test_every_link_has_a_target(name):
    for target in re.findall(r'\]\(([^)]+)\)', read(name)):
        if target.startswith('http'):
            continue
        path, _, heading = target.partition('#')
        page = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
        assert os.path.exists(os.path.join(ROOT, page)), (name, target)
        assert not heading or heading in headings(read(page)), (name, target)


def slug(heading):
    return re.sub(r'[^\w\- ]', '', heading.strip().lower()).replace(' ', '-')


@pytest.mark.parametrize('name', PAGES)
def test_every_file_that_a_page_names_exists(name):
    made = {'transpose.py', 'set_env.sh', 'index.html'}  # made by another program, or by a run
    made.update({'RDN_step.py', 'test_step.py', 'acme.py', 'test_acme.py'})  # made by readers of CONTRIBUTING.md
    for found in set(re.findall(r'`(?:python3 |bash )?([\w./]+\.(?:py|sh|html|toml))\b', read(name))):
        if os.path.basename(found) in made:
            continue
        rooms = [os.path.join('test', 'suite', room) for room in os.listdir(os.path.join(ROOT, 'test', 'suite'))]
        folders = ('', 'test/suite', *rooms, 'tools', os.path.dirname(name))
        assert any(os.path.exists(os.path.join(ROOT, folder, found)) for folder in folders), (name, found)


def test_every_page_that_the_source_names_exists():
    named = set()
    for folder in ('.', 'rdn', 'pictures', 'tools', 'test/suite'):
        for path in glob.glob(os.path.join(ROOT, folder, *(['**'] if folder != '.' else []), '*.*'), recursive=True):
            if path.endswith(('.py', '.sh', '.txt')):
                named.update(re.findall(r'docs/[\w.-]+\.md', read(path)))
    assert 'docs/accuracy.md' in named
    assert sorted(page for page in named if not os.path.exists(os.path.join(ROOT, page))) == []


@pytest.mark.parametrize('page', ['README.md', 'README.zh-CN.md'])
def test_every_script_is_named_in_both_readmes(page):
    names = [name for name in os.listdir(ROOT) if name.endswith('.py') and name != 'models.py']
    assert [name for name in names if name not in read(page)] == []


@pytest.mark.parametrize('page', ['README.md', 'README.zh-CN.md'])
def test_a_readme_is_short(page):
    assert len(read(page).splitlines()) <= 150


def test_every_module_is_in_the_tree_of_contributing():
    tree = dict(blocks(read('CONTRIBUTING.md')))['']
    for package in ('rdn', 'pictures'):
        for folder, _, names in os.walk(os.path.join(ROOT, package)):
            for name in names:
                if name.endswith(('.py', '.html')) and name != '__init__.py':
                    assert name in tree, os.path.join(folder, name)


def test_every_test_file_is_in_the_page_on_testing():
    named = read('docs/testing.md')
    names = [name for _, _, names in os.walk(os.path.join(ROOT, 'test', 'suite')) for name in names]
    assert [name for name in names if name.startswith('test_') and f'`{name}`' not in named] == []
