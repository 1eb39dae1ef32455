"""Weights from elsewhere: keys find their places, arrays their layout, and whatever has no explanation is refused."""

import re
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_commands import assert_refused, attempt, run
from test_golden import GOLDEN, ours, turned

from configs import kinetics400
from dnr_jax import models, parallel
from dnr_jax.convert import conversion, files, layout
from dnr_jax.convert.schemes import DNR, SCHEMES, TO_DNR, path_of, replaced
from dnr_jax.models.resnet import BasicBlock, BottleneckBlock, resnet
from dnr_jax.runs import checkpoints, trained_model, transfer
from dnr_jax.runs.ownership import as_json

CLASSES = 5


@pytest.fixture(scope='module', autouse=True)
def few_blocks():
    """Networks whose initialization compiles fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.MODELS, 'resnet8', partial(resnet, BottleneckBlock, (2, 1)))
        patch.setitem(models.RESNETS, 'resnet8', models.MODELS['resnet8'])
        patch.setitem(models.MODELS, 'resnet6', partial(resnet, BasicBlock, (1, 1)))
        yield


def make_config(model, frames=8):
    config = kinetics400.get_config(model)
    config.model.width, config.clip.frames, config.test.size = 8, frames, 32
    return config


def shapes(config):
    """Of all variables, by path."""
    model = models.build(**config.model.to_dict(), classes=CLASSES)
    clip = jnp.zeros((1, config.clip.frames, 32, 32, 3))
    return transfer.shapes(transfer.flat(jax.eval_shape(lambda: model.init(jax.random.key(0), clip, train=False))))


def resnet_keys(blocks, convolutions=3):
    """Keys of a ResNet in torchvision."""

    def norm(name):
        return [f'{name}.{part}' for part in ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')]

    keys = ['conv1.weight', *norm('bn1'), 'fc.weight', 'fc.bias']
    for i, count in enumerate(blocks, start=1):
        for j in range(count):
            for n in range(1, convolutions + 1):
                keys += [f'layer{i}.{j}.conv{n}.weight', *norm(f'layer{i}.{j}.bn{n}')]
            if j == 0:
                keys += [f'layer{i}.{j}.downsample.0.weight', *norm(f'layer{i}.{j}.downsample.1')]
    return keys


def of_authors(key):
    key = re.sub(r'(\d\.conv1)', r'\1.net', key)
    return f'module.{key.replace("fc", "new_fc")}' if key.startswith('fc') else f'module.base_model.{key}'


def of_mmaction2(key):
    key = re.sub(r'\bconv(\d)\.', r'conv\1.conv.', key)
    key = re.sub(r'\bbn(\d)\.', r'conv\1.bn.', key)
    key = key.replace('downsample.0', 'downsample.conv').replace('downsample.1', 'downsample.bn')
    return f'cls_head.{key.replace("fc", "fc_cls")}' if key.startswith('fc') else f'backbone.{key}'


def of_pyslowfast(key):
    key = re.sub(r'^conv1', 's1.pathway0_stem.conv', key)
    key = re.sub(r'^bn1', 's1.pathway0_stem.bn', key)
    for layer in (4, 3, 2, 1):
        key = re.sub(rf'^layer{layer}\.(\d)', rf's{layer + 1}.pathway0_res\1', key)
    for number, letter in enumerate('abc', start=1):
        key = key.replace(f'.conv{number}', f'.branch2.{letter}').replace(f'.bn{number}', f'.branch2.{letter}_bn')
    key = key.replace('downsample.0', 'branch1').replace('downsample.1', 'branch1_bn')
    return key.replace('fc', 'head.projection')


def of_pytorchvideo(key):
    key = re.sub(r'^conv1', 'blocks.0.conv', key)
    key = re.sub(r'^bn1', 'blocks.0.norm', key)
    key = re.sub(r'^layer(\d)\.', r'blocks.\1.res_blocks.', key)
    for number, letter in enumerate('abc', start=1):
        key = key.replace(f'.conv{number}', f'.branch2.conv_{letter}').replace(
            f'.bn{number}', f'.branch2.norm_{letter}'
        )
    key = key.replace('downsample.0', 'branch1_conv').replace('downsample.1', 'branch1_norm')
    return re.sub(r'^fc', 'blocks.5.proj', key)


SPELLINGS = {
    'torchvision': lambda key: key,
    'timm': lambda key: key,
    'tsm': of_authors,
    'mmaction2': of_mmaction2,
    'pyslowfast': of_pyslowfast,
    'pytorchvideo': of_pytorchvideo,
}


@pytest.mark.parametrize('source', SPELLINGS)
def test_every_key_of_a_resnet_has_its_place(source):
    paths = [path_of(SPELLINGS[source](key), SCHEMES[source].rules) for key in resnet_keys((3, 4, 6, 3))]
    counters = [path for path in paths if path.endswith('num_batches_tracked')]
    assert len(counters) == 53
    assert sorted(set(paths) - set(counters)) == sorted(shapes(make_config('resnet50,batch')))
    assert len(set(paths)) == len(paths)


@pytest.mark.parametrize(
    ('source', 'key', 'path'),
    [
        ('torchvision', 'layer3.5.downsample.1.running_var', 'batch_stats/stage3/block6/norm_shortcut/statistics/var'),
        ('torchvision_video', 'stem.3.weight', 'params/conv_stem_temporal/kernel'),
        ('torchvision_video', 'layer2.1.conv2.0.1.bias', 'params/stage2/block2/norm2_spatial/transform/shift'),
        ('torchvision_video', 'layer2.1.conv2.1.weight', 'params/stage2/block2/norm2_temporal/transform/scale'),
        ('torchvision', 'features.1.conv.1.weight', 'params/stage1/block1/conv3/kernel'),
        ('torchvision', 'features.1.conv.0.1.bias', 'params/stage1/block1/norm2/transform/shift'),
        ('torchvision', 'features.17.conv.1.0.weight', 'params/stage7/block1/conv2/kernel'),
        ('torchvision', 'classifier.1.bias', 'params/head/linear/bias'),
        ('tsm', 'module.base_model.layer1.0.conv1.net.weight', 'params/stage1/block1/conv1/kernel'),
        ('tanet', 'module.base_model.layer1.0.tam.G.3.weight', 'params/stage1/block1/tam/global/reduce/kernel'),
        ('tanet', 'module.base_model.layer1.0.tam.L.1.bias', 'params/stage1/block1/tam/local/norm/transform/shift'),
        ('tanet', 'module.base_model.layer4.2.net.bn2.weight', 'params/stage4/block3/norm2/transform/scale'),
        ('mmaction2', 'backbone.layer1.0.block.conv1.conv.weight', 'params/stage1/block1/conv1/kernel'),
        ('mmaction2', 'backbone.layer1.0.conv1.conv.net.weight', 'params/stage1/block1/conv1/kernel'),
        ('mmaction2', 'backbone.slow_path.conv1_lateral.conv.weight', 'params/lateral0/kernel'),
        ('mmaction2', 'backbone.fast_path.conv1.bn.bias', 'params/fast/norm_stem/transform/shift'),
        ('mmaction2_r2plus1d', 'backbone.conv1.conv.bn_s.weight', 'params/norm_stem_spatial/transform/scale'),
        ('mmaction2_r2plus1d', 'backbone.layer2.0.conv2.conv.conv_t.weight',
         'params/stage2/block1/conv2_temporal/kernel'),
        ('mmaction2_r2plus1d', 'backbone.layer2.0.downsample.bn.weight',
         'params/stage2/block1/norm_shortcut_temporal/transform/scale'),
        ('tea', 'base_model.layer1.0.me.bn3.bias', 'params/stage1/block1/excitation/norm_expand/transform/shift'),
        ('tea', 'module.base_model.layer1.1.bns.2.running_var', 'batch_stats/stage1/block2/norm2_3/statistics/var'),
        ('tea', 'module.base_model.layer1.1.shifts.3.conv.weight', 'params/stage1/block2/temporal4/kernel'),
        ('pytorchvideo_i3d', 'blocks.3.res_blocks.0.branch2.conv_b.weight', 'params/stage2/block1/conv2/kernel'),
        ('pyslowfast_slowfast', 's1.pathway1_stem.conv.weight', 'params/fast/conv_stem/kernel'),
        ('pyslowfast_slowfast', 's1_fuse.conv_f2s.weight', 'params/lateral0/kernel'),
        ('pyslowfast_slowfast', 's4_fuse.bn.running_mean', 'batch_stats/norm_lateral3/statistics/mean'),
        ('pyslowfast_slowfast', 's5.pathway0_res2.branch2.b.weight', 'params/slow/stage4/block3/conv2/kernel'),
        ('pytorchvideo_slowfast', 'blocks.0.multipathway_blocks.0.norm.bias', 'params/slow/norm_stem/transform/shift'),
        ('pytorchvideo_slowfast', 'blocks.1.multipathway_fusion.norm.bias', 'params/norm_lateral1/transform/shift'),
        ('pytorchvideo_slowfast', 'blocks.3.multipathway_fusion.conv_fast_to_slow.weight', 'params/lateral3/kernel'),
        ('pytorchvideo_slowfast', 'blocks.2.multipathway_blocks.1.res_blocks.0.branch1_conv.weight',
         'params/fast/stage2/block1/conv_shortcut/kernel'),
        ('pytorchvideo_slowfast', 'blocks.6.proj.weight', 'params/head/linear/kernel'),
    ],
)  # fmt: skip
def test_keys_of_other_networks(source, key, path):
    assert path_of(key, SCHEMES[source].rules) == path


@pytest.mark.parametrize(
    'wrapped',
    ['module.{}', '_orig_mod.{}', 'module._orig_mod.{}', '_orig_mod.module.{}', 'model.{}', 'model._orig_mod.{}'],
)
@pytest.mark.parametrize('source', SCHEMES)
def test_what_a_network_was_wrapped_in_is_taken_off(source, wrapped):
    keys = [
        'backbone.conv1.weight',
        'backbone.layer1.ModuleList.0.bn2.lstm.w_ih.0.seq.0.weight',
        'layer1.0.conv1.weight',
        'features.1.conv.1.weight',
        'base_model.layer1.0.conv1.net.weight',
        'stem.3.weight',
        's1.pathway0_stem.conv.weight',
        's1_fuse.conv_f2s.weight',
        'blocks.3.res_blocks.0.branch2.conv_b.weight',
        'backbone.conv1.conv.bn_s.weight',
    ]
    rules = SCHEMES[source].rules
    assert [path_of(wrapped.format(key), rules) for key in keys] == [path_of(key, rules) for key in keys]


def test_parts_may_be_wrapped_too():
    assert path_of('layer1._orig_mod.0.conv1.module.weight', ()) == 'params/stage1/block1/conv1/kernel'
    assert path_of('submodule.weight', ()) == 'params/submodule/kernel'


@pytest.mark.parametrize('file', ['resnet50_stage1_dnr'])
def test_keys_of_the_released_code(file):
    """As in the files of golden values, whose keys that code has written."""
    keys = [key.removeprefix('state/') for key in np.load(GOLDEN / f'{file}.npz').files if key.startswith('state/')]
    assert len(keys) > 30
    for key in keys:
        path = path_of(f'backbone.{key}', DNR)
        assert path == '/'.join(ours(key))
        assert replaced(path.replace('/', '.'), TO_DNR) == f'backbone.{key}'
        array = np.load(GOLDEN / f'{file}.npz')[f'state/{key}']
        np.testing.assert_array_equal(layout.to_ours(array, turned(array).shape), turned(array))


def test_layouts():
    kernel = np.arange(2 * 3 * 5 * 7, dtype=np.float32).reshape(2, 3, 5, 7)  # O I H W
    assert layout.to_ours(kernel, (5, 7, 3, 2))[4, 6, 2, 1] == kernel[1, 2, 4, 6]
    np.testing.assert_array_equal(layout.to_pytorch(layout.to_ours(kernel, (5, 7, 3, 2))), kernel)
    of_one_frame = layout.to_ours(kernel[:, :, None], (5, 7, 3, 2))
    np.testing.assert_array_equal(of_one_frame, layout.to_ours(kernel, (5, 7, 3, 2)))
    inflated = layout.to_ours(kernel, (3, 5, 7, 3, 2))
    np.testing.assert_allclose(inflated.sum(axis=0), of_one_frame, rtol=1e-6)
    np.testing.assert_array_equal(inflated[0], inflated[2])
    assert layout.to_ours(np.zeros((6, 1, 3)), (3, 1, 6)).shape == (3, 1, 6)  # one channel by itself, along time
    assert layout.to_ours(np.zeros((8, 2, 1)), (2, 8)).shape == (2, 8)  # a convolution of one position


def file_of(config, path, keep=lambda key: True, seed=0):
    """Random weights of the network of a config, under the keys of the released code; returns them."""
    rng = np.random.default_rng(seed)
    arrays = {
        replaced(name.replace('/', '.'), TO_DNR): layout.to_pytorch(rng.normal(size=shape).astype(np.float32))
        for name, shape in shapes(config).items()
    }
    arrays = {key: array for key, array in arrays.items() if keep(key)}
    files.write(path, arrays)
    return arrays


def test_there_and_back_is_bit_exact(tmp_path, monkeypatch):
    monkeypatch.setitem(conversion.RELEASED, 'model.width', 8)
    config = make_config('resnet8,dnr')
    arrays = file_of(config, tmp_path / 'a.npz')
    told = conversion.convert('dnr', tmp_path / 'a.npz', config, list('vwxyz'), tmp_path / 'run')
    assert f'loaded {len(arrays)} arrays' in told and len(told.splitlines()) == 2
    found = trained_model.load(tmp_path / 'run', 'last', lambda config: config, parallel.make_mesh())
    assert (found.label_names, found.step, found.fingerprints) == (tuple('vwxyz'), 0, {})
    assert found.config.model.to_dict() == as_json(config)['model']
    kernel = arrays['backbone.layer2.ModuleList.0.conv2.weight']
    np.testing.assert_array_equal(
        found.variables['params']['stage2']['block1']['conv2']['kernel'][2, 1, 3, 4], kernel[4, 3, 2, 1]
    )
    conversion.to_torch(tmp_path / 'run', 'last', tmp_path / 'b.npz')
    back = files.read(tmp_path / 'b.npz')
    assert back.keys() == arrays.keys()
    for key, array in arrays.items():
        np.testing.assert_array_equal(back[key], array, strict=True)


@pytest.mark.parametrize('model', ['resnet50,dnr', 'resnet101,cross_layer,cross_temporal,batch'])
def test_networks_of_the_released_code(model):
    conversion.expect_released(kinetics400.get_config(model))


@pytest.mark.parametrize(
    ('model', 'changes', 'words'),
    [
        ('tsm_resnet50,dnr', {}, 'model.backbone=tsm_resnet50'),
        ('resnet18,dnr', {}, 'model.backbone=resnet18'),
        ('resnet50,batch', {}, 'model.norms=batch'),  # whose blocks have no shared cell, and other keys
        ('resnet50,dnr_temporal', {}, 'model.norms=dnr_temporal'),
        ('resnet50,cross_temporal,cross_layer,batch', {}, 'model.norms=cross_temporal,cross_layer,batch'),
        ('resnet50,cross_layer_unit,cross_temporal_unit,batch', {}, 'model.norms=cross_layer_unit'),
        ('resnet50,cross_layer,cross_temporal_whole,batch', {}, 'model.norms=cross_layer,cross_temporal_whole'),
        ('resnet50,dnr', {'model.norm.running_per_hop': True}, 'model.norm.running_per_hop=True'),
        ('resnet50,dnr', {'model.norm.stride': 4, 'model.norm.epsilon': 1e-3}, 'stride=4, model.norm.epsilon=0.001'),
        ('resnet50,dnr', {'model.norm.reduction': 8}, 'model.norm.reduction=8'),
        ('resnet50,dnr', {'model.width': 32}, 'model.width=32'),
        ('resnet50,dnr', {'model.standardize_weights': True}, 'model.standardize_weights=True'),
        ('resnet50,dnr', {'clip.frames': 16}, 'clip.frames=16'),
    ],
)
def test_networks_that_the_released_code_has_not(model, changes, words):
    config = kinetics400.get_config(model)
    config.update_from_flattened_dict(changes)
    with pytest.raises(ValueError, match=f'has resnet50, resnet101, .* got (.*, )?.*{words}') as refused:
        conversion.expect_released(config)
    assert str(refused.value).count('got ') == 1


def test_nothing_is_written_of_another_network(tmp_path, monkeypatch):
    config = kinetics400.get_config('resnet50,cross_layer_unit,cross_temporal_unit,batch')
    found = trained_model.Trained(models.build(**config.model.to_dict(), classes=5), {}, config, tuple('vwxyz'), {}, 1)
    monkeypatch.setattr(trained_model, 'load', lambda *_: found)
    with pytest.raises(ValueError, match='cross_temporal_unit'):
        conversion.to_torch(tmp_path, 'last', tmp_path / 'a.npz')
    assert list(tmp_path.iterdir()) == []


def torchvision_file(path, config, **more):
    """Random weights of a basic-block ResNet, with the counters that torchvision has; returns them."""
    rng, sizes = np.random.default_rng(0), shapes(config)
    arrays = {}
    for key in resnet_keys((1, 1), convolutions=2):
        name = path_of(key, ())
        if key.endswith('tracked'):
            arrays[key] = np.array(7)
        elif name in sizes:
            arrays[key] = layout.to_pytorch(rng.normal(size=sizes[name]).astype(np.float32))
    np.savez(path, **arrays | more)
    return arrays


def test_into_a_network_with_relays(tmp_path):
    """Counters and static scales fall away, relays begin anew; the account says so."""
    plain, relayed = make_config('resnet6,batch'), make_config('resnet6,dnr')
    arrays = torchvision_file(tmp_path / 'a.npz', plain)
    told = conversion.convert('torchvision', tmp_path / 'a.npz', relayed, None, tmp_path / 'run').splitlines()
    assert 'skipped 4 layer*.*.bn*.weight: a relayed norm has no static scale and shift' in told
    assert any(line.startswith('skipped 4 layer*.*.bn*.num_batches_tracked: a counter') for line in told)
    assert 'fresh 16 params/stage*/relay: the source has no relays' in told
    assert 'fresh 16 params/stage*/block*/norm*/transform/relay: the source has no relays' in told
    found = trained_model.load(tmp_path / 'run', 'last', lambda config: config, parallel.make_mesh())
    variables = transfer.flat(found.variables)
    np.testing.assert_array_equal(
        variables['batch_stats/stage2/block1/norm1/statistics/var'], arrays['layer2.0.bn1.running_var']
    )
    relay = variables['params/stage1/relay/input_gates/reduce/kernel']
    assert 0 < np.abs(relay).max() <= relay.shape[0] ** -0.5
    assert found.label_names == tuple(f'class {i}' for i in range(CLASSES))


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda a: a | {'layer1.0.se.weight': np.zeros(3)}, r'unexpected 1 layer\*\.\*\.se\.weight'),
        (lambda a: {k: v for k, v in a.items() if k != 'conv1.weight'}, 'missing 1 params/conv_stem/kernel'),
        (lambda a: a | {'bn1.bias': np.zeros(9)}, r'wrong shape 1 bn\*\.bias: expected \[8\], got \[9\]'),
        (lambda a: a | {'layer1.0.bn2.running_mean': np.zeros((1, 8))}, r'wrong shape 1 .*expected \[8\]'),
        (lambda a: a | {'stage1.block1.conv1.weight': np.zeros(3)}, 'would both become params/stage1/block1/conv1'),
        (lambda a: {k: v for k, v in a.items() if k != 'fc.weight'}, 'missing 1 params/head/linear/kernel'),
        (lambda a: {k: v for k, v in a.items() if k[:3] != 'fc.'}, 'no classifier.*--classes'),
    ],
)
def test_what_is_unexplained_is_refused(tmp_path, change, words):
    config = make_config('resnet6,batch')
    np.savez(tmp_path / 'b.npz', **change(torchvision_file(tmp_path / 'a.npz', config)))
    with pytest.raises(ValueError, match=words):
        conversion.convert('torchvision', tmp_path / 'b.npz', config, None, tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
    ('spelled', 'words'),
    [
        (of_mmaction2, r"has the keys of 'mmaction2', by which 32 of 32 are those of the network, by 'torchvision' 0"),
        (lambda key: f'encoder.{key}', r"has keys of which none is of 'torchvision': 'encoder.conv1.weight'"),
    ],
)
def test_the_cause_comes_first(tmp_path, spelled, words):
    """With other names of its arrays, a source has no classifier either; but that is not what is wrong."""
    config = make_config('resnet6,batch')
    arrays = torchvision_file(tmp_path / 'a.npz', config)
    np.savez(tmp_path / 'b.npz', **{spelled(k): a for k, a in arrays.items() if not k.endswith('tracked')})
    with pytest.raises(ValueError, match=words):
        conversion.convert('torchvision', tmp_path / 'b.npz', config, None, tmp_path / 'run')


def test_whole_numbers_are_no_weights(tmp_path):
    config = make_config('resnet6,batch')
    arrays = torchvision_file(tmp_path / 'a.npz', config)
    np.savez(tmp_path / 'b.npz', **arrays | {'conv1.weight': arrays['conv1.weight'].astype(np.int8)})
    with pytest.raises(ValueError, match="floating-point numbers at 'conv1.weight'"):
        conversion.convert('torchvision', tmp_path / 'b.npz', config, None, tmp_path / 'run')


def test_a_relay_of_the_released_code_must_be_there(tmp_path):
    config = make_config('resnet8,dnr')
    file_of(config, tmp_path / 'a.npz', keep=lambda key: 'layer2.lstm' not in key)
    with pytest.raises(ValueError, match=r'missing 1 params/stage\*/relay/input_gates/expand/bias'):
        conversion.convert('dnr', tmp_path / 'a.npz', config, None, tmp_path / 'run')


def test_mistakes(tmp_path):
    config = make_config('resnet6,batch')
    torchvision_file(tmp_path / 'a.npz', config)
    with pytest.raises(ValueError, match="Unknown source of weights 'torchvison'. Did you mean 'torchvision'"):
        conversion.convert('torchvison', tmp_path / 'a.npz', config, None, tmp_path / 'run')
    with pytest.raises(ValueError, match='each of the 5 classes of the source, got 2'):
        conversion.convert('torchvision', tmp_path / 'a.npz', config, ['a', 'b'], tmp_path / 'run')
    config.model.standardize_weights = True
    with pytest.raises(ValueError, match='standardize_weights=False, got True. Begin a training'):
        conversion.convert('torchvision', tmp_path / 'a.npz', config, None, tmp_path / 'run')
    config.model.standardize_weights = False
    (tmp_path / 'run' / 'checkpoints').mkdir(parents=True)
    with pytest.raises(ValueError, match='holds checkpoints already'):
        conversion.convert('torchvision', tmp_path / 'a.npz', config, None, tmp_path / 'run')


def test_another_epsilon_leaves_the_function_of_the_source(tmp_path):
    """What norms divide by is what those of the source do, which add 1e-5."""
    config = make_config('resnet6,batch')
    config.model.norm.epsilon = 1e-3
    arrays = torchvision_file(tmp_path / 'a.npz', config)
    conversion.convert('torchvision', tmp_path / 'a.npz', config, None, tmp_path / 'run')
    found = trained_model.load(tmp_path / 'run', 'last', lambda config: config, parallel.make_mesh())
    stages = found.variables['batch_stats']
    for key, var in (('bn1', stages['norm_stem']), ('layer2.0.bn2', stages['stage2']['block1']['norm2'])):
        expected = arrays[f'{key}.running_var'] + 1e-5
        np.testing.assert_allclose(var['statistics']['var'] + found.config.model.norm.epsilon, expected, atol=1e-6)


def test_pixels_of_the_source_are_kept(tmp_path):
    config = make_config('resnet8,batch')
    sizes, rng = shapes(config), np.random.default_rng(0)
    arrays = {
        of_pyslowfast(key): layout.to_pytorch(rng.normal(size=sizes[path_of(key, ())]))
        for key in resnet_keys((2, 1))
        if not key.endswith('tracked') and path_of(key, ()) in sizes
    }
    np.savez(tmp_path / 'a.npz', **arrays)
    conversion.convert('pyslowfast', tmp_path / 'a.npz', config, None, tmp_path / 'run')
    stored = checkpoints.find(tmp_path / 'run' / 'checkpoints', 'last').about['config']
    assert stored['pixels'] == {'mean': [114.75] * 3, 'std': [57.375] * 3}
    assert config.pixels.std[0] == 58.395


def test_pixels_of_video_networks_of_torchvision():
    """As its documentation has them, of numbers from 0 to 1; its networks of images read those of ImageNet."""
    pixels = SCHEMES['torchvision_video'].pixels
    np.testing.assert_allclose(np.divide(pixels['mean'], 255), [0.43216, 0.394666, 0.37645])
    np.testing.assert_allclose(np.divide(pixels['std'], 255), [0.22803, 0.22145, 0.216989])
    assert SCHEMES['torchvision'].pixels is None
    assert path_of('stem.3.weight', SCHEMES['torchvision'].rules) not in shapes(make_config('r2plus1d_18,batch'))


WEIGHT = {'w': np.ones(2, np.float32)}
STEPS = {'state': {0: {'momentum': np.ones(2)}}, 'param_groups': [{'lr': 0.1}]}


@pytest.mark.parametrize(
    ('loaded', 'keys', 'taken'),
    [
        (WEIGHT, [''], ''),
        ({'epoch': 3, 'state_dict': WEIGHT, 'optimizer': STEPS}, ['state_dict'], 'state_dict'),
        ({'model_ema': WEIGHT, 'model': WEIGHT, 'args': None}, ['model_ema', 'model'], 'model'),
        ({'state_dict_ema': WEIGHT, 'state_dict': WEIGHT}, ['state_dict_ema', 'state_dict'], 'state_dict'),
        (
            {'ema': {'decay': 0.9, 'shadow': WEIGHT}, 'model_state': WEIGHT},
            ['ema.shadow', 'model_state'],
            'model_state',
        ),
        ({'state_dict': WEIGHT, 'best_acc1': np.array(7.0)}, ['state_dict'], 'state_dict'),
        ({'net': WEIGHT, 'epoch': 1}, ['net'], 'net'),
    ],
)
def test_sets_of_arrays_in_a_checkpoint(loaded, keys, taken):
    found = dict(files.sets_within(loaded, '', set()))
    assert list(found) == keys
    assert files.chosen(found, None, 'a.pth') == taken
    assert [files.chosen(found, key, 'a.pth') for key in keys] == keys


def test_several_sets_of_which_none_stands_out():
    found = {'student': WEIGHT, 'teacher': WEIGHT}
    with pytest.raises(ValueError, match='weights under student, teacher; say which: --key=student'):
        files.chosen(found, None, 'a.pth')
    with pytest.raises(ValueError, match="Unknown key of weights in 'a.pth' 'teachr'. Did you mean 'teacher'"):
        files.chosen(found, 'teachr', 'a.pth')


def test_a_checkpoint_within_itself():
    loaded = {'a': WEIGHT}
    loaded['again'] = loaded
    assert list(files.sets_within(loaded, '', set())) == [('a', WEIGHT)]


def test_a_moving_average_is_told_and_chosen(tmp_path, monkeypatch):
    config = make_config('resnet6,batch')
    arrays = torchvision_file(tmp_path / 'a.npz', config)
    average = {f'module.{key}': np.asarray(array + 1) for key, array in arrays.items()} | {'n_averaged': np.array(9)}
    monkeypatch.setitem(files.READERS, '.npz', lambda path: {'model': arrays, 'model_ema': average, 'epoch': 3})
    told = conversion.convert('torchvision', tmp_path / 'a.npz', config, None, tmp_path / 'one')
    assert told.splitlines()[-1] == "beside 'model', the file holds model_ema: --key=model_ema takes that"
    told = conversion.convert('torchvision', tmp_path / 'a.npz', config, None, tmp_path / 'two', key='model_ema')
    assert 'skipped 1 n_averaged: a counter that nothing reads' in told
    biases = [
        trained_model.load(tmp_path / run, 'last', lambda config: config, parallel.make_mesh()).variables['params'][
            'head'
        ]
        for run in ('one', 'two')
    ]
    np.testing.assert_array_equal(biases[0]['linear']['bias'], arrays['fc.bias'])
    np.testing.assert_array_equal(biases[1]['linear']['bias'], arrays['fc.bias'] + 1)


@pytest.mark.parametrize('array', [np.array(['text']), np.ones(2, complex), np.array([None]), np.zeros(2, 'i4,f4')])
def test_what_is_no_number(tmp_path, array):
    np.savez(tmp_path / 'a.npz', a=array)
    with pytest.raises(ValueError, match="Expected numbers at 'a'|Object arrays cannot be loaded"):
        files.read(tmp_path / 'a.npz')


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match="Unknown kind of file '.pkl'"):
        files.read(tmp_path / 'a.pkl')
    with pytest.raises(ValueError, match='found none'):
        files.read(tmp_path / 'a.npz')
    (tmp_path / 'a.npz').write_bytes(b'not arrays')
    with pytest.raises(ValueError, match='cannot be read as arrays'):
        files.read(tmp_path / 'a.npz')


@pytest.mark.parametrize(('name', 'package'), [('a.pth', 'torch'), ('a.safetensors', 'safetensors')])
def test_libraries_are_named_where_they_are_missing(tmp_path, monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match=f'pip install {package}'):
        files.read(tmp_path / name)


def test_command(tmp_path):
    config = kinetics400.get_config('resnet18,batch')
    config.model.width, config.clip.frames, config.test.size = 4, 2, 32
    sizes = shapes(config)
    keys = [key for key in resnet_keys((2, 2, 2, 2), convolutions=2) if path_of(key, ()) in sizes]
    np.savez(
        tmp_path / 'a.npz', **{key: layout.to_pytorch(np.ones(sizes[path_of(key, ())], np.float32)) for key in keys}
    )
    (tmp_path / 'names.txt').write_text('a\nb\nc\nd\ne\n')
    small = ['--config=configs/kinetics400.py:resnet18,batch', '--config.model.width=4', '--config.clip.frames=2']
    convert = '-m', 'dnr_jax.convert', 'torchvision', tmp_path / 'a.npz'
    done = run(*convert, '--out', tmp_path / 'run', *small, '--classes', tmp_path / 'names.txt')
    assert done.returncode == 0, done.stderr
    assert f'loaded {len(sizes)} arrays' in done.stdout
    assert checkpoints.find(tmp_path / 'run' / 'checkpoints', 'last').about['label_names'] == list('abcde')
    assert_refused(attempt(*convert, '--out', tmp_path / 'b'), 'does not fit', 'params/stage')
    assert_refused(attempt(*convert), '--out', '--to-torch')


def test_weights_in_a_bucket(bucket, tmp_path):
    written = {'a': np.arange(3, dtype=np.float32), 'b.weight': np.ones((2, 2), np.float32)}
    files.write('gs://bucket/weights.npz', written)
    assert (bucket / 'weights.npz').exists() and not (tmp_path / 'gs:').exists()
    read = files.read('gs://bucket/weights.npz')
    assert read.keys() == written.keys() and all((read[key] == written[key]).all() for key in read)
    with pytest.raises(ValueError, match="Expected a file of weights at 'gs://bucket/none.npz', found none"):
        files.read('gs://bucket/none.npz')
