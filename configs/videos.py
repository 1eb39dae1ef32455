"""Videos of your own: what is left open here is chosen by the prepared videos, told, and kept in the work folder.

    python -m dnr_jax.data.prepare videos --variant NAME --source DIR
    python train.py --config=configs/videos.py --config.data.name=videos/NAME-original --workdir=runs/NAME

A small network, to begin with on two CPU cores. From weights of PyTorch, in which `init_from` lowers the rate:

    python -m dnr_jax.convert torchvision resnet50.pth --out weights/resnet50
    python train.py --config=configs/videos.py:tsm_resnet50,dnr --config.data.name=videos/NAME-original \
        --config.init_from=weights/resnet50 --config.model.width=64 --config.optimizer.frozen="('stem',)" \
        --config.model.norm.frozen_statistics=stem --workdir=runs/NAME_tuned

Rules and reasons of what is chosen: dnr_jax/training/choices.py. No result is claimed for videos that are not known.
"""

from ml_collections.config_dict import placeholder

from configs import base


def get_config(model: str = 'resnet18,dnr'):
    """Half the width and half the height of the released recipe."""
    config = base.get_config(model)
    config.data.update({'name': 'videos', 'train_split': placeholder(str)})
    config.clip.stride = placeholder(int)

    config.model.width = 32
    config.model.norm.running_per_hop = True  # see BatchStatistics; few and small batches need it

    config.augment.update({'short_side': 128, 'size': 112, 'scales': (1.0, 0.875)})

    config.schedule.update({'learning_rate': placeholder(float), 'warmup_steps': placeholder(int), 'fall_by': 'step'})
    config.train.update({'batch_size': placeholder(int), 'epochs': placeholder(int)})
    config.recipe.update({name: placeholder(type(value)) for name, value in config.recipe.items()})

    for scored in (config.validation, config.test):  # a placeholder each: one in both is one value
        scored.update({'split': placeholder(str), 'short_side': 128, 'size': 112, 'batch_size': placeholder(int)})
    config.test.update({'clips': placeholder(int), 'crops': 1})

    config.run.update({'workers': 2, 'log_every_steps': placeholder(int), 'validate_every_epochs': placeholder(int)})
    return config
