"""UCF101, the first of its three divisions, from weights of Kinetics-400: 25 epochs on 8 devices of 12 clips.

    python -m dnr_jax.data.prepare ucf101 --variant split1 --source DIR
    python train.py --config=configs/ucf101.py:tsm_resnet50,dnr --config.init_from=runs/k400_tsm_dnr \
        --workdir=runs/ucf101_tsm_dnr

The other divisions: --variant split2, --config.data.name=ucf101/split2-original.
UCF101 has no validation videos: scores while training are those of its test videos.

Cost: 0.24 million clips of 33 G multiply-adds, three times that with the gradient.
Reference: the recipe is MMAction2's fine-tuning of TSM-R50 1x1x8 (configs/recognition/tsm, 25 epochs); none exists with
dynamic normalization.
"""

from configs import tsn


def get_config(model: str = 'tsm_resnet50,dnr'):
    """A low learning rate, and few epochs."""
    config = tsn.get_config(model)
    config.data.update({'name': 'ucf101', 'train_split': 'train'})
    config.schedule.update({'learning_rate': 0.0015, 'milestones': (10, 20)})
    config.train.update({'batch_size': 96, 'epochs': 25})
    config.recipe.update({'batch_size': 96, 'learning_rate': 0.0015, 'clips_per_statistic': 12})
    config.validation.update({'split': 'test', 'batch_size': 96})
    config.test.update({'split': 'test', 'clips': 1, 'crops': 1, 'size': 224})
    return config
