"""TSM: a ResNet in which frames lend a share of their channels to their neighbours, without any parameter.

What the first convolution of a block reads has its first eighth of channels from the next frame and its second eighth
from the previous one; the shortcut keeps its own frames. Information moves both ways in time, one frame per block.

Norms stand where those of the ResNet do: cross-layer after the first convolution, which reads shifted frames,
cross-temporal after the second. The variables are those of the ResNet, for any number of frames.

Source: Lin, Gan, Han, "TSM", ICCV 2019, as in github.com/mit-han-lab/temporal-shift-module (residual shift, `blockres`,
one in 8 channels each way; with 23 blocks in a stage, every second block shifts).
"""

from functools import partial

from dnr_jax.models.resnet import BasicBlock, BottleneckBlock, resnet
from dnr_jax.operations import Video, shift_channels


def shift(x: Video) -> Video:
    """Channels [0, C/8) from the next frame, [C/8, C/4) from the previous one, the others as they are."""
    return shift_channels(x, x.shape[-1] // 8)


class ShiftedBasicBlock(BasicBlock):
    """A basic block whose first convolution reads shifted frames."""

    def before_conv1(self, x: Video) -> Video:
        return shift(x)


class ShiftedBottleneckBlock(BottleneckBlock):
    """A bottleneck block whose first convolution reads shifted frames."""

    def before_conv1(self, x: Video) -> Video:
        return shift(x)


class EverySecondShiftedBlock(BottleneckBlock):
    """A bottleneck block that shifts if it is the first, third, ... of its stage."""

    def before_conv1(self, x: Video) -> Video:
        return shift(x) if self.index % 2 == 0 else x


TSMS = {
    'tsm_resnet18': partial(resnet, ShiftedBasicBlock, (2, 2, 2, 2)),
    'tsm_resnet34': partial(resnet, ShiftedBasicBlock, (3, 4, 6, 3)),
    'tsm_resnet50': partial(resnet, ShiftedBottleneckBlock, (3, 4, 6, 3)),
    'tsm_resnet101': partial(resnet, EverySecondShiftedBlock, (3, 4, 23, 3)),
}
