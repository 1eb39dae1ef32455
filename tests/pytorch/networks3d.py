"""Networks over whole clips in PyTorch, written for the tests from their descriptions; keys as of mmaction2.

Clips are [N, T, 3, H, W]; within the networks, [N, C, T, H, W].
"""

import re

import torch
from torch import nn
from torch.nn import functional as F


class Conv(nn.Module):
    """Convolution and norm."""

    def __init__(self, inputs, outputs, kernel, stride=(1, 1, 1)):
        super().__init__()
        padding = [k // 2 for k in kernel]
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm3d(outputs)

    def forward(self, x):
        return self.bn(self.conv(x))


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride, kernel, project):
        super().__init__()
        self.conv1 = Conv(inputs, width, (kernel, 1, 1))
        self.conv2 = Conv(width, width, (1, 3, 3), (1, stride, stride))
        self.conv3 = Conv(width, 4 * width, (1, 1, 1))
        self.downsample = Conv(inputs, 4 * width, (1, 1, 1), (1, stride, stride)) if project else nn.Identity()

    def forward(self, x):
        y = F.relu(self.conv2(F.relu(self.conv1(x))))
        return F.relu(self.conv3(y) + self.downsample(x))


SLOW = (1, 1, 1), (1, 1, 1, 1), (3,) * 6, (3,) * 3
FAST = (3,) * 3, (3,) * 4, (3,) * 6, (3,) * 3
I3D = (3, 3, 3), (3, 1, 3, 1), (3, 1, 3, 1, 3, 1), (1, 3, 1)


class Backbone(nn.Module):
    """`extra` are the channels that each layer reads beyond those of the layer before."""

    def __init__(self, width, kernels, stem, stride=1, halves=False, extra=(0, 0, 0, 0)):
        super().__init__()
        self.stride, self.halves = stride, halves
        self.conv1 = Conv(3, width, (stem, 7, 7), (stride, 2, 2))
        inputs = width
        for i, of_layer in enumerate(kernels):
            features, blocks = width * 2**i, []
            for j, kernel in enumerate(of_layer):
                first = j == 0
                inputs += extra[i] if first else 0
                blocks.append(Bottleneck(inputs, features, 2 if i and first else 1, kernel, first))
                inputs = 4 * features
            setattr(self, f'layer{i + 1}', nn.Sequential(*blocks))

    def stem(self, x):
        return F.max_pool3d(F.relu(self.conv1(x)), (1, 3, 3), (self.stride, 2, 2), (0, 1, 1))

    def layer(self, i, x):
        return getattr(self, f'layer{i}')(x)

    def forward(self, x):
        x = self.stem(x)
        for i in range(1, 5):
            x = self.layer(i, x)
            if i == 1 and self.halves:
                x = F.max_pool3d(x, (2, 1, 1), (2, 1, 1))
        return x.mean(dim=(2, 3, 4))


class SlowFast(nn.Module):
    def __init__(self, width, alpha, lateral):
        super().__init__()
        narrow, self.alpha = width // 8, alpha
        joined = [narrow, 4 * narrow, 8 * narrow, 16 * narrow]
        self.slow_path = Backbone(width, SLOW, 1, extra=[2 * channels for channels in joined])
        self.fast_path = Backbone(narrow, FAST, 5)
        for name, channels in zip(('conv1', 'layer1', 'layer2', 'layer3'), joined, strict=True):
            module = nn.Module()
            module.conv = nn.Conv3d(
                channels, 2 * channels, (lateral, 1, 1), (alpha, 1, 1), (lateral // 2, 0, 0), bias=False
            )
            setattr(self.slow_path, f'{name}_lateral', module)

    def forward(self, x):
        slow, fast = self.slow_path.stem(x[:, :, :: self.alpha]), self.fast_path.stem(x)
        for i, name in enumerate(('conv1', 'layer1', 'layer2', 'layer3'), start=1):
            lateral = getattr(self.slow_path, f'{name}_lateral').conv(fast)
            slow, fast = self.slow_path.layer(i, torch.cat([slow, lateral], dim=1)), self.fast_path.layer(i, fast)
        return torch.cat([fast.mean(dim=(2, 3, 4)), slow.mean(dim=(2, 3, 4))], dim=1)


class AuthorsSlowFast(SlowFast):
    def __init__(self, width, alpha, lateral):
        super().__init__(width, alpha, lateral)
        for name in ('conv1', 'layer1', 'layer2', 'layer3'):
            module = getattr(self.slow_path, f'{name}_lateral')
            module.bn = nn.BatchNorm3d(module.conv.out_channels)

    def forward(self, x):
        numbers = torch.linspace(0, x.shape[2] - 1, x.shape[2] // self.alpha).long()
        slow, fast = self.slow_path.stem(x[:, :, numbers]), self.fast_path.stem(x)
        for i, name in enumerate(('conv1', 'layer1', 'layer2', 'layer3'), start=1):
            module = getattr(self.slow_path, f'{name}_lateral')
            slow = torch.cat([slow, F.relu(module.bn(module.conv(fast)))], dim=1)
            slow, fast = self.slow_path.layer(i, slow), self.fast_path.layer(i, fast)
        return torch.cat([slow.mean(dim=(2, 3, 4)), fast.mean(dim=(2, 3, 4))], dim=1)


PATHWAYS = {'slow': 0, 'fast': 1}
PYSLOWFAST = (
    (r'^cls_head\.fc_cls', 'head.projection'),
    (r'^backbone\.slow_path\.conv1_lateral', 's1_fuse'),
    (r'^backbone\.slow_path\.layer(\d)_lateral', lambda match: f's{int(match[1]) + 1}_fuse'),
    (r'_fuse\.conv', '_fuse.conv_f2s'),
    (r'^backbone\.(\w+)_path\.conv1', lambda match: f's1.pathway{PATHWAYS[match[1]]}_stem'),
    (
        r'^backbone\.(\w+)_path\.layer(\d)\.(\d+)',
        lambda match: f's{int(match[2]) + 1}.pathway{PATHWAYS[match[1]]}_res{match[3]}',
    ),
    (r'\.downsample\.conv', '.branch1'),
    (r'\.downsample\.bn', '.branch1_bn'),
    (r'\.conv(\d)\.conv', lambda match: f'.branch2.{"_abc"[int(match[1])]}'),
    (r'\.conv(\d)\.bn', lambda match: f'.branch2.{"_abc"[int(match[1])]}_bn'),
)
PYTORCHVIDEO = (
    (r'^cls_head\.fc_cls', 'blocks.6.proj'),
    (r'^backbone\.slow_path\.conv1_lateral', 'blocks.0.multipathway_fusion'),
    (r'^backbone\.slow_path\.layer(\d)_lateral', r'blocks.\1.multipathway_fusion'),
    (r'fusion\.conv', 'fusion.conv_fast_to_slow'),
    (r'fusion\.bn', 'fusion.norm'),
    (r'^backbone\.(\w+)_path\.conv1', lambda match: f'blocks.0.multipathway_blocks.{PATHWAYS[match[1]]}'),
    (
        r'^backbone\.(\w+)_path\.layer(\d)\.(\d+)',
        lambda match: f'blocks.{match[2]}.multipathway_blocks.{PATHWAYS[match[1]]}.res_blocks.{match[3]}',
    ),
    (r'(multipathway_blocks\.\d)\.bn', r'\1.norm'),
    (r'\.downsample\.conv', '.branch1_conv'),
    (r'\.downsample\.bn', '.branch1_norm'),
    (r'\.conv(\d)\.conv', lambda match: f'.branch2.conv_{"_abc"[int(match[1])]}'),
    (r'\.conv(\d)\.bn', lambda match: f'.branch2.norm_{"_abc"[int(match[1])]}'),
)


def spelled(rules):
    """Key -> the same of another library."""

    def spell(key):
        for pattern, replacement in rules:
            key = re.sub(pattern, replacement, key)
        return key

    return spell


class Recognizer(nn.Module):
    def __init__(self, backbone, features, classes):
        super().__init__()
        self.backbone, self.cls_head = backbone, nn.Module()
        self.cls_head.fc_cls = nn.Linear(features, classes)

    def forward(self, clip):
        return self.cls_head.fc_cls(self.backbone(clip.transpose(1, 2)))


# R(2+1)D-18 as in torchvision


def split(inputs, middle, outputs, stride):
    return nn.Sequential(
        nn.Conv3d(inputs, middle, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False),
        nn.BatchNorm3d(middle),
        nn.ReLU(),
        nn.Conv3d(middle, outputs, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False),
    )


class BasicSplit(nn.Module):
    def __init__(self, inputs, features, stride):
        super().__init__()
        middle = inputs * features * 27 // (inputs * 9 + 3 * features)
        self.conv1 = nn.Sequential(split(inputs, middle, features, stride), nn.BatchNorm3d(features), nn.ReLU())
        self.conv2 = nn.Sequential(split(features, middle, features, 1), nn.BatchNorm3d(features))
        if stride > 1:
            convolution = nn.Conv3d(inputs, features, 1, stride, bias=False)
            self.downsample = nn.Sequential(convolution, nn.BatchNorm3d(features))
        else:
            self.downsample = nn.Identity()

    def forward(self, x):
        return F.relu(self.conv2(self.conv1(x)) + self.downsample(x))


class R2Plus1D(nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        middle = 45 * width // 64
        self.stem = nn.Sequential(
            nn.Conv3d(3, middle, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False),
            nn.BatchNorm3d(middle),
            nn.ReLU(),
            nn.Conv3d(middle, width, (3, 1, 1), 1, (1, 0, 0), bias=False),
            nn.BatchNorm3d(width),
            nn.ReLU(),
        )
        for i in range(4):
            inputs, features = width * 2 ** max(0, i - 1), width * 2**i
            layer = BasicSplit(inputs, features, 2 if i else 1), BasicSplit(features, features, 1)
            setattr(self, f'layer{i + 1}', nn.Sequential(*layer))
        self.fc = nn.Linear(8 * width, classes)

    def forward(self, clip):
        x = self.stem(clip.transpose(1, 2))
        for i in range(1, 5):
            x = getattr(self, f'layer{i}')(x)
        return self.fc(x.mean(dim=(2, 3, 4)))


# R(2+1)D-34 as in mmaction2: every convolution is a pair, shortcuts too; outer norms have a larger epsilon


class Pair(nn.Module):
    def __init__(self, inputs, outputs, kernel, time, stride, time_stride):
        super().__init__()
        area = kernel * kernel
        middle = 3 * area * inputs * outputs // (area * inputs + 3 * outputs)
        self.conv_s = nn.Conv3d(
            inputs, middle, (1, kernel, kernel), (1, stride, stride), (0, kernel // 2, kernel // 2), bias=False
        )
        self.bn_s = nn.BatchNorm3d(middle)
        self.conv_t = nn.Conv3d(middle, outputs, (time, 1, 1), (time_stride, 1, 1), (time // 2, 0, 0), bias=False)

    def forward(self, x):
        return self.conv_t(F.relu(self.bn_s(self.conv_s(x))))


class PairConv(nn.Module):
    def __init__(self, inputs, outputs, kernel=3, time=3, stride=1, time_stride=None):
        super().__init__()
        self.conv = Pair(inputs, outputs, kernel, time, stride, stride if time_stride is None else time_stride)
        self.bn = nn.BatchNorm3d(outputs, eps=1e-3)

    def forward(self, x):
        return self.bn(self.conv(x))


class BasicPair(nn.Module):
    def __init__(self, inputs, features, stride):
        super().__init__()
        self.conv1 = PairConv(inputs, features, stride=stride)
        self.conv2 = PairConv(features, features)
        projects = stride > 1 or inputs != features
        self.downsample = PairConv(inputs, features, 1, 1, stride) if projects else nn.Identity()

    def forward(self, x):
        return F.relu(self.conv2(F.relu(self.conv1(x))) + self.downsample(x))


class PairBackbone(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1 = PairConv(3, width, 7, 3, 2, time_stride=1)
        inputs = width
        for i, blocks in enumerate((3, 4, 6, 3)):
            layer, features = [], width * 2**i
            for j in range(blocks):
                layer.append(BasicPair(inputs, features, 2 if i and not j else 1))
                inputs = features
            setattr(self, f'layer{i + 1}', nn.Sequential(*layer))

    def forward(self, x):
        x = F.max_pool3d(F.relu(self.conv1(x)), (1, 3, 3), (1, 2, 2), (0, 1, 1))
        for i in range(1, 5):
            x = getattr(self, f'layer{i}')(x)
        return x.mean(dim=(2, 3, 4))


def cases(classes):
    """Case -> (backbone, width, frames, network of so many frames, spelling of keys)."""

    def recognizer(backbone, features):
        return lambda frames: Recognizer(backbone(), features, classes)

    def as_is(key):
        return key

    return {
        'mmaction2 slowonly': ('slowonly_resnet50', 8, 4, recognizer(lambda: Backbone(8, SLOW, 1), 256), as_is),
        'mmaction2 i3d': (
            'i3d_resnet50', 8, 16, recognizer(lambda: Backbone(8, I3D, 5, stride=2, halves=True), 256), as_is
        ),
        'mmaction2 i3d 8x8': (
            'i3d_resnet50_8x8', 8, 4, recognizer(lambda: Backbone(8, I3D, 5, halves=True), 256), as_is
        ),
        'mmaction2 slowfast 4x16': (
            'slowfast_resnet50_4x16', 16, 16, recognizer(lambda: SlowFast(16, 8, 5), 512 + 64), as_is
        ),
        'mmaction2 slowfast 8x8': (
            'slowfast_resnet50_8x8', 16, 16, recognizer(lambda: SlowFast(16, 4, 7), 512 + 64), as_is
        ),
        'pyslowfast_slowfast 4x16': (
            'pyslowfast_resnet50_4x16', 16, 16, recognizer(lambda: AuthorsSlowFast(16, 8, 5), 512 + 64),
            spelled(PYSLOWFAST),
        ),
        'pytorchvideo_slowfast 8x8': (
            'pyslowfast_resnet50_8x8', 16, 16, recognizer(lambda: AuthorsSlowFast(16, 4, 7), 512 + 64),
            spelled(PYTORCHVIDEO),
        ),
        'mmaction2_r2plus1d': ('r2plus1d_34', 8, 8, recognizer(lambda: PairBackbone(8), 64), as_is),
        'torchvision_video r2plus1d': ('r2plus1d_18', 16, 8, lambda frames: R2Plus1D(16, classes), as_is),
    }  # fmt: skip
