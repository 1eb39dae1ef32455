"""What recipes of the TSN family share: a frame of each of 8 segments, ImageNet weights, a rate that falls in steps.

Source: github.com/mit-han-lab/temporal-shift-module; github.com/open-mmlab/mmaction2, configs of TSN and TSM.
"""

from ml_collections import ConfigDict

from configs import base

# (pattern, factor of the rate, factor of the decay): a fast new head, and decay of weights only.
GROUPS = (
    (r'^head/linear/kernel$', 5.0, 1.0),
    (r'^head/linear/bias$', 10.0, 0.0),
    (r'/bias$', 2.0, 0.0),
    (r'/(scale|shift)$', 1.0, 0.0),
)


def get_config(model: str = 'resnet50,dnr') -> ConfigDict:
    """The shared part; no training by itself, for it names no data."""
    config = base.get_config(model)
    config.clip.sampling = 'segments'
    config.augment.update({'positions': 13, 'snap': 3})
    config.model.dropout = 0.5
    config.schedule.update({'decay': 'steps', 'milestones': (20, 40), 'warmup_steps': 0, 'learning_rate': 0.02})
    config.optimizer.update({'clip_norm': 20.0, 'groups': GROUPS})
    config.train.update({'batch_size': 128, 'epochs': 50})
    config.recipe.update({'batch_size': 128, 'learning_rate': 0.02, 'clips_per_statistic': 16})
    config.test.update({'clips': 1, 'crops': 10, 'size': 224})
    return config
