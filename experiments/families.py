"""Does every family of backbones learn moving shapes, with relays and without? One short training for each.

    python -m experiments.families --workdir=runs/families
    python -m experiments.families --workdir=runs/families --only=mobilenet_v2 --norms=dnr --seed=1

Started again, it goes on with what is missing. Prints a table of test accuracies; `results.json` of each training lies
in WORKDIR/BACKBONE_NORMS_SEED/test, and a line for each in experiments/records/families.jsonl, of which
`python -m experiments.pages` writes docs/runs.md, or in the file that --records names.
"""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks import records
from dnr_jax.registry import choose
from experiments import commands

RECORDS = Path(__file__).parent / 'records/families.jsonl'

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
    """Test accuracy, from training to the end if that was not done; it is recorded once."""
    folder = workdir / f'{backbone}_{norms}_{seed}'
    results = folder / 'test/results.json'
    if not results.exists():
        config = f'--config=configs/moving_shapes.py:{backbone},{norms}'
        of_run = f'--config.data.dir={data_dir}', f'--config.seed={seed}', f'--workdir={folder}'
        subprocess.run([sys.executable, 'train.py', config, *of_run, *SETTINGS[backbone]], check=True)
    scores = json.loads(results.read_text())
    record(backbone, norms, into, workdir=folder, step=scores['step'], top1=scores['top1'])
    return scores['top1']


def record(backbone: str, norms: str, into: Path, *, workdir: Path, step: int, top1: float) -> None:
    """Adds a finished training to the records, unless it stands there."""
    config = json.loads((workdir / 'config.json').read_text())
    run = {'backbone': backbone, 'norms': norms, 'settings': SETTINGS[backbone], 'seed': config['seed']}
    run |= {'data': config['data']['name'], 'steps': step}
    if not any(all(known[name] == of for name, of in run.items()) for known in records.read(into)):
        records.add(into, {**run, 'top1': round(top1, 4)})


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
