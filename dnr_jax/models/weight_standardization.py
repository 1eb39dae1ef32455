"""Weight standardization: convolutions by kernels of mean 0, under which outputs vary as much as inputs do.

    V = (W - mean(W)) / sqrt(N * var(W) + epsilon)      mean and var over the N inputs of each output channel

Parameters stay W: gradients, weight decay, moving averages and checkpoints are of these. Standardized are kernels of
all convolutions of features [B T H W C], over space, frames or both, and where each channel is convolved by itself in
space. Others are not: those of relays, of the head and of what else reads means over space, and weights by which each
channel sums its neighbouring frames, which would be blind to what stands still.

Source: Qiao, Wang, Liu, Shen, Yuille, "Micro-Batch Training with Batch-Channel Normalization and Weight
Standardization", 2019; with the N of Brock, De, Smith, Simonyan, "High-Performance Large-Scale Image Recognition
Without Normalization", ICML 2021.
"""

from collections.abc import Mapping
from dataclasses import fields
from functools import cache, partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.tree_util import DictKey
from jaxtyping import Float

from dnr_jax.models.network import Network
from dnr_jax.operations import Video

# The gate of `tea.MotionExcitation` reads means over space by a kernel that is laid out as that of a convolution.
OF_MEANS = tuple(map(DictKey, ('excitation', 'expand', 'kernel')))


def with_standardized_kernels(network: Network) -> Network:
    """The network by V, with the same parameters; epsilon is that of its norms."""
    return standardizing(type(network))(**settings_of(network))


def settings_of(network: Network) -> dict[str, Any]:
    """What a network of that kind is made from."""
    return {of.name: getattr(network, of.name) for of in fields(network) if of.name not in ('parent', 'name')}


@cache
def standardizing(kind: type[Network]) -> type[Network]:
    """That kind of network by V."""

    class Standardizing(kind):
        def __call__(self, clip: Video, train: bool) -> Float[Array, 'B *features']:
            if self.is_initializing():
                return kind.__call__(self, clip, train)  # which draws W; what it returns is by W too
            given = partial(standardized, epsilon=self.norm.keywords['epsilon'])
            return nn.map_variables(kind.__call__, 'params', given)(self, clip, train)

        def __reduce__(self) -> tuple:
            """To be copied and pickled by what it is made from, since its class has no place in a module."""
            return with_standardized_kernels, (kind(**settings_of(self), parent=None),)

    return Standardizing


def standardized(params: Mapping[str, Any], epsilon: float) -> Mapping[str, Any]:
    """V for every W among the parameters."""

    def of(path: tuple, leaf: Array) -> Array:
        convolves = path[-1] == DictKey('kernel') and leaf.ndim >= 4 and path[-3:] != OF_MEANS
        return kernel_of(leaf, epsilon) if convolves else leaf

    return jax.tree.map_with_path(of, params)


def kernel_of(w: Float[Array, '*taps C D'], epsilon: float) -> Float[Array, '*taps C D']:
    """V; of a single input, W itself, which does not vary."""
    inputs, over = w[..., 0].size, {'axis': tuple(range(w.ndim - 1)), 'keepdims': True}
    return (w - w.mean(**over)) / jnp.sqrt(inputs * w.var(**over) + epsilon) if inputs > 1 else w
