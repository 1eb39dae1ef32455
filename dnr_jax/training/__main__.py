"""Trains a model: python train.py --config=configs/moving_shapes.py:resnet18,dnr --workdir=runs/dnr

Configs lie in configs/, one for each data set; backbones and norms are listed in docs/backbones.md. Any key of the
config can be set; --show prints them all. Started again with the same work folder, it goes on from its newest
checkpoint.
"""

from absl import flags

from dnr_jax import command
from dnr_jax.command.config_table import table
from dnr_jax.command.terminal import tell

KEYS = command.beside('configs/base.py')  # of all configs, with a comment each

CONFIG = command.define_config('configs/moving_shapes.py', 'Config file; after a colon: BACKBONE,NORMS.')
CONNECT = command.define_distributed()
ALLOW_CHANGE = flags.DEFINE_multi_string('allow_change', [], 'Key that may differ from how the folder was begun.')
DRY_RUN = flags.DEFINE_bool('dry_run', False, 'Measure a few steps, tell what a run would take, and begin no folder.')
SHOW = flags.DEFINE_bool('show', False, 'Print all keys of the config: value, what it may be, what it is for; and end.')
TOPOLOGY = flags.DEFINE_string(
    'topology',
    None,
    'With --dry_run: accelerators that need not be here, as v5e:16x16, v6e:8x8, h100:8 or a100:1. Tells by the '
    'estimates of their compilers, running nothing, whether the training compiles and fits, and where its cycles go.',
)
CLASSES = flags.DEFINE_integer('classes', None, 'With --topology: how many, where no data is prepared.', lower_bound=2)
LARGEST_BATCH = flags.DEFINE_bool(
    'largest_batch',
    False,
    'With --topology: also the most clips per device that fit, by several compilations.',
)
WORKDIR = flags.DEFINE_string('workdir', None, 'Folder for checkpoints, logs and results.')


def main(arguments: list[str]) -> None:
    command.expect_no_more(arguments)
    if SHOW.value:
        from dnr_jax.training.choices import shown

        return tell(table(shown(CONFIG.value), KEYS.read_text()))
    CONNECT()
    if TOPOLOGY.value is None and (LARGEST_BATCH.value or CLASSES.value is not None):
        command.refuse('--classes and --largest_batch belong to --dry_run --topology=...; see --help')
    if TOPOLOGY.value is not None:
        if not DRY_RUN.value:
            command.refuse('--topology only tells what a training would take: expected --dry_run beside it')
        command.compiled.keep('')  # it tells how long compilers take
        from dnr_jax.ahead_of_time.estimates import estimate

        for line in estimate(CONFIG.value, TOPOLOGY.value, CLASSES.value, LARGEST_BATCH.value):
            tell(line)
        return
    if DRY_RUN.value:
        from dnr_jax.training.dry_run import dry_run

        return tell(dry_run(CONFIG.value))
    if WORKDIR.value is None:
        command.refuse('expected --workdir=FOLDER, for checkpoints, logs and results; see --help')
    from dnr_jax.training.loop import train_and_evaluate

    train_and_evaluate(CONFIG.value, WORKDIR.value, ALLOW_CHANGE.value)


def run() -> None:
    command.run(main)


if __name__ == '__main__':
    run()
