"""What do the relays of the networks of `real_video` do? Questions of `dnr_jax.study`, asked of each that was kept.

    python -m experiments.real_video --keep --records=runs/mine.jsonl
    python -m experiments.real_video_relays
    python -m experiments.pages

Each network of `dnr` is a line of experiments/records/real_video_relays.jsonl, or of the file that --records names,
with its answers on the clips of its test. Started again, it goes on with what is missing.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import records
from experiments import commands
from experiments.real_video import TEST_CLIPS, TIMINGS, Run, kept_whole, key, tested

RECORDS = Path(__file__).parent / 'records/real_video_relays.jsonl'
METHOD = 'dnr'
# Flags of every question; layers with relays along layers, and along frames.
QUESTIONS = {
    'distill': ['--clips=600'],
    'ablate': [
        f'--clips={TEST_CLIPS}',
        '--layers=norm1$',
        '--layers=norm2$',
        '--ablations=zero,mean,mean_per_hop,reverse,cut:1',
    ],
    'influence': ['--clips=200'],
    'order': [f'--clips={TEST_CLIPS}'],
}


def ask(workdir: Path) -> dict[str, Any]:
    """Asks all questions, scores the clock that `distill` has made, and returns what is to be recorded."""
    for question, flags in QUESTIONS.items():
        run('-m', 'dnr_jax.study', question, f'--workdir={workdir}', *flags)
    run('eval.py', f'--workdir={workdir}/study/clock')
    return answers(workdir / 'study')


def run(*command: str) -> None:
    subprocess.run([sys.executable, *command], check=True)


def answers(folder: Path) -> dict[str, Any]:
    """What the files of a study say: of its clock, costs of ablations, memory along frames, order."""
    ablated, influence, order = (
        json.loads((folder / f'{name}.json').read_text()) for name in ('ablate', 'influence', 'order')
    )
    (of_order,) = order['networks']
    return {
        'clock': tested(folder / 'clock'),
        'top1': round(ablated['top1'], 4),
        'costs': ablated['costs'],
        'memory': {name: of['memory'] for name, of in influence['relays'].items() if of['over'] == 'frames'},
        'order': {name: of_order[name] for name in ('top1_reversed', 'agreement')},
    }


def kept(folder: Path) -> dict[Run, Path]:
    """The finished networks of METHOD in the folder whose checkpoints were kept, by the names of their folders.

    ValueError if there is none.
    """
    named = re.compile(f'(.+)_{METHOD}_(\\d+)_({"|".join(TIMINGS)})_([^_]+)_(\\d+)')
    found = {}
    for workdir in sorted(folder.glob('*')):
        if kept_whole(workdir) and (of := named.fullmatch(workdir.name)):
            backbone, clips, timing, rate, seed = of.groups()
            found[Run(backbone, METHOD, int(clips), timing, float(rate), int(seed))] = workdir
    if not found:
        raise ValueError(
            f'Expected finished networks of {METHOD} with checkpoints in {folder}, got none: python -m '
            f'experiments.real_video --keep --workdir={folder} --methods={METHOD} --records=FILE, FILE a new one.'
        )
    return found


def main() -> None:
    parser = commands.parser(__doc__, RECORDS)
    parser.add_argument('--workdir', type=Path, default=Path('runs/real_video'), help='that of real_video --keep')
    options = parser.parse_args()
    with commands.refusing():
        done = set(map(key, records.read(options.records)))
        for of, workdir in kept(options.workdir).items():
            if of not in done:
                records.add(options.records, of._asdict() | ask(workdir))


if __name__ == '__main__':
    main()
