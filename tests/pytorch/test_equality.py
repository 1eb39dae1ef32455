"""PyTorch networks with random weights say the same once converted. Run by `make test-torch`."""

import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip('torch')
sys.path.insert(0, str(Path(__file__).parent))

import networks2d  # noqa: E402
import networks3d  # noqa: E402
import released  # noqa: E402

from configs import kinetics400  # noqa: E402
from dnr_jax import models  # noqa: E402
from dnr_jax.convert import conversion, files, layout, schemes  # noqa: E402
from dnr_jax.models.resnet import BottleneckBlock, resnet  # noqa: E402
from dnr_jax.runs import transfer  # noqa: E402

TOLERANCE = 1e-4  # of the largest value
CLASSES = 5


def randomized(network):
    """In float64, with no array at its initial value."""
    generator = torch.Generator().manual_seed(0)
    for name, array in network.double().state_dict().items():
        if not array.is_floating_point():
            continue
        normal = torch.randn(array.shape, generator=generator, dtype=array.dtype)
        uniform = torch.rand(array.shape, generator=generator, dtype=array.dtype)
        if array.ndim > 1:
            array.copy_(normal * (1 / array[0].numel()) ** 0.5)
        else:
            array.copy_(uniform + 0.5 if name.endswith(('weight', 'var')) else normal * 0.5)
    return network.eval()


def make_config(model, width, frames, size):
    config = kinetics400.get_config(model)
    config.model.update({'width': width, 'dropout': 0.0})
    config.clip.frames, config.test.size = frames, size
    return config


def converted(network, source, config, spell):
    """(model, variables, account) of a network, whose keys `spell` completes."""
    scheme = schemes.SCHEMES[source]
    arrays = {spell(key): files.as_float32(array.numpy()) for key, array in network.state_dict().items()}
    found = conversion.by_path(arrays, scheme)
    variables, entries = conversion.fit(found, config, CLASSES, scheme, 'network')
    return models.build(**config.model.to_dict(), classes=CLASSES), variables, entries


def assert_close(ours, theirs, name=''):
    theirs = theirs.detach().numpy()
    error, largest = np.abs(np.asarray(ours, np.float64) - theirs).max(), np.abs(theirs).max()
    assert error <= TOLERANCE * largest, name


def clip_of(frames, size, clips=2):
    return np.random.default_rng(1).normal(size=(clips, frames, size, size, 3))


def to_torch(clip):
    """[B T H W 3] -> [N, T, 3, H, W]."""
    return torch.tensor(np.moveaxis(clip, -1, 2))


def logits(model, variables, clip):
    return jax.jit(lambda clip: model.apply(variables, clip, train=False))(jnp.asarray(clip, jnp.float32))


def as_is(key):
    return key


def of_authors(key):
    return f'module.{key.replace("fc.", "new_fc.")}' if key.startswith('fc.') else f'module.base_model.{key}'


CASES = {
    'torchvision': ('resnet50', 8, 8, lambda frames: networks2d.ResNet(8, CLASSES), as_is),
    'timm': ('resnet50', 8, 8, lambda frames: networks2d.ResNet(8, CLASSES), as_is),
    'torchvision mobilenet': ('mobilenet_v2', 64, 2, lambda frames: networks2d.MobileNetV2(CLASSES), as_is),
    'tsm tsn': ('resnet50', 8, 8, lambda frames: networks2d.ResNet(8, CLASSES), of_authors),
    'tsm': ('tsm_resnet50', 8, 8, lambda frames: networks2d.tsm(8, CLASSES, frames), of_authors),
    'tanet': ('tanet_resnet50', 8, 8, lambda frames: networks2d.tanet(8, CLASSES, frames), of_authors),
    'tea': ('tea_resnet50', 10, 8, lambda frames: networks2d.tea(10, CLASSES, frames), of_authors),
    'dnr': ('resnet50', 8, 8, lambda frames: released.Released(8, CLASSES, frames), as_is),
    **networks3d.cases(CLASSES),
}


@pytest.mark.parametrize('case', CASES)
def test_logits(case):
    backbone, width, frames, make, spell = CASES[case]
    source = case.partition(' ')[0]
    config = make_config(f'{backbone},{"dnr" if source == "dnr" else "batch"}', width, frames, 64)
    with torch.no_grad():
        network = randomized(make(frames))
        clip = clip_of(frames, 64)
        model, variables, entries = converted(network, source, config, spell)
        assert {entry.kind for entry in entries if 'num_batches' not in entry.name} == {'loaded'}
        assert_close(logits(model, variables, clip), network(to_torch(clip)))


def test_training_of_the_released_network(monkeypatch):
    """Gradients of every parameter and running statistics after one training pass.

    Of a few blocks and small frames: one ReLU that rounding turns over, of a million, would show in the gradients.
    """
    monkeypatch.setitem(models.MODELS, 'resnet50', partial(resnet, BottleneckBlock, (2, 1)))
    config = make_config('resnet50,dnr', 8, 8, 32)
    network = randomized(released.Released(8, CLASSES, 8, layers=(2, 1)))
    model, variables, _ = converted(network, 'dnr', config, as_is)
    clip, weight = clip_of(8, 32), np.random.default_rng(2).normal(size=(2, CLASSES))

    def loss(params):
        statistics = {'batch_stats': variables['batch_stats']}
        y, after = model.apply(
            {'params': params, **statistics}, jnp.asarray(clip, jnp.float32), train=True, mutable='batch_stats'
        )
        return jnp.sum(y * weight.astype(np.float32)), (y, after)

    gradients, (trained, after) = jax.jit(jax.grad(loss, has_aux=True))(variables['params'])
    output = network.train()(to_torch(clip))
    (output * torch.tensor(weight)).sum().backward()
    assert_close(trained, output)
    results = transfer.flat({'params': gradients, **after})
    theirs = {key: array.grad for key, array in network.named_parameters()} | dict(network.named_buffers())
    compared = 0
    for key, array in theirs.items():
        path = schemes.path_of(key, schemes.DNR)
        if path in results:
            expected = torch.tensor(layout.to_ours(array.detach().numpy(), results[path].shape))
            assert_close(results[path], expected, key)
            compared += 1
    assert compared == len(results)


def test_a_2d_network_inflated():
    """Taps of a kernel over frames are the kernel of a frame in equal shares."""
    config = make_config('slowonly_resnet50,batch', 8, 4, 64)
    network = randomized(networks2d.ResNet(8, CLASSES))
    model, variables, entries = converted(network, 'torchvision', config, as_is)
    repeated = [entry for entry in entries if 'repeated over 3 frames' in entry.why]
    assert len(repeated) == 9
    flat = transfer.flat(variables)
    kernel = network.state_dict()['layer3.1.conv1.weight'].numpy()[:, :, 0, 0].T
    for tap in flat['params/stage3/block2/conv1/kernel'][:, 0, 0]:
        np.testing.assert_allclose(tap, kernel / 3, rtol=1e-6)
