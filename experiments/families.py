"""Does every family of backbones learn moving shapes, with relays and without? One short training for each.

    python -m experiments.families --workdir=runs/families
    python -m experiments.families --workdir=runs/families --only=mobilenet_v2 --norms=dnr --seed=1

Prints a table of test accuracies. Each training is a line of experiments/records/families.jsonl, of which
`python -m experiments.pages` writes docs/runs.md, or of the file that --records names; started again, it goes on with
what is missing.
"""

import sys
from pathlib import Path

from benchmarks import records
from dnr_jax.registry import choose
from experiments import commands, sessions
from experiments.real_video import tested

RECORDS = Path(__file__).parent / 'records/families.jsonl'
DATA = 'moving_shapes/standard'

# Settings beside those of configs/moving_shapes.py: networks that shrink the frames need more of them.
SETTINGS = {
    'resnet18': [],
    'tsm_resnet18': [],
    'tanet_resnet50': [],
    'tea_resnet50': ['--config.model.width=16', '--config.model.norm.groups=2'],
    'mobilenet_v2': [
        '--config.model.width=16', '--config.schedule.learning_rate=0.02', '--config.train.epochs=8',
    ],
    'slowonly_resnet50': [],
    'i3d_resnet50': ['--config.clip.frames=16', '--config.clip.stride=1', '--config.model.norm.stride=1'],
    'r2plus1d_18': ['--config.clip.frames=16', '--config.clip.stride=1', '--config.model.norm.stride=1'],
    'slowfast_resnet50_8x8': [
        '--config.clip.frames=16', '--config.clip.stride=1', '--config.model.width=16', '--config.model.norm.groups=1',
        '--config.model.norm.reduction=2',
    ],
}  # fmt: skip
NORMS = ('batch', 'dnr')


def top1(backbone: str, norms: str, seed: int, workdir: Path, data_dir: str, into: Path) -> float:
    """Test accuracy of a run as it is recorded, or else of its training, which is recorded then."""
    run = {'backbone': backbone, 'norms': norms, 'settings': SETTINGS[backbone], 'seed': seed}
    for known in records.read(into):
        if all(known[name] == of for name, of in run.items()):
            return known['top1']
    folder = workdir / f'{backbone}_{norms}_{seed}'
    config = f'--config=configs/moving_shapes.py:{backbone},{norms}'
    of_run = (
        f'--config.data.name={DATA}',
        f'--config.data.dir={data_dir}',
        f'--config.seed={seed}',
        f'--workdir={folder}',
    )
    seconds = sessions.run([sys.executable, 'train.py', config, *of_run, *SETTINGS[backbone]], folder, into)
    measured = tested(folder)
    records.add(into, {**run, 'data': DATA, 'seconds': seconds, **measured})
    return measured['top1']


def main() -> None:
    parser = commands.parser(__doc__, RECORDS)
    parser.add_argument('--workdir', type=Path, default=Path('runs/families'))
    parser.add_argument('--only', default=','.join(SETTINGS), help='backbones; default: one of each family')
    parser.add_argument('--norms', default=','.join(NORMS), help='presets to train each with')
    parser.add_argument('--seed', type=int, default=0, help='of all of them; the page shows that of 0')
    parser.add_argument('--data_dir', default='~/tensorflow_datasets')
    options = parser.parse_args()
    presets, backbones = options.norms.split(','), options.only.split(',')
    with commands.refusing():
        for backbone in backbones:
            choose(SETTINGS, backbone, 'backbone')
        titles = ' | '.join(f'`{norms}`' for norms in presets)
        print(f'| backbone | {titles} |\n| --- {"| ---: " * len(presets)}|', flush=True)
        for backbone in backbones:
            of_run = options.seed, options.workdir, options.data_dir, options.records
            scores = [f'{top1(backbone, norms, *of_run):.1%}' for norms in presets]
            print(f'| `{backbone}` | {" | ".join(scores)} |', flush=True)


if __name__ == '__main__':
    main()
