"""Names cannot command a terminal, wherever they are printed."""

import ast
import io
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from test_commands import ROOT
from test_imports import PACKAGE, SOURCES

from dnr_jax import command
from dnr_jax.__main__ import COMMANDS
from dnr_jax.command.terminal import as_called, printable, tell
from dnr_jax.data.video.errors import Reason, VideoError
from dnr_jax.predict.output import Output


@pytest.mark.parametrize(
    ('name', 'shown'),
    [
        ('\x1b[31mred\x1b[0m', r'\x1b[31mred\x1b[0m'),
        ('\x1b]0;title\x07', r'\x1b]0;title\x07'),
        ('\x9b2J', r'\x9b2J'),
        ('a\rb\nc\td\x08\x7f', r'a\rb\nc\td\x08\x7f'),
        ('\u202egnp.exe', r'\u202egnp.exe'),
        ('a\u2028b', r'a\u2028b'),
        ('\udcff.mp4', r'\udcff.mp4'),
        ('Žluťoučký 馬 é 100 % [ok]', 'Žluťoučký 馬 é 100 % [ok]'),
    ],
)
def test_what_is_not_shown_as_itself_is_spelled_out(name, shown, capsys):
    assert printable(name) == shown
    tell(f'{name}\nnext')
    assert capsys.readouterr().out == shown.replace(r'\n', '\n') + '\nnext\n'


def test_a_command_whose_lines_nobody_reads_ends_without_a_word():
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run([sys.executable, '-m', 'dnr_jax'], stdout=write, stderr=subprocess.PIPE, cwd=ROOT)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, b'')


def test_letters_that_an_output_has_not():
    output = io.TextIOWrapper(io.BytesIO(), 'latin-1')
    tell('é 馬', file=output)
    assert output.buffer.getvalue() == b'\xe9 \\u99ac\n'


def test_files_and_classes_of_predictions(capsys):
    output = Output(('\x1b[1mrun', 'sit'), 1, True, None)
    output.prediction('\x1b[2Ja\nb.mp4', np.array([1, 0], np.float32))
    output.failure('\x1b[2Ja.mp4', VideoError('\x1b[31m', Reason.EMPTY))
    lines = capsys.readouterr().out.splitlines()
    assert lines == [r'\x1b[2Ja\nb.mp4: \x1b[1mrun 73.1%', r'\x1b[2Ja.mp4: empty: \x1b[31m']


def test_mistakes_are_one_line(capsys, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['eval.py'])
    monkeypatch.setattr(sys.modules['__main__'], '__spec__', None)  # as of a script
    with pytest.raises(SystemExit):
        command.refuse("none at '\x1b[31ma\nb'")
    assert capsys.readouterr().err == "eval.py: none at '\\x1b[31ma b'\n"


def test_nothing_is_printed_elsewhere():
    """Nothing of the package, so that nothing can be forgotten."""
    for path in [*SOURCES, ROOT / 'train.py', ROOT / 'eval.py']:
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        words = {ast.unparse(call.func) for call in calls}
        outputs = {'print', 'sys.stdout.write', 'sys.stderr.write', 'traceback.print_exc', 'warnings.warn'}
        assert path == PACKAGE / 'command/terminal.py' or not words & outputs, path
        for call in calls:
            if ast.unparse(call.func).startswith('logging.') and len(call.args) > 1:
                assert ast.unparse(call.args[1]).startswith('printable('), path


@pytest.mark.parametrize(
    ('said', 'expected'),
    [
        ('go on: python train.py --workdir=a', 'go on: dnr-train --workdir=a'),
        ('python -m dnr_jax.data.prepare videos', 'dnr-prepare videos'),
        ('(python -m dnr_jax.statistics_report)', '(dnr-statistics-report)'),
        ('python -m dnr_jax.export.alone f; python train.pyx', 'python -m dnr_jax.export.alone f; python train.pyx'),
    ],
)
def test_commands_are_named_as_this_one_was_called(monkeypatch, capsys, said, expected):
    monkeypatch.setattr(sys, 'argv', ['/bin/dnr-eval'])
    tell(said)
    assert capsys.readouterr().out == f'{expected}\n'
    monkeypatch.setattr(sys, 'argv', ['eval.py'])
    tell(said)
    assert capsys.readouterr().out == f'{said}\n'


def test_every_installed_command_can_be_named(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['/bin/dnr-eval'])
    spelled = {'train': 'python train.py', 'eval': 'python eval.py'}
    for name, of in COMMANDS.items():
        assert as_called(spelled.get(name, f'python -m {of.module}')) == f'dnr-{name}'
