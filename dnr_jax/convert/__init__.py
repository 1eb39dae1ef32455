"""Weights of PyTorch networks as checkpoints of ours, and back.

    python -m dnr_jax.convert torchvision resnet50.pth --out weights/resnet50
    python -m dnr_jax.convert tsm tsm.pth --out weights/tsm --config=configs/kinetics400.py:tsm_resnet50,batch \
        --classes kinetics400.txt
    python -m dnr_jax.convert dnr runs/k400_dnr --to-torch dnr.pth

A file is read as arrays by key (`files`); rules turn keys into paths (`schemes`), arrays are laid out as ours
(`layout`), and all of them accounted for (`conversion`).
"""

__all__ = [
    'conversion',
]
