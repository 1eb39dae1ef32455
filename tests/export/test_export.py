"""What is exported gives the logits of the checkpoint, for any number of clips, in a process that knows only JAX."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_networks
import small_networks3d
from jax import export
from test_commands import attempt

from configs import moving_shapes
from dnr_jax import parallel
from dnr_jax.data.builders.shapes import LABEL_NAMES
from dnr_jax.data.source import VideoSource
from dnr_jax.evaluation import checkpoint_score, scoring
from dnr_jax.export import ExportError, alone, artefact, check, export_checkpoint, programs
from dnr_jax.runs import trained_model

ROOT = Path(__file__).parents[2]
SHAPE = (4, 16, 16, 3)
PLATFORMS = ('cpu', 'cuda', 'tpu')


def make_config(model='resnet2,dnr_temporal', shape=SHAPE):
    config = moving_shapes.get_config(model)
    config.clip.frames, config.test.short_side, config.test.size = shape[0], shape[1], shape[1]
    config.model.width, config.model.norm.running_per_hop = 4, False
    config.data.dir = '/nowhere'
    return config


def in_memory(random_variables, model, shape=SHAPE):
    """The network as if it had been trained, and clips [3 T H W 3]."""
    variables = random_variables(model, jnp.zeros((1, *shape)), train=False)
    clips = np.random.default_rng(0).integers(0, 256, (3, *shape), np.uint8)
    return trained_model.Trained(model, variables, make_config(shape=shape), LABEL_NAMES[: model.classes], {}, 7), clips


def exported(program):
    """Out and back in again."""
    return jax.jit(export.deserialize(artefact.lower(program, PLATFORMS).serialize()).call)


FAMILIES = [
    ('resnet18', 'dnr', {'running_per_hop': True, 'remat': True, 'dtype': 'bfloat16'}),
    ('tsm_resnet18', 'dnr_group', {}),
    pytest.param('tanet_resnet50', 'dnr', {}, marks=pytest.mark.every),
    pytest.param('tea_resnet50', 'batch', {}, marks=pytest.mark.every),
    pytest.param('mobilenet_v2', 'dnr', {}, marks=pytest.mark.every),
    pytest.param('r2plus1d_18', 'batch,cross_layer,cross_temporal,batch', {}, marks=pytest.mark.every),
    ('slowfast_resnet50_4x16', 'batch', {}),
]


@pytest.mark.parametrize(('backbone', 'norms', 'settings'), FAMILIES)
def test_every_family_for_any_number_of_clips(random_variables, backbone, norms, settings):
    shape = (32, 8, 8, 3) if 'slowfast' in backbone else SHAPE
    if backbone in small_networks3d.BACKBONES:
        model = small_networks3d.short(backbone, norms, classes=5, **settings)
    else:
        model = small_networks.short(backbone, norms, **settings).clone(blocks=(1,))
    found, clips = in_memory(random_variables, model, shape)
    logits = exported(programs.of_clips(found))(clips)
    expected = check.logits_of_checkpoint(found, clips, stream=False, horizon=0)
    assert logits.dtype == np.float32 and np.ptp(expected) > 0.1
    np.testing.assert_allclose(logits, expected, atol=check.tolerance(expected, settings.get('dtype', 'float32')))


@pytest.fixture(scope='module')
def stream(random_variables):
    """(the checkpoint, clips, the exported step, what is known of it)"""
    found, clips = in_memory(random_variables, small_networks.short('resnet18', 'dnr_temporal'))
    program = programs.of_streams(found, horizon=2)
    about = json.loads(json.dumps(artefact.describe(artefact.lower(program, PLATFORMS), found)))
    return found, clips, exported(program), about


def test_a_stream_gives_what_the_clip_gives(stream):
    found, clips, call, about = stream
    assert about['input'] | {'is': ''} == {'shape': ['B', 2, 16, 16, 3], 'dtype': 'uint8', 'is': ''}
    logits = alone.logits_of(call, about, clips)
    expected = check.logits_of_checkpoint(found, clips, stream=True, horizon=2)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    whole = check.logits_of_checkpoint(found, clips, stream=False, horizon=0)
    np.testing.assert_allclose(logits[:, -1], whole, atol=1e-5)


def test_streams_begin_when_they_like(stream):
    """A row of the carry belongs to its stream alone: one that is set to zero begins anew, the others go on."""
    _, clips, call, about = stream
    carry, first = call(alone.start(about, 3), clips[:, :2])
    carry = {name: np.asarray(of) * np.array([1, 0, 1], of.dtype).reshape(3, *[1] * (of.ndim - 1))
             for name, of in carry.items()}  # fmt: skip
    after, again = call(carry, clips[:, :2])
    np.testing.assert_allclose(again[1], first[1], atol=1e-5)
    assert np.abs(again[0] - first[0]).max() > 1e-3
    assert after['hops'].max(axis=1).tolist() == [2, 1, 2]


@pytest.mark.parametrize(
    ('norms', 'per_hop', 'words'), [('dnr', False, 'pools the whole'), ('dnr_temporal', True, '2 hops')]
)
def test_streams_that_are_refused(random_variables, norms, per_hop, words):
    found, _ = in_memory(random_variables, small_networks.short('resnet18', norms, running_per_hop=per_hop))
    with pytest.raises(ValueError, match=words):
        programs.of_streams(found, horizon=0)


@pytest.fixture(scope='module')
def workdir(tmp_path_factory, resnet2, save_untrained):
    """A checkpoint of a backbone of one block."""
    folder = tmp_path_factory.mktemp('runs') / 'dnr'
    save_untrained(folder, make_config())
    return folder


def write(workdir, out, adapt=lambda config: config, **changed):
    settings = {'platforms': PLATFORMS, 'stream': False, 'horizon': None, 'check_clips': 0} | changed
    return export_checkpoint(workdir, 'last', adapt, out, **settings)


@pytest.fixture(scope='module')
def written(workdir, tmp_path_factory):
    """(FILE, what was returned), checked by another process."""
    out = tmp_path_factory.mktemp('exported') / 'dnr.stablehlo'
    return out, write(workdir, out)


def test_a_stream_of_clips_whose_frames_fill_no_groups(tmp_path, resnet2, save_untrained):
    """As batch norm takes them; and where frames follow the length of a video, how far apart those of a stream lie."""
    config = make_config('resnet2,batch', shape=(5, 16, 16, 3))
    config.clip.update({'sampling': 'segments', 'stride': 3})
    save_untrained(tmp_path / 'run', config)
    about = write(tmp_path / 'run', tmp_path / 'step.stablehlo', stream=True)
    assert about['input']['shape'] == ['B', 2, 16, 16, 3] and about['check']['greatest_difference'] < 1e-5
    assert about['pace'] == 3


def test_a_process_that_knows_only_jax(written):
    out, about = written
    assert {path.name for path in out.parent.iterdir()} == {'dnr.stablehlo', 'dnr.stablehlo.json'}
    assert json.loads(Path(f'{out}.json').read_text()) == json.loads(json.dumps(about))
    assert about['sha256'] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert about['labels'] == list(LABEL_NAMES) and about['platforms'] == list(PLATFORMS)
    assert (about['input']['shape'], about['output']['shape']) == (['B', *SHAPE], ['B', 8])
    assert about['sampling'] == {'sampling': 'dense', 'frames': 4, 'stride': 2}
    assert about['trained'] == {'data': 'moving_shapes', 'step': 7}
    assert about['check']['batch_sizes'] == [1, 2] and about['check']['greatest_difference'] < 1e-5
    assert about['check']['clips'] == '2 random clips'
    text = artefact.to_text(about)
    assert 'uint8 B 4 16 16 3' in text and 'logits = call(clip)' in text and '[1, 2], on 2 random clips' in text


def test_the_loader_of_the_documentation(written, monkeypatch):
    """The lines a user copies run, and read what was written."""
    out, about = written
    (lines,) = re.findall(r'```python\n(.*?)```', (ROOT / 'docs' / 'export.md').read_text(), re.DOTALL)[:1]
    monkeypatch.chdir(out.parent)
    names = {}
    exec(lines, names)
    assert names['logits'].shape == (2, 8) and names['about'] == json.loads(json.dumps(about))


def test_the_file_belongs_to_its_description(written, tmp_path):
    out, _ = written
    copy = tmp_path / out.name
    copy.write_bytes(out.read_bytes()[:-1] + b'!')
    shutil.copy(f'{out}.json', f'{copy}.json')
    with pytest.raises(ValueError, match='is not the file that'):
        alone.load(copy)


def test_other_logits_are_not_left_in_place(workdir, tmp_path, monkeypatch):
    """Neither is what does not run; and an older file stays."""
    out = tmp_path / 'dnr.stablehlo'
    out.write_text('older')
    run = subprocess.run
    monkeypatch.setattr(check, 'logits_of_checkpoint', lambda *_: np.zeros((2, 8), np.float32))
    monkeypatch.setattr(subprocess, 'run', lambda command, **_: run(['false'], capture_output=True, text=True))
    with pytest.raises(ExportError, match='does not run'):
        write(workdir, out)

    def differing(command, **_):
        np.save(command[-1], np.full((3, 8), 2e-4, np.float32))
        return run(['true'])

    monkeypatch.setattr(subprocess, 'run', differing)
    with pytest.raises(ExportError, match='differ by 0.0002, expected at most 0.0001'):
        write(workdir, out)
    assert [path.name for path in tmp_path.iterdir()] == ['dnr.stablehlo'] and out.read_text() == 'older'


def test_a_process_that_knows_more_is_noticed(written, tmp_path):
    """The check would see a file that needed Flax."""
    np.save(tmp_path / 'clips.npy', np.zeros((1, *SHAPE), np.uint8))
    names = [str(name) for name in (written[0], tmp_path / 'clips.npy', tmp_path / 'logits.npy')]
    with pytest.raises(AssertionError, match='JAX and NumPy'):
        alone.main(*names)  # in this process, Flax is loaded


def test_clips_of_the_test_split(tiny_dir):
    config = make_config()
    config.data.update({'name': 'moving_shapes/tiny', 'dir': str(tiny_dir)})
    clips, origin = check.clips_of(config, 3)
    assert clips.shape == (3, *SHAPE) and clips.dtype == np.uint8 and origin.startswith('3 clips of moving_shapes/tiny')
    config.data.dir = '/nowhere'
    clips, origin = check.clips_of(config, 3)
    assert clips.shape == (2, *SHAPE) and 'random clips, for there is no moving_shapes/tiny in /nowhere' in origin


def test_precise_statistics_are_exported_where_scores_are_taken_with_them(random_variables, monkeypatch):
    mesh = parallel.make_mesh()
    found, _ = in_memory(random_variables, small_networks.short('resnet18', 'batch'))
    assert checkpoint_score.as_scored(found, mesh) is found
    found.config.run.precise_batches = 4
    train = VideoSource.__new__(VideoSource)
    train.name, train.split, train.fingerprint = 'moving_shapes', 'train', 'of these videos'
    monkeypatch.setattr(checkpoint_score, 'split_of', lambda *_: train)
    monkeypatch.setattr(scoring, 'training_batches', lambda *_, **__: (n for n in range(9)))
    monkeypatch.setattr(scoring, 'of_every_hop', lambda observe, variables, batches, mesh: list(batches))
    monkeypatch.setattr(scoring, 'as_running', lambda per_hop, running: per_hop)
    assert checkpoint_score.as_scored(found, mesh).variables == {**found.variables, 'batch_stats': [0, 1, 2, 3]}


@pytest.mark.parametrize(
    ('changed', 'words'),
    [
        ({'platforms': ('gpu',)}, "Unknown platform 'gpu'.*cpu, cuda, rocm, tpu"),
        ({'platforms': ('cuda',)}, 'expected cpu among'),
        ({'check_clips': 1}, '0, for random clips, or 2 and more, got 1'),
        ({'horizon': 4}, 'with --streaming, got 4'),
        ({'out': '.'}, 'to name a file'),
        ({'out': f'{__file__}/dnr.stablehlo'}, 'can be written to'),
    ],
)
def test_mistakes_are_found_first(changed, words):
    with pytest.raises(ValueError, match=words):
        write('nowhere', **({'out': 'never.stablehlo'} | changed))


def test_the_command_says_a_mistake_in_one_line(tmp_path):
    run = attempt('-m', 'dnr_jax.export', f'--workdir={tmp_path}', f'--out={tmp_path}/x', '--horizon=-1')
    assert run.returncode == 2 and 'with --streaming, got -1' in run.stderr, run.stderr
    assert len(run.stderr.splitlines()) == 1 and not list(tmp_path.iterdir())
