"""What the compilers themselves answer to a dry run."""

import jax
import jax.numpy as jnp
import pytest

from configs import moving_shapes
from dnr_jax import parallel
from dnr_jax.ahead_of_time import estimates, topologies
from dnr_jax.ahead_of_time.compilation import ask

for compiler in ('libtpu', 'jax_cuda13_plugin'):
    pytest.importorskip(compiler)


def test_too_large_for_a_tpu():
    one = topologies.describe('v5e:1x1')
    array = jax.ShapeDtypeStruct((5, 2**30), jnp.float32, sharding=parallel.replicated(parallel.make_mesh(one.devices)))
    found = ask(lambda: jax.jit(lambda x: x + 1).lower(array).compile())
    assert found.program is None and found.out_of_memory and '\n' not in found.refusal
    assert found.peak == 2 * 8 * 4 * 2**30  # what goes in and what comes out, five rows in the place of eight
    assert one.memory == 16 * 2**30


@pytest.mark.parametrize('name', ['v5e:2x2', 'h100:4'])
def test_a_dry_run(name):
    config = moving_shapes.get_config('resnet18,batch')
    config.model.width, config.clip.frames = 4, 2
    lines = dict(line.split(maxsplit=1) for line in estimates.estimate(config, name, 8, largest_batch=False))
    assert '4 per device' in lines['devices'] and lines['memory'].startswith('fits')
    assert '(all-reduce)' in lines['exchange']
    assert ('relay 0.0%, norms ' if name == 'v5e:2x2' else 'estimates none') in lines['cycles']
