"""Dynamic Normalization and Relay (DNR) for video action recognition, in JAX and Flax.

    norms               the method: scale and shift relayed from layer to layer, from frame to frame
    models              backbones whose convolutions are followed by norms
    data                labelled videos, prepared once, read as batches
    training            from a config to a trained model
    evaluation          scores of a trained model
    runs                a work folder, kept from losing anything
    streaming           prediction on a video without end
    predict             what videos of no data set show
    study               what a trained relay does
    compare             whether two models differ by more than chance
    statistics_report   why evaluation falls behind training mode
    convert             weights from PyTorch
    export              one file that JAX alone can run
    ahead_of_time       what a training becomes on accelerators that are not here
    command             what all commands do alike

Beside them: `parallel`, where arrays lie; `operations`, in the form that each platform wants; `registry`, choosing by
name; `files`, there whole or not at all; `figures`, how pictures look. `library` is the door for programs:

    dnr_jax.load('runs/dnr').predict('clip.mp4')
    dnr_jax.build('resnet50', norms='dnr', classes=5)
"""

__version__ = '0.1.0'
__all__ = ['build', 'load']


def __getattr__(name: str):
    if name in __all__:  # on demand, for what is read beside them is free of JAX
        from dnr_jax import library

        return getattr(library, name)
    raise AttributeError(f"module 'dnr_jax' has no attribute '{name}'")
