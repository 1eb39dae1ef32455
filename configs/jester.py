"""20BN-Jester from ImageNet weights, the recipe of MMAction2: 50 epochs on 8 devices of 8 clips.

    python -m dnr_jax.data.prepare jester --source DIR
    python -m dnr_jax.convert torchvision resnet50.pth --out weights/resnet50
    python train.py --config=configs/jester.py:tsm_resnet50,dnr --config.init_from=weights/resnet50 \
        --workdir=runs/jester_tsm_dnr

Without temporal shift: `:resnet50,dnr`; the baselines: `:tsm_resnet50,batch`, `:resnet50,batch`.
Clips are mirrored, and a mirrored swipe to the left is one to the right, a hand that turns clockwise one that turns
counterclockwise: see `flip_labels`. MMAction2 exchanges the swipes and slides, and leaves the turns.

Cost: 5.9 million clips of 33 G multiply-adds, three times that with the gradient.
Reference, batch norm, 8 frames, top-1 of MMAction2 (configs/recognition/tsm): TSM-R50 96.5 % (one view) and 97.2 % (2
clips, 3 crops of 256, the protocol of this config). None exists with dynamic normalization.
"""

from configs import something_v2


def get_config(model: str = 'tsm_resnet50,dnr'):
    """As of Something-Something, with random resized crops: frames are 100 pixels high."""
    config = something_v2.get_config(model)
    config.data.name = 'jester'
    config.augment.crop = 'random_resized'
    return config
