"""GRID words: which of 51 words does a mouth say? Real video in which order tells, for minutes on two CPU cores.

    python -m experiments.grid_words --source GRID --out grid_words
    python -m dnr_jax.data.prepare videos --variant grid_words --source grid_words --form jpeg --short_side 54
    python train.py --config=configs/grid_words.py:resnet18,dnr --workdir=runs/grid_dnr

GRID is the corpus as its makers give it, see the first of these programs. What was found on it: docs/real_video.md.

Source of the videos: Cooke, Barker, Cunningham, Shao, "An audio-visual corpus for speech perception and automatic
speech recognition", JASA 2006, DOI 10.5281/zenodo.3625687.
"""

from configs import base


def get_config(model: str = 'resnet18,dnr'):
    """A narrow network on every other frame of a word, of the 16 that a clip has."""
    config = base.get_config(model)
    config.data.name = 'videos/grid_words-jpeg54'
    config.clip.stride = 2

    config.model.width = 16
    config.model.norm.groups = 8
    config.model.norm.running_per_hop = True  # see BatchStatistics
    config.model.dropout = 0.0

    config.augment.update({'short_side': 54, 'size': 48, 'scales': (1.0, 0.875)})  # a mouth may be mirrored
    config.schedule.update({'warmup_steps': 260, 'fall_by': 'step'})  # an epoch
    config.train.update({'batch_size': 16, 'epochs': 10})
    config.recipe.update({'batch_size': 16, 'clips_per_statistic': 16})

    config.validation.update({'short_side': 54, 'size': 48})
    config.test.update({'split': 'test', 'clips': 1, 'crops': 1, 'short_side': 54, 'size': 48, 'batch_size': 64})

    config.run.workers = 0
    config.run.validate_every_epochs = 2
    config.run.checkpoint_every_steps = 524
    return config
