"""Scores a trained model: python eval.py --workdir=runs/dnr

Config, class names and preprocessing are read from the checkpoint. What says how to score can be changed:
--config.test.clips=10 --config.test.crops=3 --config.data.dir=DIR

Results go to WORKDIR/test; those of another checkpoint or protocol to a folder beside it that names what is different.
"""

from functools import partial

from absl import flags

from dnr_jax import command
from dnr_jax.command.terminal import tell

CONNECT = command.define_distributed()
WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of a training.', required=True)
CHECKPOINT = flags.DEFINE_string('checkpoint', 'last', "Which one: 'last', 'best' or a step.")
OUT = flags.DEFINE_string('out', None, 'Folder for predictions, results and pictures, in place of what is in it.')


def main(arguments: list[str]) -> None:
    CONNECT()
    from dnr_jax.evaluation.checkpoint_score import evaluate_checkpoint
    from dnr_jax.evaluation.scores import to_text
    from dnr_jax.parallel import is_leader

    adapt = partial(command.override, arguments=arguments)
    results = evaluate_checkpoint(WORKDIR.value, CHECKPOINT.value, adapt, OUT.value)
    if is_leader():
        tell(to_text('test', results))


def run() -> None:
    command.run(main)


if __name__ == '__main__':
    run()
