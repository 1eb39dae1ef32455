"""Trains a model: python train.py --help"""

from dnr_jax.training.__main__ import run

if __name__ == '__main__':
    run()
