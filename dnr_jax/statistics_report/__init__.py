"""Why evaluation falls behind training mode: the running statistics of a trained model, layer by layer.

python -m dnr_jax.statistics_report --workdir=runs/dnr
"""

__all__ = ['drift']
