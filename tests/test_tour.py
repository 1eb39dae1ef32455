"""The tour of the relay runs from its first cell to its last, its claims hold, and what it points to is there."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / 'docs'
TOUR = DOCS / 'relay_tour.ipynb'
CELLS = json.loads(TOUR.read_text())['cells']


def source(kind):
    return '\n'.join(''.join(cell['source']) for cell in CELLS if cell['cell_type'] == kind)


@pytest.mark.every
def test_every_claim_holds():
    """All cells in one process; their assertions are the claims."""
    script = '\n'.join(line for line in source('code').splitlines() if not line.startswith('%'))
    assert script.count('assert ') >= 6 and script.count('equal(') >= 7
    run = subprocess.run(
        [sys.executable, '-W', 'error', '-c', script],
        cwd=DOCS,
        env=os.environ | {'MPLBACKEND': 'Agg'},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr


def test_it_is_shown_as_it_ran():
    """With every figure, without an error, and small enough for any page."""
    code = [cell for cell in CELLS if cell['cell_type'] == 'code']
    assert [cell['execution_count'] for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        pictures = ['image/png' in output.get('data', {}) for output in cell['outputs']]
        assert sum(pictures) == ''.join(cell['source']).count('pyplot.subplots(')
        assert not {output['output_type'] for output in cell['outputs']} & {'error'}
    assert TOUR.stat().st_size < 600_000


def test_what_it_points_to_is_there():
    told = source('markdown')
    for link in re.findall(r'\]\(([^)]+)\)', told):
        assert (DOCS / link).is_file(), link
    modules = re.findall(r'python -m (dnr_jax\S+)', told)
    assert len(modules) >= 5 and all(map(importlib.util.find_spec, modules))
