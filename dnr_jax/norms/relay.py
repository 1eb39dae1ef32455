"""The dynamic relay: a light recurrent cell whose state *is* the scale and shift of a normalization.

The cell reads `p`, the pooled features of this very clip, and the state `(h', c')` of one hop before:

    [i f g o] = MLP_p(p) + MLP_h(h')              each MLP: Dense(C / r), ReLU, Dense(4 C)
    c = sigmoid(f) * c' + sigmoid(i) * tanh(g)
    h = sigmoid(o) * sigmoid(c)                   a sigmoid where an LSTM has tanh, so 0 < h < 1

and the normalization that owns it computes `y = h * standardized(x) + c`. The state starts at zero and is
relayed hop by hop: along the frame groups of a clip (`relay_over_frames`), or along the layers of a stage,
where each block calls the one cell of the stage with the carry it was handed.

Axes: B clips, G frame groups, C channels. Always float32: it decides over whole feature maps.

Source: Cai, Yao, Chen, "Dynamic Normalization and Relay for Video Action Recognition", NeurIPS 2021;
gates, second sigmoid and initialization as released in github.com/caidonkey/dnr.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.nn import sigmoid, tanh
from jaxtyping import Float

Carry = tuple[Float[Array, 'B S'], Float[Array, 'B S']]  # S channels of the state
NextCarry = tuple[Float[Array, 'B S2'], Float[Array, 'B S2']]  # that of another stage

# Scans up to this length become straight-line code: a loop on an accelerator is driven from the host, hop by hop.
LONGEST_UNROLLED_SCAN = 16


def zero_carry(clips: int, features: int) -> Carry:
    """The state `(h, c)` before the first hop, two zeros of [B C]."""
    return jnp.zeros((clips, features)), jnp.zeros((clips, features))


def handed_on(carry: Carry, features: int) -> NextCarry:
    """The carry for a cell of so many channels: each of them takes that of its place, without parameters."""
    places = np.arange(features) * carry[0].shape[-1] // features
    return carry[0][:, places], carry[1][:, places]


def uniform_fan_in(fan_in: int):
    """Initializer U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's default for weights and biases of linear layers."""
    bound = fan_in**-0.5
    return lambda key, shape, dtype=jnp.float32: jax.random.uniform(key, shape, dtype, -bound, bound)


class BottleneckMLP(nn.Module):
    """Dense(hidden), ReLU, Dense(features) in full float32, whatever the accelerator's default precision."""

    hidden: int
    features: int

    @nn.compact
    def __call__(self, x: Float[Array, '*batch C']) -> Float[Array, '*batch D']:
        x = nn.relu(self.dense(x, self.hidden, 'reduce'))
        return self.dense(x, self.features, 'expand')

    def dense(self, x, features, name):
        init = uniform_fan_in(x.shape[-1])
        return nn.Dense(features, kernel_init=init, bias_init=init, precision='highest', name=name)(x)


class RelayCell(nn.Module):
    """One hop of the relay, `cell(carry, pooled) -> (carry, (scale, shift))`, all [B C].

    Attributes:
      features: C, the channels of the normalized feature, and the width of the state.
      reduction: r, how much narrower the hidden layer of both MLPs is than C.
    """

    features: int
    reduction: int

    def setup(self):
        if not 1 <= self.reduction <= self.features:
            raise ValueError(
                f'The relay cell over {self.features} channels needs a reduction ratio from 1 to {self.features}, '
                f'got {self.reduction}.'
            )
        hidden = self.features // self.reduction
        self.input_gates = BottleneckMLP(hidden, 4 * self.features)
        self.state_gates = BottleneckMLP(hidden, 4 * self.features)

    def __call__(self, carry: Carry, pooled: Float[Array, 'B C']) -> tuple[Carry, Carry]:
        return self.hop(carry, self.input_gates(pooled))

    def alone(
        self,
        pooled: Float[Array, '*batch C'],
        gates: Float[Array, '#*batch 4*C'] | float = 0.0,
        c: Float[Array, '#*batch C'] | float = 0.0,
    ) -> tuple[Float[Array, '*batch C'], Float[Array, '*batch C']]:
        """(scale, shift) of a hop that hears of none before, but of `gates` and `c` in the place of their state.

        Without these it is a first hop. Of `MLP_h(0)`, a constant of each gate, the biases of `MLP_p` can take the
        place: the functions are those of `cell(zero_carry, pooled)`, with half the parameters and from another start,
        for the state side and its biases are not drawn. Gate f has nothing to forget: what makes it has no gradient.
        """
        return recur(self.input_gates(pooled) + gates, c)

    def hop(self, carry: Carry, input_gates: Float[Array, 'B 4*S']) -> tuple[Carry, Carry]:
        """The recurrent half of a hop, given what the input side adds to the gates."""
        h, c = carry
        h, c = recur(input_gates + self.state_gates(h), c)
        return (h, c), (h, c)


def recur(gates: Array, c: Array | float) -> tuple[Array, Array]:
    """The next `(h, c)` by the gates [... 4 C]."""
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * sigmoid(c), c


def relay_over_frames(
    cell: RelayCell, carry: Carry, pooled: Float[Array, 'B G C']
) -> tuple[Carry, tuple[Float[Array, 'B G C'], Float[Array, 'B G C']]]:
    """Relays the state along the frame groups of each clip; returns `(carry, (scale, shift))`, the latter [B G C].

    The input side of all hops is one batched matmul; only the state side is scanned.
    """
    groups = pooled.shape[1]
    scan = nn.scan(
        RelayCell.hop,
        variable_broadcast='params',
        split_rngs={'params': False},
        in_axes=1,
        out_axes=1,
        unroll=groups if groups <= LONGEST_UNROLLED_SCAN else 1,
    )
    return scan(cell, carry, cell.input_gates(pooled))
