"""The released form of the network with dynamic normalization and relay, in PyTorch, written from its description."""

import torch
from networks2d import conv, unfolded
from torch import nn
from torch.nn import functional as F

GROUPS = 4


class Mlp(nn.Module):
    def __init__(self, channels):
        super().__init__()
        few = channels // 4
        self.seq = nn.Sequential(nn.Linear(channels, few), nn.ReLU(), nn.Linear(few, 4 * channels))

    def forward(self, x):
        return self.seq(x)


class Cell(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.w_ih, self.w_hh = nn.ModuleList([Mlp(channels)]), nn.ModuleList([Mlp(channels)])

    def forward(self, pooled, state):
        h, c = state
        i, f, g, o = (self.w_ih[0](pooled) + self.w_hh[0](h)).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.sigmoid(c), c


def standardized(x, norm):
    """x [N, T, C, H, W] over all but channels, by the batch in training; the running pair moves along."""
    return F.batch_norm(
        x.transpose(1, 2), norm.running_mean, norm.running_var, training=norm.training, momentum=0.1, eps=1e-5
    ).transpose(1, 2)


def transformed(x, state):
    scale, shift = (part[:, None, :, None, None] for part in state)
    return scale * x + shift


def zero_state(x):
    zero = x.new_zeros(x.shape[0], x.shape[2])
    return zero, zero


class CrossLayerNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.register_buffer('running_mean', torch.zeros(channels))
        self.register_buffer('running_var', torch.ones(channels))

    def forward(self, x, cell, state):
        state = cell(x.mean(dim=(1, 3, 4)), state)
        return transformed(standardized(x, self), state), state


class CrossTemporalNorm(CrossLayerNorm):
    def __init__(self, channels):
        super().__init__(channels)
        self.lstm = Cell(channels)

    def forward(self, x):
        state, groups = zero_state(x), []
        for group in x.chunk(GROUPS, dim=1):
            state = self.lstm(group.mean(dim=(1, 3, 4)), state)
            groups.append(transformed(standardized(group, self), state))
        return torch.cat(groups, dim=1)


class Block(nn.Module):
    def __init__(self, inputs, width, stride, frames):
        super().__init__()
        self.frames = frames
        self.conv1, self.bn1 = conv(inputs, width, 1), CrossLayerNorm(width)
        self.conv2, self.bn2 = conv(width, width, 3, stride), CrossTemporalNorm(width)
        self.conv3, self.bn3 = conv(width, 4 * width, 1), nn.BatchNorm2d(4 * width)
        if stride > 1 or inputs != 4 * width:
            self.downsample = nn.Sequential(conv(inputs, 4 * width, 1, stride), nn.BatchNorm2d(4 * width))
        else:
            self.downsample = nn.Identity()

    def forward(self, x, cell, state):
        y = unfolded(self.conv1(x), self.frames)
        y, state = self.bn1(y, cell, zero_state(y) if state is None else state)
        y = self.bn2(unfolded(self.conv2(F.relu(y).flatten(0, 1)), self.frames))
        y = self.bn3(self.conv3(F.relu(y).flatten(0, 1)))
        return F.relu(y + self.downsample(x)), state


class Layer(nn.Module):
    def __init__(self, inputs, width, blocks, stride, frames):
        super().__init__()
        self.lstm = Cell(width)
        made = [Block(4 * width if j else inputs, width, 1 if j else stride, frames) for j in range(blocks)]
        self.ModuleList = nn.ModuleList(made)

    def forward(self, x):
        state = None
        for block in self.ModuleList:
            x, state = block(x, self.lstm, state)
        return x


class Backbone(nn.Module):
    def __init__(self, width, frames, layers):
        super().__init__()
        self.conv1, self.bn1 = conv(3, width, 7, 2), nn.BatchNorm2d(width)
        self.layers, inputs = len(layers), width
        for i, blocks in enumerate(layers):
            setattr(self, f'layer{i + 1}', Layer(inputs, width * 2**i, blocks, 2 if i else 1, frames))
            inputs = 4 * width * 2**i

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, padding=1)
        for i in range(self.layers):
            x = getattr(self, f'layer{i + 1}')(x)
        return x


class Released(nn.Module):
    """`layers` are the numbers of blocks."""

    def __init__(self, width, classes, frames, layers=(3, 4, 6, 3)):
        super().__init__()
        self.backbone = Backbone(width, frames, layers)
        self.cls_head = nn.Module()
        self.cls_head.fc_cls = nn.Linear(2 ** (len(layers) + 1) * width, classes)

    def forward(self, clip):
        features = self.backbone(clip.flatten(0, 1)).mean(dim=(2, 3))
        return self.cls_head.fc_cls(unfolded(features, clip.shape[1]).mean(dim=1))
