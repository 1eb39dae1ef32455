"""Running statistics taken anew, for the parameters as they are:

    precise = 1/N sum_n s_n,     s_n the statistics of batch n, all by the same parameters

in place of r <- m r + (1 - m) s, which remembers the statistics of parameters that are gone and hears only the last
1 / (1 - m) batches. Means are the means of the batches, variances the means of their unbiased variances: what the
running averages estimate. Where one running pair serves several frame groups, it is the mean over the groups.

The seam is `BatchStatistics.relax`, through which all statistics of a batch pass on their way into the running
averages: Flax intercepts the call, and the statistics take the place of the averages, one row for every group.

Axes: B clips, D devices, T frames, G frame groups, H W space, C channels, K classes.

Source: Wu, Johnson, "Rethinking 'Batch' in BatchNorm", 2021, section 3.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax import Array
from jaxtyping import Float
from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.models.pixels import normalize_pixels
from dnr_jax.norms.statistics import BatchStatistics, clips_of_scope
from dnr_jax.norms.words import renormalized
from dnr_jax.parallel import Batch

PyTree = Any


def precise_statistics(
    model: nn.Module,
    variables: Mapping[str, PyTree],
    batches: Iterable[Mapping[str, np.ndarray]],
    *,
    pixels: Mapping[str, Sequence[float]],
    mesh: parallel.Mesh,
) -> PyTree:
    """The `batch_stats` to take the place of those in `variables`, float32 and of the same shapes.

    Args:
      batches: with 'clip' uint8 [B T H W C], as in training; B is divided over the devices.
      pixels: `mean` and `std` of the red, green and blue of a byte.
    Raises ValueError if there is no batch, or if the model has no running statistics.
    """
    per_hop = of_every_hop(compile_observe(model, variables, pixels, mesh), variables, batches, mesh)
    return as_running(per_hop, variables['batch_stats'])


def of_every_hop(
    observing: Callable,
    variables: Mapping[str, PyTree],
    batches: Iterable[Mapping[str, np.ndarray]],
    mesh: parallel.Mesh,
) -> PyTree:
    """Precise statistics, leaves [G C], by a step that is compiled already, see `compile_observe`."""
    observed = []
    for batch in batches:
        placed = parallel.place({name: rows for name, rows in batch.items() if name != 'id'}, mesh)
        observed.append(jax.tree.map(on_all_devices, observing(variables, placed)[1]))
    return average(observed)


def on_all_devices(of_device: Float[Array, 'D G C']) -> np.ndarray:
    """The rows of all devices of all processes."""
    return parallel.gather(parallel.to_host(of_device))


def compile_observe(
    model: nn.Module, variables: Mapping[str, PyTree], pixels: Mapping[str, Sequence[float]], mesh: parallel.Mesh
) -> Callable:
    """`observe` as (variables, batch) -> (logits [B K], statistics [D G C]) over all devices; ValueError as above."""
    if not variables.get('batch_stats'):
        raise ValueError(
            'Expected a model with running statistics, got one without: its norms standardize each clip alone, in '
            "evaluation as in training; norms over batches are 'batch', 'cross_layer' and 'cross_temporal'."
        )
    return parallel.compile_eval_step(partial(observe, model=model, pixels=pixels), mesh)


def make_observe(
    config: ConfigDict, model: nn.Module, variables: Mapping[str, PyTree], mesh: parallel.Mesh
) -> Callable | None:
    """`compile_observe` of what that config scores with; None where it takes no precise statistics."""
    if not config.run.precise_batches:
        return None
    return compile_observe(observed_model(model, config.run.self_inclusive), variables, config.pixels.to_dict(), mesh)


def of_whole_batches(model: nn.Module) -> nn.Module:
    """The model with statistics of all clips of a batch, however it is trained: the same on any number of devices."""
    return model.clone(norm=partial(model.norm, statistics_scope='global'))


def of_sets(model: nn.Module, clips: int) -> nn.Module:
    """The model with statistics of sets of so many clips, in the order of a batch, on any number of devices."""
    return model.clone(norm=partial(model.norm, statistics_scope=f'global/{clips}'))


def counting(model: nn.Module, clips: int) -> nn.Module:
    """The model whose evaluation counts each clip into a set of so many, as its training, hop by hop.

    It takes statistics that such a model was observed with; see `norms.set_statistics`. These are averages over single
    clips, of features that the norms before have standardized by sets: so they are observed in sets as well.
    """
    model, changes = of_sets(model, clips), {'running_per_hop': True, 'counted_into': clips}
    return model.clone(norm=partial(model.norm, **changes))


def scored_model(model: nn.Module, clips: int) -> nn.Module:
    """The model that scores, where each clip is counted into a set of so many, or into none for 0."""
    return counting(model, clips) if clips else model


def observed_model(model: nn.Module, clips: int) -> nn.Module:
    """The model that the precise statistics of a `scored_model` are observed with."""
    return counting(model, clips) if clips else of_whole_batches(model)


def clips_per_statistic(config: ConfigDict, mesh: parallel.Mesh) -> int:
    """How many clips share batch statistics in a training on the devices of `mesh`.

    ValueError if devices or micro-batches cannot be divided like that.
    """
    on_device = config.train.batch_size // mesh.size
    parts = config.train.micro_batches
    if on_device % parts:
        raise ValueError(
            f'config.train.micro_batches divides the {on_device} clips of a device: expected a divisor, got {parts}.'
        )
    scope = config.model.norm.statistics_scope
    clips = clips_of_scope(scope, on_device // parts)
    return clips * mesh.size if scope == 'global' else clips


def expect_sets(config: ConfigDict) -> None:
    """Raises ValueError if clips are to be counted into sets that no training has, or without precise statistics.

    The devices that score need not be those that have trained: sets may lie on several of them.
    """
    clips = config.run.self_inclusive
    if clips and (words := renormalized(config.model.norms)):
        raise ValueError(
            'config.run.self_inclusive counts a clip into the set that training standardized it by: expected 0 for '
            f"the norm '{words[0]}', which training standardizes by running averages as evaluation does, got {clips}; "
            'leave it out.'
        )
    if clips and config.train.batch_size % clips:
        raise ValueError(
            'config.run.self_inclusive is the clips that share statistics in training: expected a number that divides '
            f'config.train.batch_size = {config.train.batch_size}, got {clips}.'
        )
    if clips and not config.run.precise_batches:
        raise ValueError(
            f'config.run.self_inclusive={clips} takes statistics that no training keeps: give the batches to take them '
            'of with --config.run.precise_batches=32, more for small batches.'
        )


def observe(
    variables: Mapping[str, PyTree], batch: Batch, *, model: nn.Module, pixels: Mapping[str, Sequence[float]]
) -> tuple[Float[Array, 'B K'], PyTree]:
    """Logits in training mode, without dropout, and the statistics by which they came about.

    The statistics are those of this device's clips, [1 G C] for every leaf of `batch_stats`; of a frozen layer, its
    running averages.
    """
    clip = normalize_pixels(batch['clip'], **pixels)
    with nn.intercept_methods(_of_this_batch):
        logits, updated = model.apply(variables, clip, train=True, mutable=['batch_stats'])
    return logits, jax.tree.map(lambda value: value.reshape(1, -1, value.shape[-1]), updated['batch_stats'])


def _of_this_batch(call: Callable, arguments: tuple, settings: dict[str, Any], context: nn.module.InterceptorContext):
    module, method = context.module, context.method_name
    if isinstance(module, BatchStatistics) and method == 'relax':
        _, per_group = arguments
        return per_group
    if isinstance(module, nn.Dropout) and method == '__call__':
        return arguments[0]
    return call(*arguments, **settings)


def average(observed: Sequence[PyTree]) -> PyTree:
    """The mean over batches and devices, summed in float64: leaves [D G C] -> [G C]; ValueError if there is none."""
    if not observed:
        raise ValueError('Precise statistics are averages over batches: expected at least 1 batch, got 0.')
    return jax.tree.map(lambda *of: np.mean(of, axis=(0, 1), dtype=np.float64).astype(np.float32), *observed)


def as_running(per_group: PyTree, running: PyTree) -> PyTree:
    """Statistics per group, [G C], in the shape of `running`: [C], by the mean over groups, where it has one pair."""
    return jax.tree.map(lambda of, like: of.mean(axis=0) if like.ndim == 1 else of, per_group, running)
