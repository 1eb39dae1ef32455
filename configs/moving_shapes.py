"""Moving shapes, the embedded data set: eight motions that only the order of frames tells apart.

python -m dnr_jax.data.prepare moving_shapes
python train.py --config=configs/moving_shapes.py:resnet18,dnr --workdir=runs/dnr
"""

from configs import base


def get_config(model: str = 'resnet18,dnr'):
    """A narrow network on small frames, for a few minutes on two CPU cores."""
    config = base.get_config(model)
    config.data.name = 'moving_shapes'
    config.clip.stride = 2

    config.model.width = 8
    config.model.norm.groups = 4
    config.model.norm.running_per_hop = True  # see BatchStatistics: 86 % here, 41 % with one pair
    config.model.dropout = 0.0

    config.augment.short_side = 36
    config.augment.scales = (1.0, 0.875)
    config.augment.size = 32
    config.augment.flip = 0.0  # a flip would turn left into right

    config.schedule.learning_rate = 0.3
    config.schedule.warmup_steps = 50
    config.schedule.fall_by = 'step'
    config.train.batch_size = 16
    config.train.epochs = 4
    config.recipe.update({'batch_size': 16, 'learning_rate': 0.3, 'clips_per_statistic': 16})

    config.validation.update({'short_side': 36, 'size': 32, 'batch_size': 32})
    config.test.update({'split': 'test', 'clips': 1, 'crops': 1, 'short_side': 36, 'size': 32, 'batch_size': 32})

    config.run.workers = 0
    config.run.validate_every_epochs = 2
    config.run.checkpoint_every_steps = 256
    return config
