"""Every config loads, is locked, has the keys of the base and builds; the released recipe stands in it."""

import importlib
from pathlib import Path
from unittest.mock import Mock

import jax
import jax.numpy as jnp
import pytest

from configs import base
from dnr_jax import models, parallel
from dnr_jax.evaluation.batches import views_shape
from dnr_jax.training.checks import expect_sound

CONFIGS = sorted(path.stem for path in Path(base.__file__).parent.glob('*.py') if path.stem != '__init__')


def keys(config, within=''):
    """All keys, dotted."""
    for name, value in config.items():
        yield from keys(value, f'{within}{name}.') if hasattr(value, 'items') else [f'{within}{name}']


@pytest.mark.parametrize('name', CONFIGS)
def test_config_builds(name):
    config = importlib.import_module(f'configs.{name}').get_config('resnet18,dnr')
    assert config.is_locked and config.model.is_locked
    assert set(keys(config)) == set(keys(base.get_config()))
    model = models.build(**config.model.to_dict(), classes=10)
    size = config.augment.size
    clip = jax.ShapeDtypeStruct((1, config.clip.frames, size, size, 3), jnp.float32)
    logits = jax.eval_shape(lambda clip: model.init_with_output(jax.random.key(0), clip, train=False)[0], clip)
    assert logits.shape == (1, 10)


@pytest.mark.parametrize('name', CONFIGS)
def test_model_argument(name):
    get_config = importlib.import_module(f'configs.{name}').get_config
    config = get_config('resnet50,cross_layer,batch,batch')
    assert (config.model.backbone, config.model.norms) == ('resnet50', 'cross_layer,batch,batch')
    assert (get_config().model.norms, get_config('resnet34').model.norms) == ('dnr', 'dnr')


def test_unknown_key_is_refused():
    with pytest.raises(AttributeError, match='backbone'):
        base.get_config().model.backbon = 'resnet18'


def test_released_recipe():
    config = importlib.import_module('configs.kinetics400').get_config()
    assert config.schedule.to_dict() == {
        'learning_rate': 0.1, 'warmup_steps': 127_840, 'warmup_start': 0.01, 'decay': 'cosine',
        'fall_by': 'epoch', 'milestones': (), 'gamma': 0.1,
    }  # fmt: skip
    assert config.optimizer.to_dict() == {
        'name': 'sgd', 'momentum': 0.9, 'nesterov': False, 'second_momentum': 0.999, 'epsilon': 1e-8,
        'weight_decay': 1e-4, 'clip_norm': 40.0, 'groups': (), 'frozen': (),
    }  # fmt: skip
    assert (config.train.batch_size, config.train.epochs) == (64, 196)
    assert config.clip.to_dict() == {'sampling': 'dense', 'frames': 8, 'stride': 8}
    assert config.augment.to_dict() == {
        'crop': 'multi_scale', 'short_side': 256, 'scales': (1.0, 0.875, 0.75, 0.66), 'max_scale_gap': 1,
        'positions': 5, 'snap': 0, 'area': (0.08, 1.0), 'ratio': (0.75, 4 / 3), 'short_sides': (256, 320), 'size': 224,
        'flip': 0.5, 'flip_labels': True, 'color_jitter': (0.0, 0.0, 0.0, 0.0),
        'rand_augment': {'layers': 0, 'magnitude': 7.0, 'deviation': 0.5}, 'erasing': 0.0, 'repeats': 1,
    }  # fmt: skip
    assert config.pixels.to_dict() == {'mean': (123.675, 116.28, 103.53), 'std': (58.395, 57.12, 57.375)}
    assert (config.model.backbone, config.model.norms, config.model.dropout) == ('resnet50', 'dnr', 0.4)
    assert config.model.norm.to_dict() == {
        'stride': 2, 'reduction': 4, 'statistics_scope': 'device', 'momentum': 0.9, 'running_per_hop': False,
        'frozen_statistics': '', 'epsilon': 1e-5, 'groups': 32,
        'renormalization': (3.0, 5.0), 'reading_dropout': 0.1,
    }  # fmt: skip
    assert (config.validation.clips, config.validation.crops, config.validation.size) == (1, 1, 224)
    assert (config.test.clips, config.test.crops, config.test.size) == (10, 3, 256)


@pytest.mark.parametrize('name', [name for name in CONFIGS if name != 'videos'])  # whose batches its data chooses
def test_on_a_pod_a_score_takes_as_many_videos_at_once_as_there_are_devices(name):
    config, pod = importlib.import_module(f'configs.{name}').get_config(), Mock(spec=parallel.Mesh, size=48)
    config.train.batch_size = 96
    expect_sound(config, pod)
    for section in ('validation', 'test'):
        least, videos = config[section].batch_size, views_shape(config, section, pod)[0]
        assert videos % 48 == 0 and least <= videos < least + 48
