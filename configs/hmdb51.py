"""HMDB51, the first of its three divisions, from weights of Kinetics-400: 25 epochs on 8 devices of 12 clips.

    python -m dnr_jax.data.prepare hmdb51 --variant split1 --source DIR
    python train.py --config=configs/hmdb51.py:tsm_resnet50,dnr --config.init_from=runs/k400_tsm_dnr \
        --workdir=runs/hmdb51_tsm_dnr

The other divisions: --variant split2, --config.data.name=hmdb51/split2-original.
HMDB51 has no validation videos: scores while training are those of its test videos.

Cost: 0.09 million clips of 33 G multiply-adds, three times that with the gradient.
Reference: the recipe is MMAction2's fine-tuning of TSM-R50 1x1x8 (configs/recognition/tsm, 25 epochs); none exists with
dynamic normalization.
"""

from configs import ucf101


def get_config(model: str = 'tsm_resnet50,dnr'):
    """As of UCF101."""
    config = ucf101.get_config(model)
    config.data.name = 'hmdb51'
    return config
