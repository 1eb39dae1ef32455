"""Which of two trained models is better, whether that could be chance, and where they differ.

python -m dnr_jax.compare runs/a/test runs/b/test
"""

__all__ = ['comparison']
