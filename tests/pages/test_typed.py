"""The blocks of commands in the pages, typed from top to bottom in one folder, as a reader would.

Trainings and data are made small by words behind their commands; nothing else is changed. Every line of a block is
typed, or stands below with what it needs that is not here. What is not typed is parsed, see test_commands.py.
"""

import os
import re
import shlex
import subprocess
import sys

import pytest
from pages.reading import PAGES, ROOT, fenced

from dnr_jax.data.builders.shapes import make_example

# In this order, since some need what those before have left.
TYPED = (
    'README.md', 'docs/training.md', 'docs/evaluation.md', 'docs/study.md', 'docs/predict.md', 'docs/export.md',
    'docs/data.md', 'docs/speed.md', 'docs/runs.md', 'docs/own_videos.md',
)  # fmt: skip
NEEDED = {
    r'^pip install': 'the network',
    r'^make test': 'as long as the tests that this is one of',
    r'--topology|test-ahead|benchmarks\.ahead': 'compilers of accelerators: make test-ahead',
    r'--coordinator': 'several machines or terminals: tests/training/test_distributed.py',
    r'gs://|s3://|gcloud|srun': 'a bucket, a pod or a cluster: make test-buckets has buckets',
    r'rtsp:|/dev/video0': 'a camera',
    r'\bkinetics400\b': 'Kinetics-400: tests/data/annotations has its readers',
    r'grid_words': 'the GRID corpus: tests/experiments/test_grid_words.py',
    r'VIDEO\.\.\.': 'videos by their names: those of docs/predict.md are typed',
    r'dnr_jax\.convert|weights/|to-torch': 'PyTorch: tests/convert/test_convert.py, make test-torch',
    r'benchmarks\.(?!pages)|experiments\.(?!pages)': 'minutes to hours',
    r'(benchmarks|experiments)\.pages': 'leave to write docs/: tests/benchmarks, tests/experiments',
    r'--variant hard|-m dnr_jax\.models$': 'minutes: tests/data/test_hard_shapes.py, tests/models/test_costs.py',
}
# In the place of Python: it makes trainings and data small, by words behind the command.
PYTHON = f"""#!/bin/sh
case "$*" in
    train.py*moving_shapes.py*) set -- "$@" --config.data.name=moving_shapes/tiny ;;
    '-m dnr_jax.data.prepare moving_shapes') set -- "$@" --variant=tiny ;;
esac
case "$1" in
    train.py) set -- "$@" --config.model.width=8 --config.model.norm.groups=4 --config.train.epochs=1 \\
        --config.train.batch_size=4 --config.schedule.warmup_steps=1 --config.schedule.decay=constant \\
        --config.run.workers=0 --config.augment.size=32 --config.validation.size=32 --config.test.size=32 \\
        --config.test.clips=1 --config.test.crops=1 ;;
esac
exec {sys.executable} "$@"
"""


def lines(page: str) -> list[list[str]]:
    """Of every block, its commands, a line each but for what is quoted or goes on until it is done."""
    whole = re.compile(r'(?:python -c "[^"]*"|[^\n])+(?:\nwhile [^\n]*)?')
    return [whole.findall(re.sub(r'(?m)(^|\s\s)\s*#.*$', '', of.replace('\\\n', ' '))) for of in fenced(ROOT / page)]


def needed(line: str) -> str | None:
    """What the line needs that is not here."""
    return next((what for pattern, what in NEEDED.items() if re.search(pattern, line.strip())), None)


def test_every_block_is_typed_or_needs_what_is_not_here():
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        if name not in TYPED:
            assert not [line for of in lines(name) for line in of if not needed(line)], name


def test_lines_of_a_block():
    assert lines('README.md')[0] == ['make demo']
    (made,) = [line for of in lines('docs/predict.md') for line in of if 'make_example' in line]
    assert made.count('\n') == 6 and made.endswith('"')
    assert any(re.search('& PID=.*\nwhile .*done$', line) for of in lines('docs/predict.md') for line in of)


@pytest.fixture
def folder(tmp_path):
    """With the project in it, videos in class folders, lists of them, and a Python that has all installed."""
    for name in ('train.py', 'eval.py', 'configs', 'dnr_jax', 'Makefile', 'requirements.txt'):
        (tmp_path / name).symlink_to(ROOT / name)
    for place in ('bin', 'venv/bin'):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / 'python').write_text(PYTHON)
        (tmp_path / place / 'python').chmod(0o755)
    (tmp_path / 'venv/installed').touch()
    for split, count, file in (('train', 12, 'train.csv'), ('validation', 4, 'val.csv')):
        rows = [f'{split}/{"left" if number % 2 else "right"}/{number}.mp4' for number in range(count)]
        for number, row in enumerate(rows):
            (tmp_path / 'DIR' / row).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / 'DIR' / row).write_bytes(make_example('test', number % 2)['video'])
        (tmp_path / file).write_text(''.join(f'{row},{row.split("/")[1]}\n' for row in rows))
    (tmp_path / 'clip.mp4').write_bytes(make_example('test', 0)['video'])
    return tmp_path


def type_in(folder, line):
    """Runs a line in a shell, in that folder, which is the home folder too."""
    env = os.environ | {
        'HOME': str(folder), 'PATH': f'{folder / "bin"}:{os.environ["PATH"]}', 'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': '',
        'JAX_DISABLE_MOST_OPTIMIZATIONS': '1',
    }  # fmt: skip
    ran = subprocess.run(['bash', '-ec', line], cwd=folder, env=env, capture_output=True, text=True, timeout=900)
    assert ran.returncode == 0, f'{line}\n{ran.stdout[-2000:]}\n{ran.stderr[-4000:]}'


@pytest.mark.every
def test_typed(folder):
    for line in [line for page in TYPED for block in lines(page) for line in block if not needed(line)]:
        type_in(folder, line.strip().replace('make demo', 'make demo VENV=venv'))
    for text in fenced(ROOT / 'README.md', 'python'):
        type_in(folder, f'python -c {shlex.quote(text)}')
