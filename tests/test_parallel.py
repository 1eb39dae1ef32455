"""Laying batches out over two devices and taking results back."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from dnr_jax import parallel


def numbered(count):
    for i in range(count):
        yield {'clip': np.full((4, 2), i, np.uint8), 'id': np.array([f'{i}-{row}' for row in range(4)])}


def test_place_splits_rows_over_devices():
    mesh = parallel.make_mesh()
    rows = np.arange(8).reshape(4, 2)
    placed = parallel.place({'clip': rows}, mesh)['clip']
    assert [shard.data.tolist() for shard in placed.addressable_shards] == [rows[:2].tolist(), rows[2:].tolist()]
    np.testing.assert_array_equal(parallel.to_host(placed), rows)


@pytest.mark.parametrize('ahead', [0, 1, 2, 9])
def test_place_ahead_keeps_order_and_loses_nothing(ahead):
    batches = list(parallel.place_ahead(numbered(5), parallel.make_mesh(), ahead))
    assert [int(batch['clip'][0, 0]) for batch, _ in batches] == [0, 1, 2, 3, 4]
    assert [ids[3] for _, ids in batches] == ['0-3', '1-3', '2-3', '3-3', '4-3']
    assert all(batch.keys() == {'clip'} for batch, _ in batches)


def test_place_ahead_reads_ahead():
    read = []
    source = (read.append(i) or batch for i, batch in enumerate(numbered(9)))
    next(parallel.place_ahead(source, parallel.make_mesh(), 2))
    assert read == [0, 1, 2]


@pytest.mark.parametrize('batch_size', [0, 3, -2])
def test_batches_that_devices_do_not_divide(batch_size):
    with pytest.raises(ValueError, match=rf'config.train.batch_size.*multiple of 2, got {batch_size}'):
        parallel.per_process(batch_size, parallel.make_mesh(), 'train.batch_size')


def test_describe():
    assert parallel.describe(parallel.make_mesh()) == f'2 {jax.devices()[0].device_kind} devices'


def test_what_is_compiled_for_once_has_the_bits_of_full_optimization():
    mesh, optimized = parallel.make_mesh(), {'xla_backend_optimization_level': 3}

    def make(key):
        return [nn.initializers.he_normal()(key, (3, 3, 8, 16)), nn.initializers.lecun_uniform()(key, (64, 40))]

    key = jax.random.key(3)
    for expected, made in zip(
        jax.jit(make, compiler_options=optimized)(key), parallel.compile_for_once(make, mesh)(key), strict=True
    ):
        np.testing.assert_array_equal(made, expected)
        assert made.sharding.is_equivalent_to(parallel.replicated(mesh), made.ndim)


@pytest.mark.parametrize(
    'arguments', [('', 2, None), ('', None, 0), ('', 2, 0), ('host:1', None, None), ('host:1', 2, None), ('auto', 2, 0)]
)
def test_half_of_what_makes_several_processes_is_refused(arguments):
    with pytest.raises(ValueError, match='--coordinator=HOST:PORT with --processes and --process'):
        parallel.connect(*arguments)
