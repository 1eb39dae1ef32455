"""SlowFast: a wide pathway that sees few frames and a narrow one that sees all, [B T H W C].

The clip is that of the fast pathway; the slow one takes every alpha-th frame from the first, 0, alpha, 2 alpha, ...

    slowfast_resnet50_4x16   alpha 8: 32 frames, 4 of them slow; laterals reach over 5 frames
    slowfast_resnet50_8x8    alpha 4: 32 frames, 8 of them slow; laterals reach over 7 frames
    pyslowfast_resnet50_*    the same in the form of its authors

The slow pathway is SlowOnly; the fast one has an eighth of its channels, a 5 x 7 x 7 stem, and 3 x 1 x 1 first
convolutions everywhere. After the stem and stages 1 to 3 a lateral convolution over time of stride alpha takes the
fast features to twice their channels and to the slow frames, where they join the slow features.

Norms stand in both pathways as in SlowOnly. Each pathway has its own relays and carries: their widths differ, and
what one tells the other passes the laterals alone. A relay over frames follows the T of its pathway; groups of group
norms must divide the eighth too. The last scale of a block starts at zero.

The first two are in the form of mmaction2. That of the authors differs, which matters for its weights: a plain norm and
ReLU after every lateral; slow frames spread over the whole clip, 0 4 8 13 17 22 26 31 of 32; slow features first in the
head.

Source: Feichtenhofer et al., "SlowFast Networks for Video Recognition", ICCV 2019; open-mmlab/mmaction2,
facebookresearch/SlowFast and facebookresearch/pytorchvideo.
"""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from dnr_jax.models.network import Network, Output
from dnr_jax.models.resnet3d import SLOW_KERNELS, Bottleneck3D, Pathway, TemporalConv
from dnr_jax.norms.relay import zero_carry
from dnr_jax.norms.words import norm_slots
from dnr_jax.operations import Video

BETA = 8  # channels of the slow pathway per channel of the fast one


class SlowFast(Network):
    """Two pathways and their laterals; with `classes=None`, the features before the head are [B 1 1 1 C].

    Attributes:
      kernels: of the slow pathway, see `Pathway`. alpha: frames of the fast pathway per frame of the slow one.
      lateral_kernel: frames that a lateral convolution reaches over.
      Others as in `Network`; width, a multiple of 8, is that of the slow pathway.
    """

    kernels: tuple[tuple[int, ...], ...]
    alpha: int
    lateral_kernel: int

    def setup(self):
        shared = {of: getattr(self, of) for of in ('norms', 'norm', 'relay_cell', 'remat', 'dtype')}
        pathway = partial(Pathway, **shared, classes=None, dropout=0.0, stem_stride=1, from_zero=True)
        fast_kernels = tuple((3,) * len(stage) for stage in self.kernels)
        self.slow = pathway(kernels=self.kernels, stem_kernel=1, width=self.width)
        self.fast = pathway(kernels=fast_kernels, stem_kernel=5, width=self.width // BETA)

    @nn.compact
    def __call__(self, clip: Float[Array, 'B T H W 3'], train: bool) -> Float[Array, 'B *features']:
        expect_multiple(clip.shape[1], self.alpha)
        slow, fast = self.slow.stem(self.slow_frames(clip), train), self.fast.stem(clip, train)
        slow_carry, fast_carry = zero_carry(len(clip), self.slow.width), zero_carry(len(clip), self.fast.width)
        for i, (slow_stage, fast_stage) in enumerate(zip(self.slow.stages, self.fast.stages, strict=True)):
            slow = jnp.concatenate([slow, self.lateral(i, fast, train)], axis=-1)
            slow, slow_carry = slow_stage(slow, slow_carry, train)
            fast, fast_carry = fast_stage(fast, fast_carry, train)
        return self.classify(self.joined(mean_of_all(slow), mean_of_all(fast)), train)

    def slow_frames(self, clip: Video) -> Float[Array, 'B T2 H W C']:
        """What the slow pathway sees."""
        return clip[:, :: self.alpha]

    def lateral(self, i: int, fast: Video, train: bool) -> Output:
        """What the fast features before stage i tell the slow ones."""
        return TemporalConv(2 * fast.shape[-1], self.lateral_kernel, self.alpha, self.dtype, name=f'lateral{i}')(fast)

    def joined(self, slow: Float[Array, 'B 1 1 1 S'], fast: Float[Array, 'B 1 1 1 F']) -> Float[Array, 'B 1 1 1 C']:
        """What the head reads."""
        return jnp.concatenate([fast, slow], axis=-1)


class PySlowFast(SlowFast):
    """The form of the authors."""

    def slow_frames(self, clip: Video) -> Float[Array, 'B T2 H W C']:
        frames = clip.shape[1]
        return clip[:, np.linspace(0, frames - 1, frames // self.alpha).astype(int)]

    def lateral(self, i: int, fast: Video, train: bool) -> Output:
        y = super().lateral(i, fast, train)
        return nn.relu(self.plain_norm(y, f'norm_lateral{i}', train))

    def joined(self, slow: Float[Array, 'B 1 1 1 S'], fast: Float[Array, 'B 1 1 1 F']) -> Float[Array, 'B 1 1 1 C']:
        return jnp.concatenate([slow, fast], axis=-1)


def mean_of_all(x: Video) -> Float[Array, 'B 1 1 1 C']:
    return x.astype(jnp.float32).mean(axis=(1, 2, 3), keepdims=True)


def expect_multiple(frames: int, alpha: int) -> None:
    """ValueError if alpha does not divide T."""
    if frames % alpha:
        raise ValueError(
            f'The slow pathway takes every {alpha}-th frame: expected a multiple of {alpha} frames, got {frames}; set '
            'the frames of the clip accordingly.'
        )


def slowfast(make, alpha, lateral_kernel, *, norms, width, **settings) -> SlowFast:
    """A SlowFast over ResNet-50; ValueError if the eighth of `width` is not whole."""
    if width % BETA:
        raise ValueError(f'The fast pathway has an eighth of the channels: width is a multiple of 8, got {width}.')
    form = {'kernels': SLOW_KERNELS['resnet50'], 'alpha': alpha, 'lateral_kernel': lateral_kernel}
    return make(**form, norms=norm_slots(norms, len(Bottleneck3D.widths(1))), width=width, **settings)


SLOWFASTS = {
    f'{form}_resnet50_{name}': partial(slowfast, make, alpha, lateral_kernel)
    for form, make in (('slowfast', SlowFast), ('pyslowfast', PySlowFast))
    for name, alpha, lateral_kernel in (('4x16', 8, 5), ('8x8', 4, 7))
}
