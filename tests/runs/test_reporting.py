"""Lines for machines, and what a continued run keeps of them."""

import json

from dnr_jax.runs.reporting import Reporter, as_time


def steps(workdir):
    return [json.loads(line)['step'] for line in (workdir / 'metrics.jsonl').read_text().splitlines()]


def test_a_continued_run_drops_what_lies_after_its_start(tmp_path):
    with Reporter(tmp_path, 0, writes=True) as reporter:
        for step in (10, 20, 30):
            reporter.scalars(step, 'train', {'loss': step / 10})
    with (tmp_path / 'metrics.jsonl').open('a') as lines:
        lines.write('{"step": 4')  # killed while writing
    with Reporter(tmp_path, 20, writes=True) as reporter:
        assert steps(tmp_path) == [10, 20]
        reporter.scalars(25, 'validation', {'top1': 0.5})
    assert steps(tmp_path) == [10, 20, 25]
    last = json.loads((tmp_path / 'metrics.jsonl').read_text().splitlines()[-1])
    assert last == {'step': 25, 'kind': 'validation', 'top1': 0.5}
    assert list((tmp_path / 'tensorboard').glob('events*'))


def test_as_time():
    assert [as_time(seconds) for seconds in (0.0, 61.4, 3599.6, 7325.0)] == ['0:00', '1:01', '1:00:00', '2:02:05']


def test_one_process_of_several_tells(tmp_path, capsys):
    with Reporter(tmp_path / 'none', 0, writes=False) as reporter:
        reporter.scalars(1, 'train', {'loss': 1.0})
        reporter.line('a word')
    assert not (tmp_path / 'none').exists() and capsys.readouterr().out == ''
