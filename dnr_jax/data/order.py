"""Which videos an epoch of training reads, and in which order: a function of seed and epoch, and of nothing before.

    share of class k in an epoch ~ n_k ^ (1 - balance),    n_k its number of videos

A balance of 0 reads every video once, 1 reads of every class as many, 1/2 takes the square root. An epoch is as long
whatever the balance: videos of rare classes come up several times in it, of common ones not all do.

Source: Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, 2020.
"""

import dataclasses
import functools

import numpy as np
from jaxtyping import Float, Int

from dnr_jax.data.source import VideoSource


@dataclasses.dataclass(frozen=True, eq=False)
class Order:
    """`order(epoch)` are the positions of the videos of an epoch, [N]."""

    source: VideoSource
    balance: float | int
    seed: int

    @functools.lru_cache(maxsize=2)  # noqa: B019 - a batch may hold the end of one epoch and the beginning of the next
    def __call__(self, epoch: int) -> Int[np.ndarray, 'N']:
        """The videos of that epoch."""
        rng = np.random.default_rng((self.seed, epoch, 1))  # a third word, lest it be the draw of a clip
        if not self.balance:
            return rng.permutation(len(self.source))
        return balanced(self.source.labels, self.balance, rng)


def balanced(labels: Int[np.ndarray, 'N'], balance: float | int, rng: np.random.Generator) -> Int[np.ndarray, 'N']:
    """As many positions as there are labels, shuffled, with the shares of `share_of_classes`.

    A class has its share rounded up or down by one draw for all, so that its mean over epochs is exact; of its videos
    none comes up twice more often than another.
    """
    share = share_of_classes(np.bincount(labels), balance)
    ends = np.floor(np.cumsum(share) * len(labels) + rng.random()).astype(int)
    ends[-1] = len(labels)  # whatever the rounding of the sum
    drawn = []
    for label, count in enumerate(np.diff(ends, prepend=0)):
        videos = np.flatnonzero(labels == label)
        whole, rest = divmod(count, max(len(videos), 1))
        drawn += [np.tile(videos, whole), rng.permutation(videos)[:rest]]
    return rng.permutation(np.concatenate(drawn))


def share_of_classes(counts: Int[np.ndarray, 'K'], balance: float | int) -> Float[np.ndarray, 'K']:
    """The share of each class in an epoch, of these numbers of videos; 0 where there is none."""
    wanted = np.where(counts > 0, np.maximum(counts, 1.0) ** (1 - balance), 0.0)
    return wanted / wanted.sum()
