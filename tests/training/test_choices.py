"""What a config leaves open is chosen by the data: numbers by hand, and nothing that was chosen before is changed."""

import contextlib
import io

import pytest

from configs import moving_shapes, videos
from dnr_jax import parallel
from dnr_jax.data import prepare
from dnr_jax.data.builders.shapes import LABEL_NAMES, make_example
from dnr_jax.training import choices, introduction, setup
from dnr_jax.training.choices import Data


def prepare_videos(folder, variant, splits):
    """A data set of drawn videos in class folders: {split: labels}, the split '' without a folder of its own."""
    for split, labels in splits.items():
        for number, label in enumerate(labels):
            path = folder / variant / split / LABEL_NAMES[label] / f'{number}.mp4'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(make_example('test', 8 * number + label)['video'])
    options = ['--variant', variant, '--source', str(folder / variant), '--out', str(folder), '--workers', '0']
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert prepare.main(['videos', *options]) == 0


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Data sets of twenty videos without splits, of 24 frames each; with all splits; and of a test alone."""
    folder = tmp_path_factory.mktemp('data')
    prepare_videos(folder, 'plain', {'': [0, 1] * 10})
    prepare_videos(folder, 'whole', {'train': [0, 1] * 2, 'validation': [0, 1], 'test': [1, 0, 1]})
    prepare_videos(folder, 'later', {'test': [0, 1]})
    return folder


@pytest.fixture
def config(folder):
    config = videos.get_config('resnet18,dnr')
    config.data.update({'dir': str(folder), 'name': 'videos/plain-original'})
    return config


MESH = parallel.make_mesh()  # of two devices


def choose(config, begun=None):
    """(all open keys with what was chosen, what was told)."""
    keys = choices.open_keys(config)
    config, told = choices.resolved(config, MESH, begun or {})
    assert not choices.open_keys(config)
    return {key: config.get_oneway_ref(key).get() if '.' not in key else of(config, key) for key in keys}, told


def of(config, key):
    for name in key.split('.'):
        config = config[name]
    return config


def test_of_videos_without_splits(config):
    """16 of 20 are trained on, in two steps of 8: 240 epochs are 480 steps. 8 frames, 3 apart, span all 24."""
    chosen, told = choose(config)
    assert chosen == {
        'data.train_split': 'train[:80%]', 'validation.split': 'train[80%:]', 'test.split': 'train[80%:]',
        'train.batch_size': 8, 'validation.batch_size': 8, 'test.batch_size': 8, 'clip.stride': 3, 'test.clips': 1,
        'train.epochs': 240, 'schedule.learning_rate': 0.05, 'schedule.warmup_steps': 48,
        'run.validate_every_epochs': 24, 'run.log_every_steps': 24,
        'recipe.batch_size': 8, 'recipe.learning_rate': 0.05, 'recipe.clips_per_statistic': 4,
    }  # fmt: skip
    assert told[1] == '  data.train_split=train[:80%]: no split to validate on, so 20 % of the videos are held back'
    assert any('the final score is of the same videos as validation' in line for line in told)


def test_splits_that_are_there_are_taken(config):
    config.data.name = 'videos/whole-original'
    chosen, told = choose(config)
    assert [chosen[key] for key in ('data.train_split', 'validation.split', 'test.split')] == [
        'train', 'validation', 'test',
    ]  # fmt: skip
    assert chosen['train.epochs'] == 480 and not any('held back' in line for line in told)  # four are a step


def splits_of(there, **given):
    """What the rules make of the splits that a data set has and those that a user has given, and their reasons."""
    config = videos.get_config()
    for key, split in given.items():
        config['data' if key == 'train_split' else key][key if key == 'train_split' else 'split'] = split
    told = ''
    for key in ('data.train_split', 'validation.split', 'test.split'):
        if of(config, key) is None:
            split, why = choices.RULES[key](config, DATA._replace(labelled=dict.fromkeys(there, 10)), MESH)
            config.update_from_flattened_dict({key: split})
            told += f'{why}; '
    return [config.data.train_split, config.validation.split, config.test.split], told


def test_all_videos_are_trained_on_where_it_is_said_what_to_validate_on():
    found, told = splits_of(('train', 'test'), validation='test')
    assert found == ['train', 'test', 'test'] and 'held back' not in told and 'the same videos as validation' in told
    assert splits_of(('train', 'validation'), test='validation')[0] == ['train', 'validation', 'validation']


def test_what_is_set_for_the_test_is_not_set_for_validation():
    config = videos.get_config()
    config.test.update({'split': 'test', 'batch_size': 3})
    assert config.validation.split is None and config.validation.batch_size is None


def test_no_score_is_of_videos_that_are_trained_on():
    assert splits_of(('train', 'test'), train_split='train[:80%]')[0] == ['train[:80%]', 'train[80%:]', 'test']
    assert splits_of(('train', 'validation', 'test'), train_split='train+test')[0][1:] == ['validation', 'validation']
    for there, trained in ((('train',), 'train'), (('train', 'validation'), 'train + validation[:50%]')):
        with pytest.raises(ValueError, match='no split to validate on beside config.data.train_split=train.*give'):
            splits_of(there, train_split=trained)
    for section in ('validation', 'test'):
        with pytest.raises(ValueError, match=rf'{section}.split=train\[90%:\] is of .* config.data.train_split too'):
            splits_of(('train', 'validation', 'test'), **{section: 'train[90%:]'})


def test_what_was_set_stays_and_is_chosen_by(config):
    config.train.epochs, config.train.batch_size, config.init_from = 10, 4, 'weights/any'
    chosen, _ = choose(config)
    assert 'train.epochs' not in chosen and chosen['schedule.warmup_steps'] == 4  # a tenth of 10 epochs of 4 steps
    assert chosen['schedule.learning_rate'] == pytest.approx(0.1 * 0.05 / 2**0.5, rel=1e-2)
    assert (chosen['recipe.batch_size'], chosen['recipe.clips_per_statistic']) == (4, 2)


def test_nothing_is_said_of_a_recipe(config):
    config, _ = choices.resolved(config, MESH, {})
    assert not list(introduction.notes(config, setup.prepare(config)))


def test_a_training_goes_on_as_it_was_begun(config):
    begun, _ = choices.resolved(config, MESH, {})
    begun.train.epochs, begun.clip.stride = 7, 2
    again, told = choices.resolved(config, MESH, begun.to_dict())
    assert again.to_dict() == begun.to_dict() and len(told) == 1 and 'train.epochs=7' in told[0]


def test_nothing_to_train_on(config):
    config.data.name = 'videos/later-original'
    with pytest.raises(ValueError, match=r'only test \(2\).*eval.py .*name=videos/later-original .*split=test'):
        choices.resolved(config, MESH, {})


def test_what_is_out_of_range_is_refused_before_it_is_divided_by(config):
    config.train.batch_size = 0
    with pytest.raises(ValueError, match='config.train.batch_size: expected a whole number, 1 or more, got 0'):
        choices.resolved(config, MESH, {})


def test_a_config_without_open_keys_stays_as_it_is(folder):
    config = moving_shapes.get_config()
    assert choices.choose(config, MESH, {'train': {'epochs': 9}}) == []
    assert config.to_dict() == moving_shapes.get_config().to_dict()
    assert choices.shown(config) is config


def test_a_config_is_shown_with_its_data_and_without(config, folder):
    assert choices.shown(config).clip.stride == 3
    config.data.name = 'videos/nowhere'
    assert choices.shown(config).clip.stride is None


DATA = Data({'train': 5000, 'validation': 500}, train=5000, frames=300, frame_step=1)


def rule(key, data=DATA, **sections):
    config = videos.get_config()
    config.update({'data': {'train_split': 'train'}, 'train': {'batch_size': 64, 'epochs': 30}, 'clip': {'stride': 8}})
    for section, values in sections.items():
        config[section].update(values)
    return choices.RULES[key](config, data, MESH)[0]


def test_many_long_videos():
    """5,000 are 79 steps of 64: 30 epochs. 300 frames are five clips of 64."""
    assert rule('train.batch_size') == 64 and rule('train.epochs') == 30
    assert rule('schedule.learning_rate') == 0.141 and rule('schedule.warmup_steps') == 237
    assert rule('clip.stride') == 8 and rule('test.clips') == 5 and rule('run.validate_every_epochs') == 3


@pytest.mark.parametrize(('train', 'size'), [(3, 8), (48, 8), (128, 16), (300, 32), (511, 32), (512, 64)])
def test_batches_grow_with_the_videos(train, size):
    """The power of two of which there are eight in an epoch, from 8 to 64."""
    assert rule('train.batch_size', DATA._replace(train=train)) == size


@pytest.mark.parametrize(('frames', 'step', 'stride'), [(5, 1, 1), (24, 1, 3), (70, 4, 8), (47, 4, 4), (9, 4, 4)])
def test_strides_fit_the_videos_and_how_they_are_stored(frames, step, stride):
    assert rule('clip.stride', DATA._replace(frames=frames, frame_step=step)) == stride
