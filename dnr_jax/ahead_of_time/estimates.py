"""What a training would take on accelerators that are not here: whether it compiles and fits, and where cycles go.

Memory, cycles and bytes are the estimates of compilers; nothing is run. Those of cycles know nothing of waiting for
memory or for other devices: they are good for ratios, not for times.
"""

import os
from collections.abc import Iterator
from functools import partial

import jax
from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.ahead_of_time import topologies
from dnr_jax.ahead_of_time.compilation import EPOCH, Answer, ask, train_step
from dnr_jax.ahead_of_time.hlo import Program
from dnr_jax.ahead_of_time.largest import largest
from dnr_jax.command.terminal import tell
from dnr_jax.data.source import split_of
from dnr_jax.evaluation.batches import steps_per_epoch, training_shape, views_shape
from dnr_jax.runs.reporting import as_time
from dnr_jax.runs.state import parameter_count
from dnr_jax.training.checks import expect_sound, expect_videos
from dnr_jax.training.choices import open_keys, resolved
from dnr_jax.training.introduction import notes, notes_of_a_step
from dnr_jax.training.parts import Parts
from dnr_jax.training.setup import assemble

# Where in a program an operation comes from, the first that is found; what is outside the gradient is the update. What
# is fused stands under one of its names: that of the convolution where there is one.
PARTS = {
    'relay': r'relay[./]',
    'norms': r'/norm',
    'convolutions': r'conv_general_dilated|dot_general|/conv',
    'optimizer': r'^jit\((?!.*(jvp|transpose)\()',
}
TAKEN = {'tpu': 1.0, 'cuda': 0.75}  # share of a device's memory that JAX takes, if it is not told otherwise


def estimate(config: ConfigDict, accelerators: str, classes: int | None, largest_batch: bool) -> Iterator[str]:
    """The findings, line by line as compilers answer; nothing is written.

    Args:
      accelerators: see `topologies.describe`.
      classes: how many, where the data set is not prepared.
      largest_batch: whether to look for the largest number of clips per device that fits.
    Raises ValueError, before anything is compiled, for what does not fit together.
    """
    jax.config.update('jax_platforms', 'cpu')  # what is only compiled for is not looked for on this machine
    topology = topologies.describe(accelerators)
    mesh = parallel.make_mesh(topology.devices)
    config, chosen = resolved(config, mesh, {}) if open_keys(config) else (config, [])
    expect_sound(config, mesh)
    classes, steps = of_data(config, classes)
    parts = assemble(config, mesh, classes, steps or EPOCH)
    yield "estimates of XLA's compilers; nothing is run"
    yield from chosen
    yield from introduction(config, parts, classes, steps)
    memory = usable(topology)
    trained = ask(partial(parallel.compiled, parts.train_step, parts.shapes(), training_shape(config), mesh))
    yield compiles_line('training', trained)
    variables = parts.shapes().variables
    tested = ask(partial(parallel.compiled, parts.predict['test'], variables, views_shape(config, 'test', mesh), mesh))
    yield compiles_line('test', tested)
    yield fits_line({'training': trained, 'test': tested}, topology.memory, memory)
    if trained.program:
        yield exchange_line(trained.program)
        yield cycles_line(trained.program)
        if trained.program.cycles and config.model.norms != 'batch':
            plain = with_changes(config, {'model.norms': 'batch'})
            yield against_line(trained, ask(partial(train_step, plain, mesh, classes)))
    if largest_batch:
        yield largest_line(config, mesh, classes, memory, trained)


def of_data(config: ConfigDict, classes: int | None) -> tuple[int, int | None]:
    """Classes and steps per epoch of the data set; those asked for, and None, where it is not prepared."""
    try:
        train = split_of(config.data, config.data.train_split)
    except ValueError as error:
        if classes is None:
            raise ValueError(f'{error} Or give --classes=NUMBER, for that is all of it that matters here.') from error
        return classes, None
    found = len(train.label_names)
    if classes not in (None, found):
        raise ValueError(f'--classes is for data that is not prepared: {train.name} has {found}, got {classes}.')
    expect_videos(config, train)
    return found, steps_per_epoch(config, len(train))


def usable(topology: topologies.Topology) -> int:
    """Bytes of a device's memory that programs have."""
    told = os.environ.get('XLA_PYTHON_CLIENT_MEM_FRACTION') if topology.platform == 'cuda' else None
    return int(topology.memory * float(told or TAKEN[topology.platform]))


def introduction(config: ConfigDict, parts: Parts, classes: int, steps: int | None) -> Iterator[str]:
    """What is to be trained on what, and where it leaves the recipe."""
    batch_size = config.train.batch_size
    epoch = f'{steps:,} steps an epoch' if steps else 'steps an epoch are not known without data'
    yield (
        f'network    {config.model.backbone}, norms {config.model.norms}: {parameter_count(parts.shapes().params):,} '
        f'parameters, {config.model.dtype}, {classes} classes'
    )
    yield (
        f'devices    {parallel.describe(parts.mesh)}: {batch_size} clips a step, {batch_size // parts.mesh.size} per '
        f'device, {parts.clips_per_statistic} per statistic; {epoch}'
    )
    yield from notes(config, parts) if steps else notes_of_a_step(config, parts)


def compiles_line(name: str, answer: Answer) -> str:
    """Whether a step compiles; one that is too large for a device does."""
    compiles = bool(answer.program) or answer.out_of_memory
    how = f'in {as_time(answer.seconds)}' if compiles else f'does not: {answer.refusal}'
    return f'compiles   {name} step {how}'


def fits_line(answers: dict[str, Answer], memory: int, usable: int) -> str:
    """Whether all steps fit, and their peaks."""
    fit = all(fits(answer, usable) for answer in answers.values())
    peaks = ', '.join(f'{peak_of(answer)} in a {name} step' for name, answer in answers.items())
    share = '' if usable == memory else f', {usable / memory:.0%} of it for JAX, by XLA_PYTHON_CLIENT_MEM_FRACTION'
    return f'memory     {"fits" if fit else "does not fit"}: {peaks}; a device has {memory / 1e6:,.0f} MB{share}'


def fits(answer: Answer, usable: int) -> bool:
    return answer.program is not None and answer.peak <= usable


def peak_of(answer: Answer) -> str:
    """The peak of a step, to read."""
    if answer.peak is not None:
        return f'{answer.peak / 1e6:,.0f} MB'
    return 'more' if answer.out_of_memory else 'unknown'


def exchange_line(program: Program) -> str:
    """What devices hand each other in a step."""
    found = program.collectives()
    if not found:
        return 'exchange   none'
    kinds = sorted({each.operation.removesuffix('-start') for each in found})
    size = sum(each.written for each in found) / 1e6
    return f'exchange   {len(found)} a step ({", ".join(kinds)}), {size:,.2f} MB'


def cycles_line(program: Program) -> str:
    """The estimated cycles of a step, and the share of each part."""
    if not program.cycles:
        return 'cycles     this compiler estimates none; those of TPUs do'
    shares = ', '.join(f'{part} {cycles / program.cycles:.1%}' for part, cycles in program.cycles_by(PARTS).items())
    return f'cycles     {program.cycles / 1e6:,.2f} M in a training step, estimated: {shares}'


def against_line(answer: Answer, plain: Answer) -> str:
    """The same step with batch norm."""
    if not plain.program:
        return f'against    the same step with batch norm has no program: {plain.refusal}'
    cycles, memory = answer.program.cycles / plain.program.cycles, answer.peak / plain.peak
    return f'against    {cycles:.3f} times the cycles and {memory:.3f} times the memory of the step with batch norm'


def largest_line(config: ConfigDict, mesh: parallel.Mesh, classes: int, usable: int, known: Answer) -> str:
    """The most clips per device that a training step can take, told try by try."""
    scope, parts = config.model.norm.statistics_scope, config.train.micro_batches
    unit = parts * int(scope if scope.isdigit() else 1)
    first = config.train.batch_size // mesh.size

    def measure(number: int) -> tuple[bool, int | None]:
        clips = number * unit
        of = with_changes(config, {'train.batch_size': clips * mesh.size})
        answer = known if clips == first else ask(partial(train_step, of, mesh, classes))
        fit = fits(answer, usable)
        tell(
            f'           {clips} clips per device: {peak_of(answer)}, {"fits" if fit else "does not fit"}; '
            f'compiled in {as_time(answer.seconds)}'
        )
        return fit, answer.peak

    found = unit * largest(measure, usable, first // unit)
    return f'largest    {found} clips per device, {found * mesh.size:,} a step' if found else 'largest    none fits'


def with_changes(config: ConfigDict, changes: dict[str, object]) -> ConfigDict:
    """The config with other values of some keys, 'train.batch_size'."""
    config = config.copy_and_resolve_references()
    config.update_from_flattened_dict(changes)
    return config
