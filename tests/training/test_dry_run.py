"""The pace of a loader is the one that it keeps up, however many of its readers are ready at once."""

import time

import pytest
from ml_collections import ConfigDict

from dnr_jax.data.pipeline import Batches
from dnr_jax.training.dry_run import loader_pace


class Loader(Batches):
    """Its readers begin together, take a second of `clock` for each batch, and read `ahead` batches ahead."""

    def __init__(self, readers, ahead, clock):
        self.readers, self._ahead, self._clock = readers, ahead, clock
        self._ended, self._taken = [], []

    def __next__(self):
        number = len(self._taken)
        free = self._ended[number - self.readers] if number >= self.readers else 0
        begun = max(free, self._taken[number - self._ahead] if number >= self._ahead else 0)
        self._ended.append(begun + 1)
        self._clock[0] = max(self._clock[0], begun + 1)
        self._taken.append(self._clock[0])


@pytest.mark.parametrize('rounds', [1, 2])  # ahead: as threads are, and as processes are
@pytest.mark.parametrize('readers', [1, 3, 8, 12, 64])
def test_the_pace_of_a_loader(readers, rounds, monkeypatch):
    """Each takes a second for a batch of four."""
    clock = [0]
    monkeypatch.setattr(time, 'monotonic', lambda: clock[0])
    config = ConfigDict({'train': {'batch_size': 4}})
    assert loader_pace(config, Loader(readers, rounds * readers, clock)) == 4 * readers
