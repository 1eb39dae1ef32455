"""Operations that compilers want written differently: one meaning, and a form for each platform, side by side.

    maps            convolutions, maxima over windows: of every frame by itself
    neighbours      shifts, and sums over the frames around
    groups          what a norm reads of groups of frames, and what it makes of x

`forms` chooses between them. What each form costs where stands in docs/accelerators.md.
"""

from dnr_jax.operations.forms import Forms
from dnr_jax.operations.frames import Video
from dnr_jax.operations.groups import PerGroup, mean_and_square, multiply_add
from dnr_jax.operations.maps import convolution, depthwise_convolution, max_pool, over_3, relu_of_sum
from dnr_jax.operations.neighbours import next_frames, previous_frames, shift_channels, shifted_sum, sum_neighbours

__all__ = [
    'Forms', 'PerGroup', 'Video', 'convolution', 'depthwise_convolution', 'groups', 'maps', 'max_pool',
    'mean_and_square', 'multiply_add', 'neighbours', 'next_frames', 'over_3', 'previous_frames', 'relu_of_sum',
    'shift_channels', 'shifted_sum', 'sum_neighbours',
]  # fmt: skip
