"""Both READMEs say the same: their commands, their tables' numbers, their links; and CONTRIBUTING.md names what is there."""

import os
import re

import pytest

from helpers import ROOT

PAGES = ['README.md', 'README.zh-CN.md', 'CONTRIBUTING.md', 'weights/README.md']
PAGES += sorted(f'docs/{name}' for name in os.listdir(os.path.join(ROOT, 'docs')) if name.endswith('.md'))


def read(name):
    with open(os.path.join(ROOT, name), encoding='utf-8') as file:
        return file.read()


@pytest.fixture(scope='module')
def both():
    return read('README.md'), read('README.zh-CN.md')


def blocks(text):
    return re.findall(r'^```(\w*)\n(.*?)^```$', text, re.DOTALL | re.MULTILINE)


def sections(text):
    """The text of each section without its code blocks, in order."""
    plain = re.sub(r'^```.*?^```$', '', text, flags=re.DOTALL | re.MULTILINE)
    return re.split(r'^#+ ', plain, flags=re.MULTILINE)[1:]


def numbers(text):
    """The numbers in a text that can be wrong: with a decimal point, or of two digits and more, sorted."""
    return sorted(re.findall(r'(?<![\w.])[+−-]?\d[\d,]*(?:\.\d+)+|(?<![\w.])\d[\d,]*\d(?![\w.])', text))


def test_commands_and_printed_figures_are_the_same(both):
    english, chinese = map(blocks, both)
    assert english == chinese


def test_sections_have_the_same_order_and_numbers(both):
    english, chinese = map(sections, both)
    assert len(english) == len(chinese)
    for ours, theirs in zip(english, chinese):
        title = ours.splitlines()[0]
        number = re.match(r'[\d.]+', title)
        if number:
            assert theirs.startswith(number.group()), title
        assert numbers(ours) == numbers(theirs), title


def test_code_names_are_the_same(both):
    """Everything in back quotes: flags, files, commands."""
    english, chinese = (
        sorted(set(re.findall(r'`([^`\n]+)`', re.sub(r'```.*?```', '', text, flags=re.DOTALL)))) for text in both
    )
    assert english == chinese


def test_each_links_the_other(both):
    for text, other in zip(both, ('README.zh-CN.md', 'README.md')):
        assert f'({other})' in text.split('## ')[0]


def headings(text):
    return {slug(line.lstrip('#')) for line in text.splitlines() if line.startswith('#')}


@pytest.mark.parametrize('name', PAGES)
def test_every_link_leads_somewhere(name):
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
def test_every_file_that_is_named_exists(name):
    made = {'RDN_step.py', 'test_step.py', 'transpose.py', 'set_env.sh', 'index.html'}  # by someone else, or by a run
    for found in set(re.findall(r'`(?:python3 |bash )?([\w./]+\.(?:py|sh|html|toml))\b', read(name))):
        if os.path.basename(found) in made:
            continue
        rooms = [os.path.join('test', 'suite', room) for room in os.listdir(os.path.join(ROOT, 'test', 'suite'))]
        folders = ('', 'test/suite', *rooms, 'tools', os.path.dirname(name))
        assert any(os.path.exists(os.path.join(ROOT, folder, found)) for folder in folders), (name, found)


def test_every_script_is_named_in_both(both):
    names = [name for name in os.listdir(ROOT) if name.endswith('.py') and name != 'models.py']
    for text in both:
        assert [name for name in names if f'`{name}`' not in text] == []


def test_every_module_stands_in_the_tree_of_contributing():
    tree = dict(blocks(read('CONTRIBUTING.md')))['']
    for package in ('rdn', 'pictures'):
        for folder, _, names in os.walk(os.path.join(ROOT, package)):
            for name in names:
                if name.endswith(('.py', '.html')) and name != '__init__.py':
                    assert name in tree, os.path.join(folder, name)


def test_every_test_file_stands_in_the_page_on_testing():
    named = read('docs/testing.md')
    names = [name for _, _, names in os.walk(os.path.join(ROOT, 'test', 'suite')) for name in names]
    assert [name for name in names if name.startswith('test_') and f'`{name}`' not in named] == []
