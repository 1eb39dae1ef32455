"""The method once more, as plainly as possible: NumPy, float64, a loop over everything that repeats.

Nothing here is taken from `dnr_jax`; only the names of a cell's parameters are those of its parameter tree.
Videos are [B T H W C], states [B C], running statistics [C].
"""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def linear(parameters, x):
    kernel, bias = np.float64(parameters['kernel']), np.float64(parameters['bias'])
    y = np.zeros(len(bias))
    for k in range(len(bias)):
        y[k] = np.sum(kernel[:, k] * x) + bias[k]
    return y


def gates(parameters, x):
    hidden = linear(parameters['reduce'], x)
    hidden[hidden < 0] = 0
    return linear(parameters['expand'], hidden)


def cell(parameters, h, c, pooled):
    """One hop for every clip and channel: the next (h, c)."""
    clips, channels = pooled.shape
    next_h, next_c = np.zeros_like(h), np.zeros_like(c)
    for n in range(clips):
        total = gates(parameters['input_gates'], pooled[n]) + gates(parameters['state_gates'], h[n])
        for k in range(channels):
            i, f, g, o = total[k], total[channels + k], total[2 * channels + k], total[3 * channels + k]
            next_c[n, k] = sigmoid(f) * c[n, k] + sigmoid(i) * np.tanh(g)
            next_h[n, k] = sigmoid(o) * sigmoid(next_c[n, k])
    return next_h, next_c


def relay(parameters, h, c, pooled):
    """Hops along pooled [B G C]: every h and every c, [B G C]."""
    scales, shifts = np.zeros(pooled.shape), np.zeros(pooled.shape)
    for g in range(pooled.shape[1]):
        h, c = cell(parameters, h, c, pooled[:, g])
        scales[:, g], shifts[:, g] = h, c
    return scales, shifts


def pool(x):
    """[B T H W C] -> [B C]."""
    return np.stack([clip.reshape(-1, clip.shape[-1]).mean(axis=0) for clip in x])


def batch_standardize(x, running, momentum, epsilon, train):
    """Standardized x and the next running pair (mean, var); `momentum` is the share of the old value."""
    mean, var = running
    if train:
        samples = x.reshape(-1, x.shape[-1])
        mean = samples.sum(axis=0) / len(samples)
        squares = ((samples - mean) ** 2).sum(axis=0)
        var, unbiased = squares / len(samples), squares / (len(samples) - 1)
        running = (
            momentum * running[0] + (1 - momentum) * mean,
            momentum * running[1] + (1 - momentum) * unbiased,
        )
    return (x - mean) / np.sqrt(var + epsilon), running


def group_standardize(x, groups, epsilon):
    """Every clip and every group of neighbouring channels standardized alone."""
    y, width = np.zeros_like(x), x.shape[-1] // groups
    for n in range(len(x)):
        for k in range(groups):
            part = x[n, ..., k * width : (k + 1) * width]
            y[n, ..., k * width : (k + 1) * width] = (part - part.mean()) / np.sqrt(part.var() + epsilon)
    return y


def transform(x, scale, shift):
    """scale * x + shift with one scale and shift [C] per clip."""
    y = np.zeros_like(x)
    for n in range(len(x)):
        y[n] = scale[n] * x[n] + shift[n]
    return y


def cross_temporal(parameters, x, stride, running, momentum, epsilon, train):
    """A relay along groups of `stride` frames; all groups share, and in training move, one running pair."""
    y = np.zeros_like(x)
    h, c = np.zeros((len(x), x.shape[-1])), np.zeros((len(x), x.shape[-1]))
    for start in range(0, x.shape[1], stride):
        frames = x[:, start : start + stride]
        h, c = cell(parameters, h, c, pool(frames))
        standardized, running = batch_standardize(frames, running, momentum, epsilon, train)
        y[:, start : start + stride] = transform(standardized, h, c)
    return y, running


def cross_layer_chain(parameters, x, runnings, momentum, epsilon, train):
    """Cross-layer norms one after the other, ReLU after each: one cell, and a running pair for every norm."""
    h, c = np.zeros((len(x), x.shape[-1])), np.zeros((len(x), x.shape[-1]))
    moved = []
    for running in runnings:
        h, c = cell(parameters, h, c, pool(x))
        standardized, running = batch_standardize(x, running, momentum, epsilon, train)
        x = np.maximum(transform(standardized, h, c), 0)
        moved.append(running)
    return x, moved


def batch_norm(x, scale, shift, running, momentum, epsilon, train):
    standardized, running = batch_standardize(x, running, momentum, epsilon, train)
    return np.float64(scale) * standardized + np.float64(shift), running


def group_norm(x, scale, shift, groups, epsilon):
    return np.float64(scale) * group_standardize(x, groups, epsilon) + np.float64(shift)
