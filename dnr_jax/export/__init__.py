"""A trained model as one file that JAX alone can run.

    python -m dnr_jax.export --workdir=runs/dnr --out=dnr.stablehlo

writes the network in evaluation mode as StableHLO: parameters, statistics and the normalization of pixels inside,
uint8 frames in, logits out, for any number of clips B, and for all platforms it was lowered for. FILE.json beside it
says which frames it wants and what the logits mean.

    programs    what is exported, as pure functions of one clip, or of one step of a stream
    artefact    lowering, and writing what has been checked
    check       whether a file gives the logits of its checkpoint
    alone       how to run one; knows nothing of this package

Axes: B clips or streams, T frames, H W space, K classes.
"""

from dnr_jax.export.artefact import export_checkpoint
from dnr_jax.export.check import ExportError

__all__ = ['ExportError', 'export_checkpoint']
