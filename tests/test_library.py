"""The door for programs: what it hands out is what commands and configs say, and it is light until it is used."""

import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

import dnr_jax
from dnr_jax import parallel
from dnr_jax.data.builders.shapes import make_example
from dnr_jax.data.video.errors import VideoError
from dnr_jax.predict import whole

STORED = Path(__file__).parent / 'runs/work_folders/resnet18_dnr.zip'


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
    """Of a network of width 2 that tells eight motions apart, hardly trained."""
    folder = tmp_path_factory.mktemp('stored')
    with zipfile.ZipFile(STORED) as stored:
        stored.extractall(folder)
    return folder


@pytest.fixture(scope='module')
def model(workdir):
    return dnr_jax.load(workdir)


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp('videos')
    for number in range(2):
        (folder / f'{number}.mp4').write_bytes(make_example('test', number)['video'])
    return sorted(folder.iterdir())


def test_a_prediction_is_that_of_the_command(model, workdir, videos):
    mesh = parallel.make_mesh()
    found = whole.load(workdir, 'last', lambda config: config, mesh)
    for of_command in whole.predictor(found, mesh)(videos):
        said = model.predict(of_command.path)
        assert set(said) == set(model.label_names) and list(said.values()) == sorted(said.values(), reverse=True)
        np.testing.assert_allclose([said[name] for name in found.label_names], of_command.probabilities, rtol=1e-4)


@pytest.mark.parametrize('views', [{'clips': 1, 'crops': 1}, {'clips': 2, 'crops': 3, 'short_side': 40}])
def test_the_head_makes_the_prediction_of_the_features(workdir, videos, views):
    """It is linear: views are averaged before or after it alike."""
    model = dnr_jax.load(workdir, test=views)
    head = jax.device_get(model.variables['params']['head']['linear'])
    of_videos = [model.features(str(video)) for video in videos]
    assert np.abs(of_videos[0] - of_videos[1]).max() > 1e-3
    for video, features in zip(videos, of_videos, strict=True):
        said = model.predict(video)
        expected = softmax(features @ head['kernel'] + head['bias'])
        np.testing.assert_allclose([said[name] for name in model.label_names], expected, rtol=1e-4)


def test_a_video_that_cannot_be_read(model, tmp_path):
    (tmp_path / 'note.mp4').write_text('hello')
    for ask in (model.predict, model.features):
        with pytest.raises(VideoError):
            ask(tmp_path / 'note.mp4')


def test_a_second_video_compiles_nothing(model, videos):
    model.predict(videos[0])
    model.features(videos[0])
    happened = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: happened.append(event))
    model.predict(videos[1])
    model.features(videos[1])
    assert not [event for event in happened if 'compile' in event]
    jax.jit(lambda x: x + len(happened))(1.5)
    assert [event for event in happened if 'compile' in event]


def test_what_was_trained_does_not_change(workdir):
    with pytest.raises(ValueError, match='not model.width'):
        dnr_jax.load(workdir, model={'width': 4})
    with pytest.raises(ValueError, match='no finished checkpoint|last'):
        dnr_jax.load(workdir, checkpoint=77)


def test_a_network_begins_with_the_released_values():
    network = dnr_jax.build('resnet50', classes=5)
    assert (network.width, network.classes, network.dropout) == (64, 5, 0.4)
    assert network.norms == ('cross_layer', 'cross_temporal', 'batch')
    narrow = dnr_jax.build('tsm_resnet18', norms='batch', classes=3, width=8, norm={'momentum': 0.5})
    assert (narrow.width, narrow.norm.keywords['momentum'], narrow.norm.keywords['epsilon']) == (8, 0.5, 1e-5)
    clip = jax.ShapeDtypeStruct((2, 8, 32, 32, 3), jnp.float32)
    variables = jax.eval_shape(partial(narrow.init, train=False), jax.random.key(0), clip)
    assert jax.eval_shape(partial(narrow.apply, train=False), variables, clip).shape == (2, 3)


@pytest.mark.parametrize(
    ('wrong', 'words'),
    [
        ({'backbone': 'resnet5'}, 'Did you mean'),
        ({'norms': 'dnrr'}, "'dnrr'"),
        ({'widht': 8}, 'widht'),
        ({'width': 0}, 'config.model.width: expected'),
        ({'width': 'wide'}, 'of their kind'),
        ({'norm': {'strid': 4}}, 'strid'),
    ],
)
def test_mistakes_are_told(wrong, words):
    with pytest.raises(ValueError, match=words):
        dnr_jax.build(**{'backbone': 'resnet18', 'classes': 2} | wrong)


def test_it_is_light_until_it_is_used():
    program = 'import sys, dnr_jax, dnr_jax.data; assert not {"jax", "flax", "configs"} & set(sys.modules)'
    subprocess.run([sys.executable, '-c', program], cwd=Path(__file__).parents[1], check=True)
    with pytest.raises(AttributeError, match='laod'):
        getattr(dnr_jax, 'laod')  # noqa: B009
