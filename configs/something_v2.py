"""Something-Something V2 from ImageNet weights, the recipe of TSM: 50 epochs on 8 devices of 8 clips.

    python -m dnr_jax.data.prepare something_v2 --source DIR
    python -m dnr_jax.convert torchvision resnet50.pth --out weights/resnet50
    python train.py --config=configs/something_v2.py:tsm_resnet50,dnr --config.init_from=weights/resnet50 \
        --workdir=runs/ssv2_tsm_dnr

Without temporal shift: `:resnet50,dnr`; the baselines: `:tsm_resnet50,batch`, `:resnet50,batch`.
Clips are mirrored, and mirrored left is right: see `flip_labels`. The authors of TSM do not mirror:
--config.augment.flip=0.

Cost: 8.4 million clips of 33 G multiply-adds, three times that with the gradient.
References, batch norm, top-1: TSM-R50 8 frames 61.2 % (2 clips, 3 crops of 256, the protocol of this config), of
github.com/mit-han-lab/temporal-shift-module; TSN-R50 8 frames 35.5 % (25 clips, 10 crops) of MMAction2. None exists
with dynamic normalization.
"""

from configs import tsn


def get_config(model: str = 'tsm_resnet50,dnr'):
    """Half of the batch of Kinetics, half of its learning rate, five times its decay."""
    config = tsn.get_config(model)
    config.data.name = 'something_v2'
    config.schedule.learning_rate = 0.01
    config.optimizer.weight_decay = 5e-4
    config.train.batch_size = 64
    config.recipe.update({'batch_size': 64, 'learning_rate': 0.01, 'clips_per_statistic': 8})
    config.test.update({'clips': 2, 'crops': 3, 'size': 256})
    return config
