"""Kinetics-400 from scratch, the released recipe of github.com/caidonkey/dnr: 196 epochs on 8 devices of 8 clips.

    python train.py --config=configs/kinetics400.py:resnet50,dnr --workdir=runs/k400_dnr

Batch 64 must lie on 8 devices for the recipe's 8 clips per statistic. The test protocol is 10 clips x 3 crops of
256 x 256 on the validation videos.
"""

from configs import base


def get_config(model: str = 'resnet50,dnr'):
    """The base config is this recipe; here is its data set."""
    config = base.get_config(model)
    config.data.name = 'kinetics400'
    return config
