"""What is found in a work folder: its config may be used otherwise, but not for what the model cannot do."""

from functools import partial

import pytest

from configs import moving_shapes
from dnr_jax import models, parallel
from dnr_jax.models.resnet import resnet
from dnr_jax.models.tanet import AdaptiveBlock
from dnr_jax.runs import checkpoints, trained_model
from dnr_jax.runs.stored import Checkpoint


@pytest.fixture
def load(monkeypatch, resnet2):
    """`load(config, **changes)`: a network of that config with clips of 8 frames; its variables are their shapes."""
    monkeypatch.setitem(models.MODELS, 'tanet5', partial(resnet, AdaptiveBlock, (1,)))

    def load(config, **changes):
        def adapt(config):
            config.update_from_flattened_dict({key.replace('_', '.', 1): value for key, value in changes.items()})
            return config

        about = {'config': config.to_dict(), 'label_names': ['a', 'b'], 'fingerprints': {}}
        found = Checkpoint(7, about, None)
        monkeypatch.setattr(checkpoints, 'load', lambda folder, which, like: (found, like(found)))
        return trained_model.load('run', 'last', adapt, parallel.make_mesh())

    return load


def make_config(model, per_hop=False):
    config = moving_shapes.get_config(model)
    config.model.norm.running_per_hop = per_hop
    return config


def test_other_lengths_of_clips(load):
    found = load(make_config('resnet2,dnr'), clip_frames=16)
    assert found.config.clip.frames == 16
    assert found.changes == {'clip.frames': 16}


@pytest.mark.parametrize('frames', [2, 16])
def test_statistics_of_every_hop_are_of_one_length(load, frames):
    config = make_config('resnet2,dnr', per_hop=True)
    with pytest.raises(ValueError, match=f'clips of 8 frames .*running_per_hop.*, got config.clip.frames={frames}'):
        load(config, clip_frames=frames)
    statistics = load(config, clip_stride=4).variables['batch_stats']['stage1']['block1']['norm2']['statistics']
    assert statistics['mean'].shape == (4, 8)
    only_layers = make_config('resnet2,dnr_layer', per_hop=True)
    assert load(only_layers, clip_frames=frames).config.clip.frames == frames  # whose relays have one hop a clip


def test_networks_of_one_length_say_so_themselves(load):
    with pytest.raises(ValueError, match='this TANet were made for clips of 8 frames, got 16'):
        load(make_config('tanet5,batch'), clip_frames=16)


def test_strides_that_do_not_fit(load):
    with pytest.raises(ValueError, match='stride must divide the number of frames: got stride 2 for T = 5'):
        load(make_config('resnet2,dnr'), clip_frames=5)


def test_changes_are_those_of_this_use(load):
    found = load(make_config('resnet2,batch'), test_clips=10, test_crops=3, data_dir='elsewhere')
    assert found.changes == {'test.clips': 10, 'test.crops': 3, 'data.dir': 'elsewhere'}
    assert load(make_config('resnet2,batch'), test_clips=1).changes == {}
