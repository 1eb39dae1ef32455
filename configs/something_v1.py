"""Something-Something V1 from ImageNet weights, the recipe of TSM: 50 epochs on 8 devices of 8 clips.

    python -m dnr_jax.data.prepare something_v1 --source DIR
    python -m dnr_jax.convert torchvision resnet50.pth --out weights/resnet50
    python train.py --config=configs/something_v1.py:tsm_resnet50,dnr --config.init_from=weights/resnet50 \
        --workdir=runs/ssv1_tsm_dnr

The classes stand in sorted order, as in the checkpoints of TSM, TEA and TANet; `--variant file` prepares the data in
the order of the official list, as MMAction2 has them.

Cost: 4.3 million clips of 33 G multiply-adds, three times that with the gradient.
References, batch norm, top-1: TSM-R50 8 frames 45.6 % (1 clip, centre crop of 224) and 47.2 % (2 clips, 3 crops of 256,
the protocol of this config), of github.com/mit-han-lab/temporal-shift-module. None exists with dynamic normalization.
"""

from configs import something_v2


def get_config(model: str = 'tsm_resnet50,dnr'):
    """As of V2."""
    config = something_v2.get_config(model)
    config.data.name = 'something_v1'
    return config
