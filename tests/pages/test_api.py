"""The page of the library is that of its docstrings, and its examples run from top to bottom."""

import importlib
import zipfile

import numpy as np
import pytest
from pages.reading import FENCED, ROOT

from dnr_jax.data.builders.shapes import make_example
from docs import api


def test_the_page_is_written_from_the_docstrings():
    assert api.PAGE.read_text() == api.page(), 'python -m docs.api writes it anew'


# What wings hand out for other wings.
WITHIN = {'Carry', 'Variables', 'expect_causal', 'expect_endless', 'groups_of', 'hops_known', 'why_not_causal'}


@pytest.mark.parametrize('module', ['dnr_jax', 'dnr_jax.norms', 'dnr_jax.study', 'dnr_jax.streaming'])
def test_functions_and_classes_that_are_handed_out_are_told(module):
    wing = importlib.import_module(module)
    handed_out = {name for name in wing.__all__ if callable(getattr(wing, name, None))} - WITHIN
    told = [name.rpartition('.') for section in api.SECTIONS for name in section.names]
    assert handed_out == {name for of, _, name in told if of == module}


def test_examples_run(tiny_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(ROOT / 'tests/runs/work_folders/resnet18_dnr.zip') as stored:
        stored.extractall(tmp_path / 'runs/dnr')
    (tmp_path / 'clip.mp4').write_bytes(make_example('test', 0)['video'])
    (tmp_path / 'data').symlink_to(tiny_dir)
    found = {}
    for section in api.SECTIONS:
        for language, text in FENCED.findall(section.text):
            assert language == 'python'
            exec(text, found)
    assert len(found['model'].label_names) == 8
    assert found['scale'].shape == found['heard'].shape == (2, 4, 64)
    assert all(np.any(found['heard'][:, group] != 0) for group in range(4))  # the last hop hears of all before
    assert found['traced']['stage1/block1/norm2'].h.shape == (2, 2, 8) and found['logits'].shape == (1, 5)
    assert found['batch']['clip'].shape == (4, 1, 8, 32, 32, 3)


@pytest.mark.parametrize(
    ('docstring', 'expected'),
    [
        ('One line.', ['One line.']),
        ('One.\n\nArgs:\n  a, b: what,\n    and more.\n  c: this.\nRaises ValueError.',
         ['One.', '', '', 'Args:', '', '* `a, b`: what,', '  and more.', '* `c`: this.', '', 'Raises ValueError.']),
    ],
)  # fmt: skip
def test_docstrings_become_markdown(docstring, expected):
    assert list(api.markdown(docstring)) == expected


def test_signatures():
    def short(a: int, b: str = 'x', *, c: float, d: int = 2, **e): ...

    class Fields:
        a: int
        b: str = 'x'

    assert api.signature(short) == "def short(a: int, b: str = 'x', *, c: float, d: int = 2, **e): ..."
    assert api.signature(Fields) == "class Fields:\n    a: int\n    b: str = 'x'"
