"""Multiply-adds of a function, counted in what JAX has traced: not every compiler tells them, and each its own."""

from collections.abc import Iterator
from math import prod
from typing import Any

import jax


def multiply_adds(traced: jax.stages.Traced) -> int:
    """Of all convolutions and matrix products in a traced function, those in loops as often as they run.

    Of branches, those of the leanest count: they are forms of one operation, of which a platform takes one. Within
    `jax.shard_map`, those of one device.
    """
    return _of(traced.jaxpr.jaxpr)


def _of(jaxpr: Any) -> int:
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == 'dot_general':
            (contracted, _), _ = equation.params['dimension_numbers']
            reads = prod(equation.invars[0].aval.shape[axis] for axis in contracted)
            total += reads * prod(equation.outvars[0].aval.shape)
        elif equation.primitive.name == 'conv_general_dilated':
            kernel = equation.invars[1].aval.shape
            features = kernel[equation.params['dimension_numbers'].rhs_spec[0]]
            zeros = prod(equation.params['lhs_dilation'])  # of so many pixels all but one, in gradients of strides
            total += prod(kernel) // features * prod(equation.outvars[0].aval.shape) // zeros
        elif equation.primitive.name == 'cond':
            total += min(_of(branch.jaxpr) for branch in equation.params['branches'])
        else:
            times = equation.params.get('length', 1) if equation.primitive.name == 'scan' else 1
            total += times * sum(_of(inner) for inner in _inner(equation.params))
    return total


def _inner(params: dict[str, Any]) -> Iterator[Any]:
    """Traced functions among the parameters of an equation."""
    for value in jax.tree.leaves(list(params.values()), is_leaf=lambda leaf: hasattr(leaf, 'eqns')):
        if hasattr(value, 'jaxpr'):
            yield value.jaxpr
        elif hasattr(value, 'eqns'):
            yield value
