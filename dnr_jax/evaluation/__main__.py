"""Scores a trained model: python eval.py --workdir=runs/dnr

Config, class names and preprocessing are read from the checkpoint. What says how to score can be changed:
--config.test.clips=10 --config.test.crops=3 --config.data.dir=DIR

Results go to WORKDIR/test; those of another checkpoint or protocol to a folder beside it that names what is different.
With --watch, beside a training, every checkpoint is scored as it comes, to the end of the training.
"""

from functools import partial

from absl import flags

from dnr_jax import command
from dnr_jax.command.terminal import tell

CONNECT = command.define_distributed()
WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of a training.', required=True)
CHECKPOINT = flags.DEFINE_string('checkpoint', 'last', "Which one: 'last', 'best' or a step.")
OUT = flags.DEFINE_string('out', None, 'Folder for predictions, results and pictures, in place of what is in it.')
WATCH = flags.DEFINE_bool('watch', False, 'Score every checkpoint as it comes, until the training is finished.')


def main(arguments: list[str]) -> None:
    if WATCH.value and (OUT.present or CHECKPOINT.present or flags.FLAGS.coordinator):
        command.refuse('every checkpoint has results of its own: expected no --checkpoint, --out or --coordinator')
    CONNECT()
    from dnr_jax.evaluation.checkpoint_score import evaluate_checkpoint
    from dnr_jax.evaluation.scores import to_text
    from dnr_jax.parallel import is_leader

    adapt = partial(command.override, arguments=arguments)
    if WATCH.value:
        from dnr_jax.evaluation.watching import watch

        return watch(WORKDIR.value, adapt)
    results = evaluate_checkpoint(WORKDIR.value, CHECKPOINT.value, adapt, OUT.value)
    if is_leader():
        tell(to_text('test', results))


def run() -> None:
    command.run(main)


if __name__ == '__main__':
    run()
