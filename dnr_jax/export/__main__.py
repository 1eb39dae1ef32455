"""Exports a trained model to one file that JAX alone can run, and checks it.

    python -m dnr_jax.export --workdir=runs/dnr --out=dnr.stablehlo
    python -m dnr_jax.export --workdir=runs/temporal --out=step.stablehlo --streaming

How to run one: docs/export.md.
"""

from functools import partial

import jax
from absl import flags

from dnr_jax import command
from dnr_jax.command.terminal import tell
from dnr_jax.export import artefact


def main(arguments: list[str]) -> None:
    jax.config.update('jax_platforms', 'cpu')  # exporting needs no accelerator, and the check takes both on the same
    given = flags.FLAGS
    about = artefact.export_checkpoint(
        given.workdir,
        given.checkpoint,
        partial(command.override, arguments=arguments),
        given.out,
        platforms=given.platforms,
        stream=given.streaming,
        horizon=given.horizon,
        check_clips=given.check_clips,
    )
    tell(artefact.to_text(about))


def run() -> None:
    flags.DEFINE_string('workdir', None, 'Folder of a training.', required=True)
    flags.DEFINE_string('out', None, 'File to write; what it takes and gives is written to FILE.json.', required=True)
    flags.DEFINE_string('checkpoint', 'last', "Which one: 'last', 'best' or a step.")
    flags.DEFINE_list('platforms', ['cpu', 'cuda', 'tpu'], 'Lowered for these, of cpu, cuda, rocm and tpu.')
    flags.DEFINE_bool('streaming', False, 'Export one step of a stream, of a causal network.')
    flags.DEFINE_integer('horizon', None, 'Frame groups a stream looks back over; 0 for all; default: those of a clip.')
    flags.DEFINE_integer('check_clips', 8, 'Clips of the test split to check it with; 0 for random ones.')
    command.run(main)


if __name__ == '__main__':
    run()
