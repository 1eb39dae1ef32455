"""What the relay does with a clip: see it, probe it, take it away.

    trace(model, variables, clip)        everything a relayed layer reads, decides and hands out        `tracing`
    influence(model, variables, clip)    how strongly a hop hears of an earlier one                     `memory`
    ablated(model, variables, clip, ..)  logits without what a relay hands out, or without its memory   `ablation`

They are pure functions of a network in evaluation mode, to be compiled and mapped over clips: batch statistics are the
running ones there, so no clip knows of the others. The training code knows nothing of them: Flax intercepts its calls.
"""

from dnr_jax.study.ablation import ablated
from dnr_jax.study.memory import influence
from dnr_jax.study.tracing import trace

__all__ = ['ablated', 'ablation', 'influence', 'trace']
