"""The harder moving shapes, in which no network of this size is right all of the time: a run of a minute or two.

python -m dnr_jax.data.prepare moving_shapes --variant hard
python train.py --config=configs/hard_shapes.py:tsm_resnet18,dnr --workdir=runs/hard_dnr
"""

from configs import moving_shapes


def get_config(model: str = 'resnet18,dnr'):
    """The recipe of moving shapes for two epochs, a lower learning rate, and the released running statistics."""
    config = moving_shapes.get_config(model)
    config.data.name = 'moving_shapes/hard'
    config.model.norm.running_per_hop = False
    config.schedule.learning_rate = 0.1
    config.schedule.warmup_steps = 30
    config.train.epochs = 2
    config.recipe.learning_rate = 0.1
    return config
