"""Asks a trained network what its relay does: python -m dnr_jax.study QUESTION --workdir=DIR

trace      what every relayed layer does with a clip:     python -m dnr_jax.study trace --workdir=runs/dnr --label=grow
motion     how scale and shift move, and for whom:        python -m dnr_jax.study motion --workdir=runs/dnr
influence  how far back a relay remembers:                python -m dnr_jax.study influence --workdir=runs/dnr
ablate     what it costs to take the relay away:          python -m dnr_jax.study ablate --workdir=runs/dnr
distill    the same network with its relay as a clock:    python -m dnr_jax.study distill --workdir=runs/dnr
order      whether the order of frames is seen:  python -m dnr_jax.study order --workdir=runs/dnr --workdir=runs/batch

Text is printed; pictures, JSON and arrays go to WORKDIR/study. --config.data.dir=DIR says where the data are, and what
else says how a model is used can be changed like this, as for eval.py.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from absl import flags

from dnr_jax import command
from dnr_jax.command.terminal import tell
from dnr_jax.registry import choose
from dnr_jax.study import commands
from dnr_jax.study.asking import Asked

flags.DEFINE_multi_string('workdir', None, 'Folder of a training; order takes several.', required=True)
flags.DEFINE_string('checkpoint', 'last', "Which one: 'last', 'best' or a step.")
flags.DEFINE_string('out', None, 'Folder to write to; default WORKDIR/study, of the first one.')
flags.DEFINE_integer('clips', 1024, 'All but trace: clips of the test split (distill: of training), at most.')
flags.DEFINE_string('label', None, 'trace, motion: class of the clip, the first one of it; default: the first clip.')
flags.DEFINE_string('id', None, 'trace, motion: id of the clip.')
flags.DEFINE_string('relay', None, "motion: the relay to draw, 'stage1/block1/norm2'; default: where most is seen.")
flags.DEFINE_multi_string(
    'layers', [], "ablate: layers to take together, a pattern: 'stage1/|stage2/'; default: all, each stage, each norm."
)
flags.DEFINE_list('ablations', 'zero,mean,mean_per_hop,shuffle,reverse,cut:1,cut:2', 'ablate: what takes its place.')


class Question(NamedTuple):
    """How it is answered, and the flags that not all questions take."""

    answer: Callable[[Asked], str]
    takes: tuple[str, ...]


QUESTIONS = {
    'trace': Question(commands.trace, ('label', 'id')),
    'motion': Question(commands.show_motion, ('clips', 'label', 'id', 'relay')),
    'influence': Question(commands.measure_influence, ('clips',)),
    'ablate': Question(commands.ablate, ('clips', 'layers', 'ablations')),
    'distill': Question(commands.distill, ('clips',)),
    'order': Question(commands.see_order, ('clips',)),
}


def main(arguments: list[str]) -> None:
    name, *rest = arguments or ['']
    question = choose(QUESTIONS, name, 'question')
    given = flags.FLAGS
    for flag in {flag for other in QUESTIONS.values() for flag in other.takes} - set(question.takes):
        if given[flag].present:
            command.refuse(f'{name} takes no --{flag}; see --help')
    asked = Asked(
        workdirs=tuple(given.workdir),
        checkpoint=given.checkpoint,
        adapt=partial(command.override, arguments=rest),
        out=given.out,
        clips=given.clips,
        label=given.label,
        id=given.id,
        relay=given.relay,
        layers=tuple(given.layers),
        ablations=tuple(given.ablations),
    )
    tell(question.answer(asked))
    tell(f'\nmore in {asked.folder}')


def run() -> None:
    command.run(main)


if __name__ == '__main__':
    run()
