import jax
import numpy as np
import pytest
from small_networks import short

from configs import hard_shapes, moving_shapes
from experiments import short_training
from experiments.pairs import bits
from experiments.short_training import Clips, Trainer, deviations, for_every_hop, told


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    videos = rng.integers(0, 256, (48, 4, 16, 16, 3), np.uint8)
    labels = (np.arange(48) % 3).astype(np.int32)
    return Clips(videos[:32], labels[:32], videos[32:], labels[32:])


def test_batches_are_those_of_a_training_step(clips):
    first, second = clips.batches(16)
    np.testing.assert_array_equal(second['clip'], clips.train[16:32])
    np.testing.assert_array_equal(second['label'], clips.train_labels[16:32])
    assert first['mask'].all() and not first['damaged'].any()


def test_clips_are_read_anew_where_they_would_be_others(tiny_dir, tmp_path):
    """By their seed, their data, and how they are taken; else clips of before are recorded as those of today."""
    config = moving_shapes.get_config('resnet18,batch')
    config.data.update({'name': 'moving_shapes/tiny', 'dir': str(tiny_dir), 'train_split': 'train'})
    config.augment.size = config.test.size = 16
    read, again = (short_training.read_clips(config, tmp_path) for _ in range(2))
    np.testing.assert_array_equal(read.train, again.train)
    for changes in ({'seed': 1}, {'augment.scales': (1.0, 0.5)}, {'clip.stride': 1}, {'test.short_side': 20}):
        other = config.copy_and_resolve_references()
        other.update_from_flattened_dict(changes)
        found = short_training.read_clips(other, tmp_path)
        assert any((a != b).any() for a, b in zip(found, read, strict=True)), changes
    assert len([*tmp_path.iterdir()]) == 5


def test_one_pair_for_all_hops_is_the_same_for_each():
    made = for_every_hop({'mean': np.arange(3.0)}, {'mean': np.zeros((2, 3))})
    np.testing.assert_array_equal(made['mean'], [[0, 1, 2], [0, 1, 2]])


def test_scores_and_clips_are_told():
    right = np.array([True, False, True, True, False, False, True, False, True])
    found = told({'running': right})
    assert found['top1'] == {'running': 0.5556}
    assert (bits(found['right']['running'], 9) == right).all()


def test_deviations_are_averages_over_layers_that_have_them():
    layer = short_training.drift.Layer
    found = deviations([layer('a', 1, 1, 1.0, 2.0, None, None), layer('b', 2, 1, 3.0, 4.0, 0.5, 0.25)])
    assert found == {'drift_mean': 2.0, 'drift_var': 3.0, 'spread_mean': 0.5, 'spread_var': 0.25}


def test_a_training_is_scored_in_every_way(clips, monkeypatch):
    config = hard_shapes.get_config('resnet18,dnr')
    config.clip.frames, config.augment.size = 4, 16
    config.train.epochs = 6
    config.model.norm.statistics_scope = '2'
    monkeypatch.setattr(
        short_training.models,
        'build',
        lambda **settings: short('resnet18', 'dnr_temporal', classes=3).clone(blocks=(1,)),
    )
    trainer = Trainer(config, classes=3, steps_per_epoch=2)
    found = trainer.run(0, clips)
    assert found['steps'] == 12 and len(found['loss']) == short_training.LOSSES_TOLD
    assert set(found['top1']) == {'training', 'running', 'precise', 'precise_per_hop', 'self_inclusive'}
    assert found['top1'].keys() == found['right'].keys()
    assert {'drift_mean', 'spread_mean'} <= found['drift'].keys()
    assert jax.tree.leaves(trainer.create(jax.random.key(1)).params)
