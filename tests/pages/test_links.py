"""What the pages point to is there, pages are short enough to be read, and the citation is one."""

import importlib.util
import re

import pytest
import yaml
from pages.reading import PAGES, ROOT, anchors, links

import dnr_jax

LONGEST = {'README.md': 160, 'docs/findings.md': 120, 'docs/speed.md': 120}  # lines


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in links(page):
        path, _, anchor = link.partition('#')
        if path.startswith('https://'):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists() and target.is_relative_to(ROOT), f'{page.name}: {link}'
        if anchor:
            assert anchor in anchors(target), f'{page.name}: {link}'


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page):
    """Paths of this project in backticks, with or without a link."""
    for path in re.findall(r'`((?:dnr_jax|configs|tests|docs|benchmarks|experiments)/[\w./]*\w)`', page.read_text()):
        assert (ROOT / path).exists(), f'{page.name}: {path}'


def test_anchors_are_those_of_headings(tmp_path):
    page = tmp_path / 'a.md'
    page.write_text('# What is `dnr_jax`?\n\n## Stop, resume -- and go\n\n```\n# no heading\n```\n')
    assert anchors(page) == {'what-is-dnr_jax', 'stop-resume----and-go'}


def test_the_first_page_leads_to_all_of_the_others():
    found = {link.partition('#')[0] for link in links(ROOT / 'README.md')}
    assert {str(page.relative_to(ROOT)) for page in PAGES if page.parent.name == 'docs'} <= found
    assert {'CHANGELOG.md', 'CONTRIBUTING.md', 'CITATION.cff'} <= found


def test_pages_are_short():
    for name, most in LONGEST.items():
        assert len((ROOT / name).read_text().splitlines()) <= most, name


def test_the_citation_has_what_its_format_asks_for():
    """Citation File Format 1.2.0; of the software and of the paper."""
    software = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert software['cff-version'] == '1.2.0' and software.keys() >= {'message', 'title', 'authors', 'version'}
    paper = software['preferred-citation']
    assert paper.keys() >= {'type', 'title', 'authors', 'year'} and paper['type'] == 'conference-paper'
    assert [author['family-names'] for author in paper['authors']] == ['Cai', 'Yao', 'Chen']
    assert software['version'] == dnr_jax.__version__
    assert f'## [{dnr_jax.__version__}]' in (ROOT / 'CHANGELOG.md').read_text()


def test_what_has_moved_is_where_the_changelog_says():
    """The row of a module: where it was, its wing, and its name there where that is another one."""
    table = (ROOT / 'CHANGELOG.md').read_text().partition('| in `dnr_jax` was |')[2]
    moved = {}
    for row in re.findall(r'^\| (`.*) \|$', table, re.MULTILINE):
        names, wing, renamed = (re.findall(r'`([\w.]+)`(?: is `(\w+)`)?', cell) for cell in row.split('|'))
        for name, _ in names:
            parts = ['dnr_jax', *(of for of, _ in wing), dict(renamed).get(name) or name.rpartition('.')[2]]
            moved[name] = '.'.join(parts)
    assert len(moved) > 40
    assert not [module for module in moved.values() if importlib.util.find_spec(module) is None]
    gone = {name for name in moved if not (ROOT / 'dnr_jax' / name.replace('.', '/') / '__init__.py').exists()}
    assert not [name for name in gone if importlib.util.find_spec(f'dnr_jax.{name}')]
