"""Networks over the frames of a clip in PyTorch, written for the tests from their descriptions.

Modules are named as in the source each is a model of, so that `state_dict` has its keys. Clips are [N, T, 3, H, W];
within the networks frames are folded into the batch, [N*T, C, H, W].
"""

import torch
from torch import nn
from torch.nn import functional as F


def conv(inputs, outputs, kernel, stride=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


def unfolded(x, frames):
    """[N*T, ...] -> [N, T, ...]."""
    return x.reshape(-1, frames, *x.shape[1:])


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = conv(width, 4 * width, 1), nn.BatchNorm2d(4 * width)
        if stride > 1 or inputs != 4 * width:
            self.downsample = nn.Sequential(conv(inputs, 4 * width, 1, stride), nn.BatchNorm2d(4 * width))
        else:
            self.downsample = nn.Identity()

    def forward(self, x, between=lambda y: y):
        y = between(F.relu(self.bn1(self.conv1(x))))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class ResNet(nn.Module):
    """ResNet-50 whose features are averaged over space and frames; `wrap` makes a block one of another family."""

    def __init__(self, width, classes, wrap=lambda block, first, features: block, block=Bottleneck):
        super().__init__()
        self.conv1, self.bn1 = conv(3, width, 7, 2), nn.BatchNorm2d(width)
        inputs = width
        for i, blocks in enumerate((3, 4, 6, 3)):
            layer, features = [], width * 2**i
            for j in range(blocks):
                made = block(inputs, features, 2 if i and not j else 1)
                layer.append(wrap(made, j == 0, features))
                inputs = 4 * features
            setattr(self, f'layer{i + 1}', nn.Sequential(*layer))
        self.fc = nn.Linear(inputs, classes)

    def forward(self, clip):
        x = F.relu(self.bn1(self.conv1(clip.flatten(0, 1))))
        x = F.max_pool2d(x, 3, 2, padding=1)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
        return self.fc(unfolded(x.mean(dim=(2, 3)), clip.shape[1]).mean(dim=1))


# TSM


class Shifted(nn.Module):
    """A convolution that reads an eighth of channels from the next frame, the second eighth from the previous one."""

    def __init__(self, net, frames):
        super().__init__()
        self.net, self.frames = net, frames

    def forward(self, x):
        x = unfolded(x, self.frames)
        share, y = x.shape[2] // 8, x.clone()
        y[:, :, : 2 * share] = 0
        y[:, :-1, :share] = x[:, 1:, :share]
        y[:, 1:, share : 2 * share] = x[:, :-1, share : 2 * share]
        return self.net(y.flatten(0, 1))


def tsm(width, classes, frames):
    def wrap(block, first, features):
        block.conv1 = Shifted(block.conv1, frames)
        return block

    return ResNet(width, classes, wrap)


# TANet


class TemporalAdaptive(nn.Module):
    def __init__(self, channels, frames):
        super().__init__()
        self.frames = frames
        self.G = nn.Sequential(
            nn.Linear(frames, 2 * frames, bias=False),
            nn.BatchNorm1d(2 * frames),
            nn.ReLU(),
            nn.Linear(2 * frames, 3, bias=False),
            nn.Softmax(-1),
        )
        self.L = nn.Sequential(
            nn.Conv1d(channels, channels // 4, 3, padding=1, bias=False),
            nn.BatchNorm1d(channels // 4),
            nn.ReLU(),
            nn.Conv1d(channels // 4, channels, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x):
        x = unfolded(x, self.frames)
        clips, frames, channels = x.shape[:3]
        pooled = x.mean(dim=(3, 4)).transpose(1, 2)
        taps = self.G(pooled.reshape(-1, frames)).reshape(clips, channels, 3)
        z = x * self.L(pooled).transpose(1, 2)[..., None, None]
        padded = F.pad(z, (0, 0, 0, 0, 0, 0, 1, 1))
        y = sum(padded[:, k : k + frames] * taps[:, None, :, k, None, None] for k in range(3))
        return y.flatten(0, 1)


class AdaptiveBlock(nn.Module):
    def __init__(self, net, features, frames):
        super().__init__()
        self.net, self.tam = net, TemporalAdaptive(features, frames)

    def forward(self, x):
        return self.net(x, between=self.tam)


def tanet(width, classes, frames):
    return ResNet(width, classes, lambda block, first, features: AdaptiveBlock(block, features, frames))


# TEA


class MotionExcitation(nn.Module):
    def __init__(self, channels, frames):
        super().__init__()
        few, self.frames = max(1, channels // 16), frames
        self.conv1, self.bn1 = conv(channels, few, 1), nn.BatchNorm2d(few)
        self.conv2 = nn.Conv2d(few, few, 3, padding=1, groups=few, bias=False)
        self.conv3, self.bn3 = conv(few, channels, 1), nn.BatchNorm2d(channels)

    def forward(self, x):
        reduced = self.bn1(self.conv1(x))
        ahead, here = unfolded(self.conv2(reduced), self.frames)[:, 1:], unfolded(reduced, self.frames)[:, :-1]
        motion = F.pad(ahead - here, (0, 0, 0, 0, 0, 0, 0, 1)).flatten(0, 1)
        gate = self.bn3(self.conv3(motion.mean(dim=(2, 3), keepdim=True)))
        return x + x * (torch.sigmoid(gate) - 0.5)


class TemporalConv(nn.Module):
    def __init__(self, channels, frames):
        super().__init__()
        self.frames = frames
        self.conv = nn.Conv1d(channels, channels, 3, padding=1, groups=channels, bias=False)

    def forward(self, x):
        x = unfolded(x, self.frames)
        rows = x.permute(0, 3, 4, 2, 1)
        y = self.conv(rows.flatten(0, 2)).reshape(rows.shape)
        return y.permute(0, 4, 3, 1, 2).flatten(0, 1)


class TeaBlock(nn.Module):
    def __init__(self, inputs, features, stride, frames, first):
        super().__init__()
        w, self.first = features * 26 // 64, first
        self.conv1, self.bn1 = conv(inputs, 4 * w, 1), nn.BatchNorm2d(4 * w)
        self.me = MotionExcitation(4 * w, frames)
        self.convs = nn.ModuleList(conv(w, w, 3, stride) for _ in range(3))
        self.bns = nn.ModuleList(nn.BatchNorm2d(w) for _ in range(3))
        self.shifts = nn.ModuleList(TemporalConv(w, frames) for _ in range(4))
        self.pool = nn.AvgPool2d(3, stride, padding=1)
        self.conv3, self.bn3 = conv(4 * w, 4 * features, 1), nn.BatchNorm2d(4 * features)
        if first:
            self.downsample = nn.Sequential(conv(inputs, 4 * features, 1, stride), nn.BatchNorm2d(4 * features))
        else:
            self.downsample = nn.Identity()

    def forward(self, x):
        y = self.me(F.relu(self.bn1(self.conv1(x))))
        *groups, last = y.chunk(4, dim=1)
        outputs = []
        for i, group in enumerate(groups):
            if i and not self.first:
                group = group + outputs[-1]
            outputs.append(F.relu(self.bns[i](self.convs[i](self.shifts[i](group)))))
        last = self.shifts[3](last)
        y = torch.cat([*outputs, self.pool(last) if self.first else last], dim=1)
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


def tea(width, classes, frames):
    def block(inputs, features, stride):
        return TeaBlock(inputs, features, stride, frames, first=inputs != 4 * features)

    return ResNet(width, classes, block=block)


# MobileNetV2, in torchvision's sequence


class Inverted(nn.Module):
    def __init__(self, inputs, outputs, stride, expand):
        super().__init__()
        inner = 6 * inputs if expand else inputs
        depthwise = nn.Conv2d(inner, inner, 3, stride, padding=1, groups=inner, bias=False)
        layers = [nn.Sequential(depthwise, nn.BatchNorm2d(inner), nn.ReLU6())]
        if expand:
            layers.insert(0, nn.Sequential(conv(inputs, inner, 1), nn.BatchNorm2d(inner), nn.ReLU6()))
        self.conv = nn.Sequential(*layers, conv(inner, outputs, 1), nn.BatchNorm2d(outputs))
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, classes):
        super().__init__()
        layers = [nn.Sequential(conv(3, 32, 3, 2), nn.BatchNorm2d(32), nn.ReLU6())]
        inputs = 32
        for outputs, blocks, stride in (
            (16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1)
        ):  # fmt: skip
            for j in range(blocks):
                layers.append(Inverted(inputs, outputs, 1 if j else stride, expand=len(layers) > 1))
                inputs = outputs
        layers.append(nn.Sequential(conv(320, 1280, 1), nn.BatchNorm2d(1280), nn.ReLU6()))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.0), nn.Linear(1280, classes))

    def forward(self, clip):
        x = self.features(clip.flatten(0, 1)).mean(dim=(2, 3))
        return self.classifier(unfolded(x, clip.shape[1]).mean(dim=1))
