"""Kinetics-400 from ImageNet weights, the recipe of TSM: 50 epochs on 8 devices of 16 clips.

    python -m dnr_jax.convert torchvision resnet50.pth --out weights/resnet50
    python train.py --config=configs/kinetics400_imagenet.py:tsm_resnet50,dnr --config.init_from=weights/resnet50 \
        --workdir=runs/k400_tsm_dnr

Without temporal shift: `:resnet50,dnr`; the baselines: `:tsm_resnet50,batch`, `:resnet50,batch`.

Cost: 12 million clips of 33 G multiply-adds, three times that with the gradient.
References, batch norm, top-1: TSM-R50 8 frames 71.2 % (1 clip, 1 crop) and 72.8 % (1 clip, 10 crops, the protocol of
this config), of github.com/mit-han-lab/temporal-shift-module; 73.2 % (1 clip, 10 crops) of MMAction2. TSN-R50 8 frames
68.8 % and 69.9 % by the same two protocols of the TSM repository, there trained with 5 segments. None exists with
dynamic normalization.
"""

from configs import tsn


def get_config(model: str = 'tsm_resnet50,dnr'):
    """The shared recipe is this one; here is its data set."""
    config = tsn.get_config(model)
    config.data.name = 'kinetics400'
    return config
