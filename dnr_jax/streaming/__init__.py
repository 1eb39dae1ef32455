"""Prediction on a video without end, in constant memory: carry in, carry out.

    carry = init(model, variables, shape)
    carry, logits = step(model, variables, carry, group)

`stream` is one stream; `endless` lets two of them take turns, for a network that has learned from short clips.
"""

from dnr_jax.streaming.stream import (
    Carry,
    Variables,
    expect_causal,
    expect_endless,
    frames_per_group,
    groups_of,
    hops_known,
    init,
    step,
    steps,
    why_not_causal,
)

__all__ = [
    'Carry',
    'Variables',
    'endless',
    'expect_causal',
    'expect_endless',
    'frames_per_group',
    'groups_of',
    'hops_known',
    'init',
    'step',
    'steps',
    'why_not_causal',
]
