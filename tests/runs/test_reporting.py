"""Lines for machines, and what a continued run keeps of them."""

import io
import itertools
import json
import resource
import shutil
import struct
from contextlib import contextmanager

import numpy as np
import pytest
from bucket import ROOM
from PIL import Image
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from configs import moving_shapes
from dnr_jax import figures
from dnr_jax.files import listed
from dnr_jax.files.buckets import BucketError
from dnr_jax.runs.reporting import Reporter, ReportError, as_time, recorded, settings


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
        reporter.scalars(25, 'validation', {'top1': 0.5, 'videos': 32})
    assert steps(tmp_path) == [10, 20, 25]
    last = json.loads((tmp_path / 'metrics.jsonl').read_text().splitlines()[-1])
    assert last == {'step': 25, 'kind': 'validation', 'top1': 0.5, 'videos': 32}
    assert list((tmp_path / 'tensorboard').glob('events*'))


def test_of_a_folder_in_a_bucket(bucket):
    """All that was recorded is there when asked for, and at the end."""
    folder = bucket / 'run'
    with Reporter(folder, 0, writes=True) as reporter:
        for step in (10, 20):
            reporter.scalars(step, 'train', {'loss': step / 10})
        reporter.flush()
        assert steps(folder) == [10, 20] and recorded(folder) == {10, 20}
        reporter.scalars(30, 'train', {'loss': 3.0})
    assert steps(folder) == [10, 20, 30]
    assert [(tag, step) for tag, step, _ in events(folder)] == [('train/loss', step) for step in (10, 20, 30)]
    with Reporter(folder, 20, writes=True) as reporter:
        reporter.scalars(25, 'train', {'loss': 2.5})
    assert steps(folder) == [10, 20, 25]


def test_a_bucket_that_becomes_full(bucket):
    """Lines are there as they were, and the first error is what is told."""
    folder = bucket / 'run'
    with pytest.raises(KeyError), Reporter(folder, 0, writes=True) as reporter:
        reporter.scalars(10, 'train', {'loss': 1.0})
        reporter.flush()
        ROOM[:] = [sum(listed(folder).values())]
        reporter.scalars(20, 'train', {'loss': 0.5})
        with pytest.raises(BucketError, match='^gs://bucket/run/metrics.jsonl: no room left for it'):
            reporter.flush()
        raise KeyError
    assert steps(folder) == [10]
    with pytest.raises(BucketError, match='no room left'), Reporter(folder, 10, writes=True) as reporter:
        reporter.scalars(20, 'train', {'loss': 0.5})
    ROOM.clear()
    with Reporter(folder, 10, writes=True) as reporter:
        reporter.scalars(20, 'train', {'loss': 0.5})
    assert steps(folder) == [10, 20]


@contextmanager
def disk_that_is_full():
    """No file grows beyond 2 kB within the block."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def scalars_for_ever(reporter):
    for step in itertools.count(20):
        reporter.scalars(step, 'train', {'loss': 0.5})


@pytest.mark.parametrize('write', [scalars_for_ever, lambda reporter: reporter.picture(20, 'validation/any', draw)])
def test_a_disk_that_becomes_full_ends_the_run_in_one_line(tmp_path, write):
    """And nothing waits for it; what was written before is there, and with room the next run goes on."""
    with pytest.raises(ReportError, match=rf'could not be written to {tmp_path}: .*untouched; make room'):
        with Reporter(tmp_path, 0, writes=True) as reporter:
            reporter.scalars(10, 'train', {'loss': 1.0})
            with disk_that_is_full():
                write(reporter)
    with Reporter(tmp_path, 10, writes=True) as reporter:
        reporter.scalars(30, 'train', {'loss': 0.5})
    assert steps(tmp_path) == [10, 30]


def test_the_first_error_is_told_though_the_disk_is_full_too(tmp_path):
    with pytest.raises(KeyError), disk_that_is_full(), Reporter(tmp_path, 0, writes=True) as reporter:
        reporter._events.text('config', 4096 * 'a', 10)
        raise KeyError


def test_a_work_folder_that_is_gone(tmp_path):
    with pytest.raises(ReportError, match='No such file or directory'), Reporter(tmp_path, 0, writes=True) as reporter:
        shutil.rmtree(tmp_path)
        reporter.scalars(10, 'train', {'loss': 1.0})


def test_as_time():
    assert [as_time(seconds) for seconds in (0.0, 61.4, 3599.6, 7325.0)] == ['0:00', '1:01', '1:00:00', '2:02:05']


def test_one_process_of_several_tells(tmp_path, capsys):
    with Reporter(tmp_path / 'none', 0, writes=False) as reporter:
        reporter.scalars(1, 'train', {'loss': 1.0})
        reporter.line('a word')
    assert not (tmp_path / 'none').exists() and capsys.readouterr().out == ''


def events(workdir):
    """(tag, step, value) of all that TensorBoard would show."""
    for file in (workdir / 'tensorboard').glob('events*'):
        content, place = file.read_bytes(), 0
        while place < len(content):  # length, its checksum, event, its checksum
            (length,) = struct.unpack_from('<Q', content, place)
            event = Event.FromString(content[place + 12 : place + 12 + length])
            place += length + 16
            yield from ((value.tag, event.step, value) for value in event.summary.value)


def draw():
    figure = figures.figure(2, 1)
    figure.subplots().set_title('cost $5')
    return figure


def test_what_tensorboard_shows_besides_scalars(tmp_path):
    config = moving_shapes.get_config('resnet18,dnr')
    with Reporter(tmp_path, 0, writes=True) as reporter:
        reporter.config(3, config)
        reporter.picture(5, 'validation/confusion', draw)
        reporter.outcome(config, ['test/top1'])
    found = {tag: (step, value) for tag, step, value in events(tmp_path)}
    step, text = found['config/text_summary']
    assert (
        step == 3
        and b'    model.norms = dnr\n' in text.tensor.string_val[0]
        and b'ranges' not in text.tensor.string_val[0]
    )
    step, picture = found['validation/confusion']
    pixels = np.asarray(Image.open(io.BytesIO(picture.image.encoded_image_string)))
    assert step == 5 and pixels.shape == (100, 200, 3) and pixels.min() < 100 < pixels.max()
    begun = HParamsPluginData.FromString(found['_hparams_/session_start_info'][1].metadata.plugin_data.content)
    values = begun.session_start_info.hparams
    assert values['train.epochs'].number_value == 4 and values['model.norms'].string_value == 'dnr'
    assert values['augment.scales'].string_value == '(1.0, 0.875)' and len(values) == len(settings(config))
    table = HParamsPluginData.FromString(found['_hparams_/experiment'][1].metadata.plugin_data.content).experiment
    assert [metric.name.tag for metric in table.metric_infos] == ['test/top1']
    assert not recorded(tmp_path)  # none of this is a number to follow


def test_nothing_is_drawn_where_nothing_is_written(tmp_path):
    with Reporter(tmp_path / 'none', 0, writes=False) as reporter:
        reporter.picture(5, 'validation/confusion', lambda: pytest.fail('drawn'))
        reporter.config(0, moving_shapes.get_config())
        reporter.outcome(moving_shapes.get_config(), [])
    assert not (tmp_path / 'none').exists()
