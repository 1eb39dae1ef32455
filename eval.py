"""Scores a trained model: python eval.py --help"""

from dnr_jax.evaluation.__main__ import run

if __name__ == '__main__':
    run()
