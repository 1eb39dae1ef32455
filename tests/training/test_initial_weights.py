"""A training that begins with the weights of a checkpoint: what it takes over, what it begins anew, what it refuses."""

import re
import shutil
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import make_random_variables
from flax.traverse_util import unflatten_dict
from small_networks import normal

from configs import moving_shapes
from dnr_jax import models, parallel
from dnr_jax.models.resnet import BasicBlock, resnet
from dnr_jax.norms.words import NORMS
from dnr_jax.runs import trained_model, transfer
from dnr_jax.runs.state import TrainState
from dnr_jax.training import initial_weights, loop, validation

NAMES = ('a', 'b', 'c')
CLIP = (1, 2, 16, 16, 3)


@pytest.fixture(scope='module', autouse=True)
def resnet6():
    """A backbone of two blocks, which compiles fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.MODELS, 'resnet6', partial(resnet, BasicBlock, (1, 1)))
        yield


def make_config(norms, width=4, per_hop=True):
    config = moving_shapes.get_config(f'resnet6,{norms}')
    config.model.width, config.model.norm.running_per_hop = width, per_hop
    config.clip.frames, config.test.size = 2, 16
    return config


def build(config, classes):
    return models.build(**config.model.to_dict(), classes=classes)


def saved(folder, norms, width=4, names=NAMES, per_hop=True, clip=CLIP):
    """Random variables, by path, of a checkpoint in a new folder."""
    config = make_config(norms, width, per_hop)
    config.clip.frames = clip[1]
    variables = make_random_variables(build(config, len(names)), jnp.zeros(clip), train=False)
    about = {'config': config.to_dict(), 'label_names': names, 'fingerprints': {}}
    trained_model.save(dict(variables), about, folder)
    return transfer.flat(variables)


def fresh_state(norms, classes=3, averaged=False, per_hop=True, clip=CLIP):
    """Other random variables, on all devices."""
    model = build(make_config(norms, per_hop=per_hop), classes)
    variables = make_random_variables(model, jnp.zeros(clip), train=False, seed=1)
    variables = jax.device_put(dict(variables), parallel.replicated(parallel.make_mesh()))
    zero = jnp.zeros((), jnp.int32)
    average = variables['params'] if averaged else {}
    return TrainState(zero, variables['params'], average, variables.get('batch_stats', {}), {}, zero, zero)


def begin(folder, state, names=NAMES):
    """(variables by path, what is told) of a state that takes over the weights in `folder`."""
    weights = initial_weights.read(folder, state, names, parallel.make_mesh())
    return transfer.flat(initial_weights.variables_of(weights.into(state))), weights.told


def assert_from(variables, paths, source):
    for path in paths:
        np.testing.assert_array_equal(variables[path], source[path], strict=True)


def test_the_same_network(tmp_path):
    source, state = saved(tmp_path, 'dnr'), fresh_state('dnr', averaged=True)
    variables, told = begin(tmp_path, state)
    assert variables.keys() == source.keys()
    assert_from(variables, source, source)
    assert told.splitlines() == [f'weights of {tmp_path}, step 0:', f'loaded {len(source)} arrays']
    after = initial_weights.read(tmp_path, state, NAMES, parallel.make_mesh()).into(state)
    for average, value in zip(jax.tree.leaves(after.average), jax.tree.leaves(after.params), strict=True):
        np.testing.assert_array_equal(average, value)
        assert average is not value, 'a step gives up both'
        assert average.sharding == value.sharding == parallel.replicated(parallel.make_mesh())


def test_other_classes_begin_a_classifier_anew(tmp_path):
    source, state = saved(tmp_path, 'batch', names=('a', 'b')), fresh_state('batch')
    variables, told = begin(tmp_path, state)
    head = {path for path in source if path.startswith('params/head')}
    assert_from(variables, source.keys() - head, source)
    assert_from(variables, head, transfer.flat(initial_weights.variables_of(state)))
    assert 'skipped 1 params/head/linear/kernel: its classes are others' in told


def test_as_many_classes_of_other_names_are_others(tmp_path):
    source, state = saved(tmp_path, 'batch'), fresh_state('batch')
    variables, _ = begin(tmp_path, state, names=('a', 'c', 'b'))
    assert not np.array_equal(variables['params/head/linear/kernel'], source['params/head/linear/kernel'])


def test_relays_begin_anew_in_place_of_static_scales(tmp_path):
    source, state = saved(tmp_path, 'batch'), fresh_state('dnr')
    variables, told = begin(tmp_path, state)
    relays = {path for path in variables if '/relay/' in path}
    assert len(relays) == 32
    assert_from(variables, variables.keys() - relays, source)
    assert_from(variables, relays, transfer.flat(initial_weights.variables_of(state)))
    assert 'skipped 4 params/stage*/block*/norm*/transform/scale: a relayed norm has no static scale and shift' in told


BEGIN_AS_BATCH = {word for word, parts in NORMS.items() if parts.residual or parts.transform in ('static', 'hopwise')}
BEGIN_AS_BATCH -= {'group'}


@pytest.mark.parametrize('word', [word for word in NORMS if word != 'none'])
def test_every_norm_begins_with_weights_of_batch_norm(tmp_path, word):
    """What controls are compared with must have begun with the same: and what begins as batch norm has its logits."""
    clip, norms = (1, 4, *CLIP[2:]), f'{word},{word}'
    source = saved(tmp_path, 'batch', clip=clip)
    state = fresh_state(norms, clip=clip)
    variables, told = begin(tmp_path, state)
    wanted = transfer.flat(initial_weights.variables_of(state))
    assert transfer.shapes(variables) == transfer.shapes(wanted)
    elsewhere = {path for path in wanted if re.search('relay|cell|share|/transform/(gates|c)$', path)}
    assert_from(variables, elsewhere, wanted)
    for path in variables.keys() & source.keys():  # of every hop what was of all
        np.testing.assert_allclose(variables[path], np.broadcast_to(source[path], variables[path].shape), rtol=1e-6)
    assert ('the checkpoint has no such relay' in told) == bool(elsewhere)
    if word in BEGIN_AS_BATCH:
        begun = {path: 0 * of if '/share/' in path else of for path, of in variables.items()}  # as they begin
        logits, expected = (
            jax.jit(partial(build(make_config(of), 3).apply, train=False))(
                unflatten_dict(given, sep='/'), normal(*clip)
            )
            for of, given in ((norms, begun), ('batch', source))
        )
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_group_norms_give_way_to_relays_as_batch_norms_do(tmp_path):
    saved(tmp_path, 'group')
    variables, told = begin(tmp_path, fresh_state('dnr_group'))
    assert 'transform/scale: a relayed norm has no static scale and shift' in told


@pytest.mark.parametrize(
    ('there', 'here'),
    [(('batch', False, 2), (True, 8)), (('dnr', True, 8), (True, 12)), (('dnr', True, 8), (False, 2))],
    ids=['one pair, four hops', 'four hops, six', 'four hops, one pair'],
)
def test_statistics_of_other_hops_are_their_mean_for_every_hop(tmp_path, there, here):
    norms, per_hop, frames = there
    source = saved(tmp_path, norms, per_hop=per_hop, clip=(1, frames, *CLIP[2:]))
    state = fresh_state('dnr', per_hop=here[0], clip=(1, here[1], *CLIP[2:]))
    wanted = transfer.shapes(transfer.flat(initial_weights.variables_of(state)))
    variables, told = begin(tmp_path, state)
    assert transfer.shapes(variables) == wanted
    others = [path for path in source.keys() & wanted.keys() if source[path].shape != wanted[path]]
    assert len(others) == 4  # mean and variance of the two norms whose relay is along frames
    for path in others:
        mean = source[path].reshape(-1, source[path].shape[-1]).mean(axis=0)
        for hop in variables[path].reshape(-1, len(mean)):
            np.testing.assert_allclose(hop, mean, rtol=1e-6)
        assert variables[path].sharding == parallel.replicated(parallel.make_mesh())
    assert 'loaded 2 batch_stats/stage*/block*/norm*/statistics/mean: of other hops, their mean for every one' in told


@pytest.mark.parametrize(
    ('there', 'here', 'width', 'words'),
    [
        ('dnr', 'batch', 4, r'missing 4 .*/transform/scale; .*unexpected 2 params/stage\*/relay/'),
        ('batch', 'batch', 8, r'wrong shape 1 params/conv_stem/kernel: expected \[7, 7, 3, 4\], got \[7, 7, 3, 8\]'),
        ('none', 'batch', 4, r'missing .*norm_stem'),
        ('batch', 'none', 4, r'unexpected 1 params/norm_stem/transform/scale'),
    ],
)
def test_what_does_not_fit(tmp_path, there, here, width, words):
    saved(tmp_path, there, width)
    with pytest.raises(ValueError, match=words):
        begin(tmp_path, fresh_state(here))


def test_a_part_of_a_relay_is_a_mistake():
    wanted = {'params/stage1/relay/a': (2,), 'params/stage1/relay/b': (2,)}
    relay = [(transfer.RELAY, 'none there')]
    entries = transfer.compare(wanted, {'params/stage1/relay/a': (2,)}, skip=[], fresh=relay)
    with pytest.raises(ValueError, match=r'missing 1 params/stage\*/relay/b'):
        transfer.expect_explained(entries, 'it', '')
    assert {entry.kind for entry in transfer.compare(wanted, {}, skip=[], fresh=relay)} == {'fresh'}


def training_config(tiny_dir, source):
    """One epoch that changes no parameter."""
    config = make_config('batch')
    config.init_from = str(source)
    config.data.update({'name': 'moving_shapes/tiny', 'dir': str(tiny_dir)})
    config.clip.stride = 4
    config.augment.size = config.validation.size = config.test.size = 32
    config.train.update({'batch_size': 32, 'epochs': 1, 'ema_decay': 0.5})
    config.schedule.update({'learning_rate': 1e-30, 'warmup_steps': 0})
    return config


def test_a_training_begins_with_them_once(tiny_dir, tmp_path, capsys, monkeypatch):
    """After an epoch at rate zero they are there still, as average too; and a run that goes on needs no source."""
    monkeypatch.setattr(validation.Scoring, 'validate', lambda self, state: None)
    monkeypatch.setattr(validation.Scoring, 'test', lambda self, state, out: {'step': int(state.step)})
    source = saved(tmp_path / 'source', 'batch')
    config = training_config(tiny_dir, tmp_path / 'source')
    config.model.standardize_weights = True  # which no array shows
    results = loop.train_and_evaluate(config, tmp_path / 'run')
    told = capsys.readouterr().out
    assert 'its classes are others' in told
    assert 'of a network of another config.model: standardize_weights (False there, True here)\n' in told
    ended = trained_model.load(tmp_path / 'run', 'last', lambda config: config, parallel.make_mesh())
    taken = {path for path in source if path.startswith('params/') and not path.startswith('params/head')}
    assert_from(transfer.flat(ended.variables), taken, source)
    shutil.rmtree(tmp_path / 'source')
    assert loop.train_and_evaluate(config, tmp_path / 'run') == results == {'step': ended.step}


def test_a_source_that_does_not_fit_leaves_the_folder_unclaimed(tiny_dir, tmp_path):
    saved(tmp_path / 'source', 'batch', width=8)
    with pytest.raises(ValueError, match='wrong shape'):
        loop.train_and_evaluate(training_config(tiny_dir, tmp_path / 'source'), tmp_path / 'run')
    with pytest.raises(ValueError, match='nowhere'):
        loop.train_and_evaluate(training_config(tiny_dir, tmp_path / 'nowhere'), tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


def test_hosts_whose_folders_of_one_name_hold_other_weights_end(tiny_dir, tmp_path, monkeypatch):
    """Each would begin with its own, and be trained by the gradients of all."""
    source = saved(tmp_path / 'source', 'batch')
    said = []

    def hear(of_run):
        said.extend(value for key, value in of_run.items() if key == 'arrays of config.init_from')
        if said:
            raise ValueError('process 1 differs')

    monkeypatch.setattr(loop, 'expect_alike', hear)
    with pytest.raises(ValueError, match='process 1 differs'):
        loop.train_and_evaluate(training_config(tiny_dir, tmp_path / 'source'), tmp_path / 'run')
    arrays = {path: array for path, array in source.items() if not path.startswith('params/head')}
    of = lambda arrays: initial_weights.Initial(arrays, '', {}).fingerprint  # noqa: E731
    assert said == [of(arrays)]
    path = max(arrays)
    assert of(arrays) == of(dict(reversed(arrays.items()))) != of(arrays | {path: arrays[path] + 1e-6})


def test_converted_weights_are_no_training_to_go_on_with(tiny_dir, tmp_path):
    saved(tmp_path / 'source', 'batch')
    with pytest.raises(ValueError, match='converted weights and no training'):
        loop.train_and_evaluate(training_config(tiny_dir, ''), tmp_path / 'source')
