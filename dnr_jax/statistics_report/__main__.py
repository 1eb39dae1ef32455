"""Says why evaluation falls behind training mode: python -m dnr_jax.statistics_report --workdir=runs/dnr

The same validation clips are scored by the statistics of sets of them, as many as shared statistics in training, by the
running averages, as in evaluation, and by precise statistics in place of these. Where the three differ, a table of
layers says which ones have drifted, and a line what to do about it.
"""

from functools import partial

from absl import flags

from dnr_jax import command
from dnr_jax.command.terminal import tell
from dnr_jax.statistics_report.report import report, to_text


def main(arguments: list[str]) -> None:
    given = flags.FLAGS
    adapt = partial(command.override, arguments=arguments)
    tell(to_text(report(given.workdir, given.checkpoint, adapt, given.batches, given.out)))


def run() -> None:
    flags.DEFINE_string('workdir', None, 'Folder of a training.', required=True)
    flags.DEFINE_string('checkpoint', 'last', "Which one: 'last', 'best' or a step.")
    flags.DEFINE_integer('batches', 16, 'Batches of config.train.batch_size clips to take statistics over.')
    flags.DEFINE_string('out', None, 'Folder for report.json and statistics.png; default WORKDIR/statistics.')
    command.run(main)


if __name__ == '__main__':
    run()
