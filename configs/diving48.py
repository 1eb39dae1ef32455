"""Diving48 by its corrected labels, from ImageNet weights, the recipe of MMAction2: 50 epochs on 8 devices of 8 clips.

    python -m dnr_jax.data.prepare diving48 --source DIR
    python -m dnr_jax.convert torchvision resnet50.pth --out weights/resnet50
    python train.py --config=configs/diving48.py:tsm_resnet50,dnr --config.init_from=weights/resnet50 \
        --workdir=runs/diving48_tsm_dnr

Without temporal shift: `:resnet50,dnr`; the baselines: `:tsm_resnet50,batch`, `:resnet50,batch`.
Diving48 has no validation videos: scores while training are those of its test videos. A mirrored dive is the same dive.

Cost: 0.75 million clips of 33 G multiply-adds, three times that with the gradient.
References, batch norm, 8 frames, top-1 of MMAction2 (configs/recognition/tsm and tsn, the protocol of this config):
TSM-R50 76.0 %, TSN-R50 71.3 % after 100 epochs. None exists with dynamic normalization.
"""

from configs import something_v2


def get_config(model: str = 'tsm_resnet50,dnr'):
    """As of Something-Something, with the decay of Kinetics, and one view of each test video."""
    config = something_v2.get_config(model)
    config.data.name = 'diving48'
    config.optimizer.weight_decay = 1e-4
    config.validation.split = 'test'
    config.test.update({'split': 'test', 'clips': 1, 'crops': 1, 'size': 224})
    return config
