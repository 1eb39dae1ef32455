"""The questions of a study, asked of a tiny network in a work folder; numbers of the answers, computed by hand."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from untrained import make_config

from dnr_jax import parallel
from dnr_jax.data.builders.shapes import LABEL_NAMES
from dnr_jax.data.source import open_split
from dnr_jax.models.pixels import normalize_pixels
from dnr_jax.runs import trained_model
from dnr_jax.study import ablated, clips, commands, trace
from dnr_jax.study.ablation import Means, matching
from dnr_jax.study.asking import Asked

CLIPS = 8
RELAYS = ['stage1', 'stage1/block1/norm2']

pytestmark = pytest.mark.usefixtures('resnet2')


@pytest.fixture(scope='module')
def ask(tmp_path_factory, tiny_dir, save_untrained):
    """`ask(norms, **asked)` gives what is asked of a network of random variables, in a work folder of its own."""
    runs = tmp_path_factory.mktemp('runs')

    def workdir(norms):
        if not (runs / norms).exists():
            save_untrained(runs / norms, make_config(norms, tiny_dir))
        return str(runs / norms)

    def asked(*norms, **given):
        settings = {'label': None, 'id': None, 'relay': None, 'layers': (), 'ablations': (), 'out': None}
        workdirs = tuple(map(workdir, norms))
        return Asked(workdirs, 'last', adapt=lambda config: config, clips=CLIPS, **settings | given)

    return asked


def read_json(asked, name):
    """Of strict JSON, which has no NaN."""
    return json.loads((asked.folder / name).read_text(), parse_constant=pytest.fail)


def is_picture(path):
    return path.read_bytes().startswith(b'\x89PNG')


def test_trace(ask):
    asked = ask('dnr', label='grow')
    text = commands.trace(asked)
    arrays, told = np.load(asked.folder / 'trace.npz'), read_json(asked, 'trace.json')
    assert LABEL_NAMES[arrays['label']] == told['label'] == 'grow' and f"'{told['predicted']}'" in text
    assert arrays['logits'].argmax() == LABEL_NAMES.index(told['predicted'])
    first, second = told['layers']
    assert (first['layer'], second['layer']) == ('stage1/block1/norm1', 'stage1/block1/norm2')
    assert first['scale_moves'] is None  # a relay along one layer has nothing before it
    h, forget = (arrays[f'{second["layer"]}/{of}'] for of in ('h', 'forget'))
    assert h.shape == (2, 4) and arrays['clip'].shape == (4, 32, 32, 3)
    assert (second['scale_low'], second['scale_high']) == (h.min(), h.max())
    assert second['scale_moves'] == pytest.approx(np.sqrt(np.square(h[1] - h[0]).mean()), rel=1e-5)
    assert second['forget'] == pytest.approx(forget.mean(), rel=1e-5)
    assert is_picture(asked.folder / 'trace.png')


def test_motion(ask):
    asked = ask('dnr', relay=RELAYS[1])
    commands.show_motion(asked)
    arrays, told = np.load(asked.folder / 'motion.npz'), read_json(asked, 'motion.json')
    assert arrays['clips_of_class'].sum() == told['clips'] == CLIPS
    for relay in RELAYS:
        assert (np.isnan(arrays[f'{relay}/mean_shift']).all(axis=(1, 2)) == (arrays['clips_of_class'] == 0)).all()
        seen = arrays['clips_of_class'] > 0
        low, high = (arrays[f'{relay}/{end}_scale'][seen] for end in ('low', 'high'))
        assert (low <= high).all() and (low < high).any()
        assert arrays[f'{relay}/clip_scale'].shape == (2, 1 if relay == 'stage1' else 2, 4)
    assert told['drawn'] == {
        'motion_clip_frames.png': RELAYS[1],
        'motion_classes_frames.png': RELAYS[1],
    }
    assert all(is_picture(asked.folder / name) for name in told['drawn'])


def test_influence(ask):
    asked = ask('dnr')
    text = commands.measure_influence(asked)
    relays = read_json(asked, 'influence.json')['relays']
    assert list(relays) == RELAYS and all(relay in text for relay in RELAYS)
    matrix = np.array(relays[RELAYS[1]]['influence'])
    assert matrix.shape == (2, 2) and matrix[0, 1] == 0 and matrix[1, 0] > 0
    assert relays[RELAYS[1]]['memory'] == pytest.approx([1, matrix[1, 0] / matrix.diagonal().mean()])
    assert all(is_picture(asked.folder / f'influence_{over}.png') for over in ('frames', 'layers'))


def test_ablate_goes_on_from_what_it_has_found(ask, monkeypatch):
    asked = ask('dnr', ablations=('none', 'zero'), layers=('norm2$',))
    commands.ablate(asked)
    none, zero = read_json(asked, 'ablate.json')['costs']
    assert (none['cost'], none['changed'], none['ablated']) == (0, 0, 1)
    assert zero['changed'] > 0
    monkeypatch.setattr(commands, 'ablated_logits', lambda *_: pytest.fail('it is known'))
    text = commands.ablate(asked)
    assert f'{100 * zero["cost"]:.1f} ±' in text and is_picture(asked.folder / 'ablate.png')
    found = read_json(asked, 'ablate.json')
    about = {key: found[key] for key in found if key != 'costs'}
    assert len(commands.found_before(asked.folder / 'ablate.json', about)) == 2
    another = about | {'logits_crc32': 1}  # of another network, or of other clips
    assert commands.found_before(asked.folder / 'ablate.json', another) == {}


def test_order_is_seen_by_a_relay_along_frames_and_by_no_batch_norm(ask):
    asked = ask('dnr', 'batch')
    text = commands.see_order(asked)
    dnr, batch = read_json(asked, 'order.json')['networks']
    assert (batch['agreement'], batch['top1_reversed']) == (1, batch['top1'])
    assert batch['moved'] < 1e-6 < 1e-4 < dnr['moved']
    assert np.trace(batch['turned']) == np.sum(dnr['turned']) == CLIPS
    assert text.splitlines()[0].split() == ['dnr', 'batch'] and is_picture(asked.folder / 'order.png')


@pytest.mark.parametrize('label_names', [LABEL_NAMES[::-1], LABEL_NAMES[:7]])
def test_order_of_other_classes_is_refused(ask, tiny_dir, tmp_path, save_untrained, label_names):
    """A class is a number to a network: told by the names of the first, those of the second would be wrong."""
    asked = ask('dnr', out=str(tmp_path / 'never'))
    other = tmp_path / 'other'
    save_untrained(other, make_config('dnr', tiny_dir), classes=len(label_names), label_names=label_names)
    first = asked.workdirs[0]
    with pytest.raises(ValueError, match=rf'the same order.*: {first} has 8 \(.*, {other} has {len(label_names)} \('):
        commands.see_order(asked._replace(workdirs=(first, str(other))))
    assert not (tmp_path / 'never').exists()


def test_mistakes(ask, tmp_path):
    out = {'out': str(tmp_path / 'never')}
    for question, asked, words in [
        (commands.trace, ask('batch', **out), 'Expected a network with a relay'),
        (commands.trace, ask('dnr', label='groww', **out), "Unknown class 'groww'. Did you mean 'grow'"),
        (commands.trace, ask('dnr', label='grow', id='x', **out), "No clip of .* has the label 'grow' and id 'x'"),
        (commands.trace, ask('dnr', 'batch', **out), 'Expected one --workdir, got 2'),
        (commands.show_motion, ask('dnr', relay='stage9', **out), "Unknown relay 'stage9'. Did you mean 'stage1'"),
        (commands.measure_influence, ask('dnr', **out)._replace(clips=0), '--clips of at least 1, got 0'),
        (commands.ablate, ask('dnr', ablations=('half',), **out), "Unknown ablation 'half'"),
        (commands.ablate, ask('dnr', layers=('stage9',), **out), "found by 'stage9' among stage1/block1/norm1, "),
        (commands.ablate, ask('dnr', layers=('(',), **out), r"regular expression, got '\('"),
    ]:
        with pytest.raises(ValueError, match=words):
            question(asked)
    assert not (tmp_path / 'never').exists()
    with pytest.raises(ValueError, match='folder that can be written to'):  # before anything is loaded
        commands.trace(ask('dnr', out='/proc/never')._replace(workdirs=('nowhere',)))


def test_clips_are_spread_over_the_split(ask):
    """The same ones each time, in the order of the split, and not its first ones, which may be all of one class."""
    found, source = clips.load(ask('dnr').workdirs[0], 'last', lambda config: config, parallel.make_mesh())
    config = found.config
    ids = [source[number]['id'] for number in range(len(source))]
    drawn = clips.draw(source, config, 8)
    numbers = [ids.index(id) for id in drawn.id]
    assert numbers == sorted(numbers) and len(set(numbers)) == 8 and max(numbers) > 8
    np.testing.assert_array_equal(clips.draw(source, config, 8).id, drawn.id)
    assert len(clips.draw(source, config, 10**6).label) == len(source)
    chosen = clips.choose_clip(source, config, None, ids[5])
    assert chosen.id.tolist() == [ids[5]] and chosen.label[0] == source[5]['label']


def test_a_distilled_network_says_what_the_ablated_one_does(ask, tmp_path):
    """By the means over training clips, in place of those over the clips that are asked; it may be given again."""
    asked = ask('dnr', out=str(tmp_path / 'out'))
    assert 'python eval.py --workdir=' in commands.distill(asked) == commands.distill(asked)
    mesh = parallel.make_mesh()
    clock = trained_model.load(tmp_path / 'out/clock', 'last', asked.adapt, mesh)
    assert clock.model.norms == ('cross_layer', 'hopwise') and clock.label_names == tuple(LABEL_NAMES)
    found = trained_model.load(asked.workdirs[0], 'last', asked.adapt, mesh)
    train = clips.draw(open_split('moving_shapes/tiny', found.config.data.dir, 'train', 0), found.config, CLIPS)
    pixels = normalize_pixels(jnp.asarray(train.clip), **found.config.pixels)
    means = {layer: Means(of.h.mean(axis=0), of.c.mean(axis=0))
             for layer, of in trace(found.model, found.variables, pixels).items()}  # fmt: skip
    chosen = matching(means, 'norm2')
    keys = jax.random.split(jax.random.key(0), CLIPS)
    expected = ablated(
        found.model, found.variables, pixels, ablation='mean_per_hop', chosen=chosen, means=means, keys=keys
    )
    logits = clock.model.apply(clock.variables, pixels, train=False)
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)
    assert abs(logits - found.model.apply(found.variables, pixels, train=False)).max() > 1e-3


def test_a_clock_of_a_network_scored_by_sets_has_the_statistics_of_its_checkpoint(ask, tmp_path):
    """Those that scores are taken with are of other names, and make a work folder that nothing can load."""

    def adapt(config):
        config.run.update({'precise_batches': 1, 'self_inclusive': 2})
        return config

    asked = ask('dnr', out=str(tmp_path / 'out'))._replace(adapt=adapt)
    commands.distill(asked)
    mesh = parallel.make_mesh()
    stored = trained_model.load(asked.workdirs[0], 'last', adapt, mesh)
    clock = trained_model.load(tmp_path / 'out/clock', 'last', lambda config: config, mesh)
    jax.tree.map(np.testing.assert_array_equal, stored.variables['batch_stats'], clock.variables['batch_stats'])
    assert clock.config.run.self_inclusive == 2  # by which it is scored as its network was


@pytest.mark.parametrize('other', ['cross_temporal_residual', 'cross_temporal_whole'])
def test_relays_along_frames_that_become_no_clock_stay_as_they_are(ask, tmp_path, other):
    asked = ask(f'{other},cross_temporal', out=str(tmp_path / 'out'))
    commands.distill(asked)
    mesh = parallel.make_mesh()
    stored, clock = (
        trained_model.load(workdir, 'last', asked.adapt, mesh)
        for workdir in (asked.workdirs[0], tmp_path / 'out/clock')
    )
    assert clock.model.norms == (other, 'hopwise')
    of_stored, of_clock = (of.variables['params']['stage1']['block1'] for of in (stored, clock))
    jax.tree.map(np.testing.assert_array_equal, of_stored['norm1'], of_clock['norm1'])
    assert 'relay' in of_stored['norm2']['transform'] and set(of_clock['norm2']['transform']) == {'scale', 'shift'}


def test_a_network_without_a_relay_along_frames_is_not_distilled(ask, tmp_path):
    with pytest.raises(ValueError, match="Expected a network with 'cross_temporal' norms.*got cross_layer, batch"):
        commands.distill(ask('dnr_layer', out=str(tmp_path / 'out')))
    assert not (tmp_path / 'out/clock').exists()
