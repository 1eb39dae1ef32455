"""Kinetics-400 from scratch, the released recipe of github.com/caidonkey/dnr: 196 epochs on 8 devices of 8 clips.

    python train.py --config=configs/kinetics400.py:resnet50,dnr --workdir=runs/k400_dnr
    python train.py --config=configs/kinetics400.py:resnet50,batch --workdir=runs/k400_batch

Batch 64 must lie on 8 devices for the recipe's 8 clips per statistic; on fewer, add
--config.model.norm.statistics_scope=8.

Cost: 47 million clips of 33 G multiply-adds, three times that with the gradient; `--dry_run` says what it comes to.
Reference: none for this recipe outside the paper; the repository gives no number. The nearest published one is of
another network, with temporal convolutions: SlowOnly-R50 8x8 from scratch, 10 clips x 3 crops of 256, 74.6 to 75.2 %
(model zoos of MMAction2, PySlowFast and PyTorchVideo).
"""

from configs import base


def get_config(model: str = 'resnet50,dnr'):
    """The base config is this recipe; here is its data set."""
    config = base.get_config(model)
    config.data.name = 'kinetics400'
    return config
