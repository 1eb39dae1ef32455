"""The plan for a borrowed accelerator, and that no part of it takes the others along."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import on_device, records
from benchmarks.on_device import Part, Runner
from dnr_jax.models import MODELS

BY = {'device': 'made up'}


def python(name, program, seconds=60, **settings):
    return Part(name, ((sys.executable, '-c', program),), seconds, **settings)


def run(path, parts, seconds=100, at_once=2):
    Runner(seconds, path, BY).run_all(parts, at_once)
    found = records.read(path)
    assert all(record['by'] == BY for record in found)
    return {record['part']: record for record in found}


def test_the_plan():
    options = on_device.read_options([])
    parts = on_device.plan(options, Path('folder'))
    timed = [part.name for part in parts if not part.beside]
    steps = [f'steps of {clips} clips' for clips in (64, 8, 256)]
    assert timed == ['the network of the demo', steps[0], 'the demo', *steps[1:], 'roofline']
    assert [part.name for part in parts[: len(timed)]] == timed  # nothing compiles while something is timed
    every = {f'compiles {name} {norms} {what}' for name in MODELS for norms in ('dnr', 'batch') for what in
             ('training', 'forward')}  # fmt: skip
    compiled = [part.name for part in parts[len(timed) :]]
    assert set(compiled) == every and len(compiled) == len(every)
    assert compiled[:2] == ['compiles resnet50 dnr training', 'compiles resnet50 batch training']
    assert sum(part.seconds for part in parts if not part.beside) <= options.seconds
    assert set(on_device.FIRST) <= set(MODELS)
    (demo,) = (part for part in parts if part.needs)
    assert demo.commands[1][1:3] == ('train.py', '--config=configs/moving_shapes.py:resnet18,dnr')


@pytest.mark.parametrize(
    'device, platforms, refused',
    [('cpu', None, True), ('cpu', 'cpu', False), ('NVIDIA H200', None, False), (None, None, True)],
)
def test_a_cpu_is_measured_only_where_it_is_asked_for(monkeypatch, device, platforms, refused):
    monkeypatch.delenv('JAX_PLATFORMS')
    if platforms:
        monkeypatch.setenv('JAX_PLATFORMS', platforms)

    def run(command, **settings):
        if device is None:
            raise subprocess.TimeoutExpired(command, settings['timeout'])
        return subprocess.CompletedProcess(command, 0, stdout=f'a warning\n{json.dumps({"device": device})}\n')

    monkeypatch.setattr(subprocess, 'run', run)
    if refused:
        with pytest.raises(SystemExit, match='^JAX has found '):
            on_device.provenance()
    else:
        assert on_device.provenance()['device'] == device


def test_a_part_that_aborts_hangs_or_lacks_something_takes_no_other_along(tmp_path):
    found = run(tmp_path / 'r.jsonl', [
        python('aborts', 'import os; print("before", flush=True); os.abort()'),
        python('hangs', 'import time; time.sleep(1000)', seconds=1),
        python('fails', 'raise SystemExit(3)'),
        python('lacks', 'print()', needs=('no_such_module', 'json')),
        python('works', 'print("42 ms")'),
    ])  # fmt: skip
    ended = {name: record['ended'] for name, record in found.items()}
    assert ended == {
        'aborts': 'SIGABRT',
        'hangs': 'stopped after 1 seconds or at the end of all',
        'fails': 'status 3',
        'lacks': 'left out, for no_such_module is not installed',
        'works': 'ok',
    }
    assert found['aborts']['lines'][0] == 'before' and found['works']['lines'] == ['42 ms']


def test_the_first_command_that_fails_ends_its_part(tmp_path):
    mark = tmp_path / 'mark'
    commands = [(sys.executable, '-c', program) for program in ('raise SystemExit(1)', f'open({str(mark)!r}, "w")')]
    assert run(tmp_path / 'r.jsonl', [Part('both', tuple(commands), 60)])['both']['ended'] == 'status 1'
    assert not mark.exists()


def test_what_a_part_has_started_ends_with_it(tmp_path):
    beat = tmp_path / 'beat'
    program = f'import time\nwhile True: open({str(beat)!r}, "a").write("."); time.sleep(0.05)'
    run(tmp_path / 'r.jsonl', [python('leaves one', f'import subprocess, sys, time\n'
        f'subprocess.Popen([sys.executable, "-c", {program!r}]); time.sleep(2)')])  # fmt: skip
    before = beat.read_text()
    time.sleep(0.3)
    assert before and beat.read_text() == before


def test_the_time_of_all(tmp_path, monkeypatch):
    monkeypatch.setattr(on_device, 'LEAST', 3)
    parts = [python(f'{i}', 'import time; time.sleep(1000)') for i in range(3)]
    began = time.monotonic()
    found = run(tmp_path / 'r.jsonl', parts, seconds=on_device.LEAST + 1)
    assert time.monotonic() - began < on_device.LEAST + 5
    assert [found[name]['ended'].split(',')[0] for name in '012'] == [
        'stopped after 60 seconds or at the end of all', 'left out', 'left out',
    ]  # fmt: skip


def test_compilations_run_side_by_side(tmp_path):
    meet = (
        'import pathlib, time\nfolder = pathlib.Path({folder!r})\n(folder / "{name}").touch()\n'
        'while len(list(folder.iterdir())) < 2: time.sleep(0.05)'
    )
    folder = tmp_path / 'met'
    folder.mkdir()
    parts = [python(name, meet.format(folder=str(folder), name=name), seconds=30, beside=True) for name in 'ab']
    assert {record['ended'] for record in run(tmp_path / 'r.jsonl', parts).values()} == {'ok'}
