"""Every command of pages and docstrings is one that its program takes: flags, keys, configs, backbones, norms exist."""

import ast
import importlib
import importlib.util
import re
from concurrent.futures import ProcessPoolExecutor
from unittest.mock import create_autospec

import pytest
from pages import parsing
from pages.reading import MODULES, PAGES, ROOT, Command, commands, fenced, flags, in_docstring, keys, simple_commands

import dnr_jax
from configs import base
from dnr_jax import library

COMMANDS = {str(command): command for page in PAGES for command in commands(page)}
IN_DOCSTRINGS = [command for path in MODULES for command in in_docstring(path)]
PYTHON = {name: command for name, command in COMMANDS.items() if command.words[0] == 'python'}
OURS = {of.words[1:]: str(of) for of in (*IN_DOCSTRINGS, *PYTHON.values())
        if of.words[1] != '-c' and of.words[1:3] != ('-m', 'pytest')}  # fmt: skip
# Of the shell, of other projects, and of machines that are not here.
OTHERS = {
    'cp',
    'cut',
    'docker',
    'done',
    'echo',
    'ffmpeg',
    'gcloud',
    'git',
    'grep',
    'kill',
    'nohup',
    'python3',
    'sleep',
    'tail',
    'while',
    'cd',
    'ruff',
    'srun',
    'tensorboard',
    'until',
    'mkdir',
    'mount',
}


@pytest.fixture(scope='module')
def refused():
    """`parsing.refused`, in a process for each command."""
    with ProcessPoolExecutor(1, mp_context=parsing.processes(), max_tasks_per_child=1) as pool:
        yield lambda *arguments: pool.submit(parsing.refused, arguments).result()


def stood_for(word: str) -> str:
    """What a reader might put in the place of a number or a name that is left open, or of a bucket: a local folder.

    What buckets take need not be installed here.
    """
    return re.sub(r'\b(gs|s3)://', './', re.sub(r'=N$', '=1', word).replace('.NAME', '.steps'))


def test_there_are_commands():
    assert len(IN_DOCSTRINGS) > 40 and len(COMMANDS) > 60 and {command.page for command in COMMANDS.values()} >= {
        'README.md', 'CONTRIBUTING.md', 'docs/training.md', 'docs/study.md', 'docs/predict.md', 'benchmarks/README.md',
    }  # fmt: skip


@pytest.mark.parametrize('arguments', list(OURS), ids=list(OURS.values()))
def test_its_program_takes_it(refused, arguments):
    if 'benchmarks.pytorch' in arguments:
        pytest.importorskip('torch')
    said = refused(*map(stood_for, arguments))
    only_named = len(arguments) == 1 + (arguments[0] == '-m')
    assert said is None or (only_named and re.search('expected --workdir|arguments are required', said))


@pytest.mark.parametrize(
    ('command', 'words'),
    [
        ('python train.py --confg=configs/moving_shapes.py', 'confg'),
        ('python train.py --config=configs/moving_shape.py', 'moving_shape.py'),
        ('python train.py --config=configs/moving_shapes.py:resnet8,dnr', 'resnet18'),
        ('python train.py --config=configs/moving_shapes.py:resnet18,dnrr', "'dnr'"),
        ('python train.py --config.train.epoch=3', 'epochs'),
        ('python train.py --config.train.epochs=0', 'config.train.epochs'),
        ('python train.py --config.data.name=moving_shape', 'moving_shapes'),
        ('python train.py workdir=runs/dnr', 'workdir'),
        ('python train.py --epochs=3', 'the config has --config.train.epochs=3'),
        ('python train.py --stride=4', '--config.clip.stride=4, --config.model.norm.stride=4'),
        ('python train.py --wordkir=runs/dnr', "Did you mean '--workdir'?"),
        ('python eval.py', '--workdir'),
        ('python eval.py --workdir=runs/dnr --config.test.clip=2', 'clips'),
        ('python eval.py --workdir=runs/dnr --chekpoint=best', 'chekpoint'),
        ('python -m dnr_jax.predicts --workdir=runs/dnr', 'dnr_jax.predicts'),
        ('python -m dnr_jax.study moton --workdir=runs/dnr', 'motion'),
        ('python -m dnr_jax.data.prepare moving_shapes --form', '--form'),
        ('python -m benchmarks.steps --backbones=resnet50 --rouds=2', 'rouds'),
        ('python -m experiments.small_batch --seed', 'seed'),
    ],
)
def test_mistakes_are_seen(refused, command, words):
    ((_, *arguments),) = simple_commands(command)
    assert words in (refused(*arguments) or 'nothing')


def test_every_other_program_is_known():
    targets = re.search(r'^\.PHONY: (.*)$', (ROOT / 'Makefile').read_text(), re.MULTILINE)[1].split()
    for command in COMMANDS.values():
        name, *rest = command.words
        if name == 'make':
            assert set(rest) <= set(targets), command
        elif name == 'pip':
            files = [rest[place + 1] for place, word in enumerate(rest) if word == '-r']
            assert rest[0] == 'install' and all((ROOT / file).exists() for file in files), command
        elif command.words[:3] == ('python', '-m', 'pytest'):
            assert all((ROOT / word).exists() for word in rest[2:] if word.startswith('tests')), command
        else:
            assert name == 'python' or name in OTHERS, command


def programs() -> list[tuple[str, str]]:
    """Page and text of all Python that stands in the pages."""
    found = [(str(page.relative_to(ROOT)), text) for page in PAGES for text in fenced(page, 'python')]
    return found + [(of.page, of.words[2]) for of in PYTHON.values() if of.words[1] == '-c']


@pytest.mark.parametrize(('page', 'text'), programs())
def test_python_finds_what_it_imports(page, text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            assert all(importlib.util.find_spec(alias.name) for alias in node.names), page
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name) or importlib.util.find_spec(f'{node.module}.{alias.name}'), page


def test_the_first_page_runs_as_a_library(monkeypatch):
    asked, relay = fenced(ROOT / 'README.md', 'python')
    monkeypatch.setattr(dnr_jax, 'load', create_autospec(library.load), raising=False)
    found = {}
    exec(asked, found)
    found['model'].predict.assert_called_once_with('clip.mp4')
    exec(relay, found)
    assert found['carry'][0].shape == (2, 64) and found['scale'].shape == found['shift'].shape == (2, 4, 64)


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_keys_exist(page):
    for key in keys(page):
        section = base.KEYS
        for name in key.split('.'):
            assert name in section, f'{page.name}: config.{key}'
            section = section[name]


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('make demo    # at once\nmake test', [('make', 'demo'), ('make', 'test')]),
        ('A=1 python -m x \\\n  w > f.txt & echo "a # b"', [('python', '-m', 'x', 'w'), ('echo', 'a # b')]),
        ('srun python train.py --config=... --a=b', [('python', 'train.py', '--a=b')]),
        ('g --command="cd d && t ... --e"', [('g', '--command=cd d && t ... --e'), ('cd', 'd'), ('t', '--e')]),
        ('dnr-eval --workdir=a', [('python', '-m', 'dnr_jax.evaluation', '--workdir=a')]),
        ('x - | .venv/bin/python -c "\na\nb\n"', [('x', '-'), ('python', '-c', '\na\nb\n')]),
    ],
)  # fmt: skip
def test_commands_are_split_as_by_a_shell(text, expected):
    assert list(simple_commands(text)) == expected


def test_within_lines(tmp_path, monkeypatch):
    monkeypatch.setattr('pages.reading.ROOT', tmp_path)
    page = tmp_path / 'a.md'
    page.write_text(
        'So `python -m\na.b` and `eval.py --c` or `d`.\n\n* `python e.py`: 2026-11-23, commit 0123456789, jax\n'
    )
    assert list(commands(page)) == [
        Command('a.md', ('python', '-m', 'a.b')),
        Command('a.md', ('python', 'eval.py', '--c')),
    ]


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_flags_that_are_named_alone_exist(page):
    defined = re.compile(r"""(?:DEFINE_\w+|add|add_argument)\(\s*'(?:--)?([\w-]+)'""")
    sources = [path for folder in ('dnr_jax', 'benchmarks', 'experiments') for path in (ROOT / folder).rglob('*.py')]
    known = {name for path in [*sources, *ROOT.glob('*.py')] for name in defined.findall(path.read_text())}
    # Of a file, of absl, of Docker, of TensorBoard; of SLURM.
    others = {'config', 'help', 'shm-size', 'logdir'} | {'dependency', 'requeue', 'signal', 'xla_gpu_deterministic_ops'}
    assert flags(page) <= known | others


def test_in_docstrings(tmp_path, monkeypatch):
    monkeypatch.setattr('pages.reading.ROOT', tmp_path)
    module = tmp_path / 'a.py'
    module.write_text('"""A.\n\n    python -m b --c \\\n        --d  # e\n\npython -m b: no command\npython x\n"""')
    assert list(in_docstring(module)) == [Command('a.py', ('python', '-m', 'b', '--c', '--d'))]
