"""The door for programs: a trained model to ask about videos, and a network for code of one's own.

It alone of the package reads configs, beside it: the values that `build` begins with stand in configs/base.py.

Axes: K classes, C channels.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from configs import base
from dnr_jax import models, parallel
from dnr_jax.files import AnyPath, as_path
from dnr_jax.predict import features, whole
from dnr_jax.runs import config_ranges
from dnr_jax.runs.trained_model import Trained


def build(backbone: str, *, norms: str = '', classes: int | None, **changes: Any) -> nn.Module:
    """A network `network(clip, train) -> logits`, [B T H W 3] to [B K], as released but for what is said here.

    Args:
      backbone: a key of `models.MODELS`: 'resnet50', 'tsm_resnet50'.
      norms: a preset of `norms.PRESETS`, or a word of `norms.NORMS` for each convolution of a block, as in
        'cross_layer,cross_temporal,batch'; '' for that of the paper, 'dnr'.
      classes: K; None for the features before the head, [B T' H' W' C].
      changes: other keys of `config.model`: `width=32, norm={'stride': 4}`.
    Raises ValueError for an unknown name or key and for a value out of its range.
    """
    config = changed(base.get_config(f'{backbone},{norms}'), {'model': changes})
    config_ranges.expect(config)
    return models.build(**config.model.to_dict(), classes=classes)


def load(workdir: str | AnyPath, checkpoint: str | int = 'last', **changes: Any) -> 'Model':
    """The trained model of a work folder, on all devices.

    Args:
      checkpoint: 'last', 'best' or a step.
      changes: keys of its config that say how it is used: `test={'clips': 1, 'crops': 1}`.
    Raises ValueError if there is no such checkpoint, and for changes of what was trained.
    """
    mesh = parallel.make_mesh()
    return Model(whole.load(workdir, str(checkpoint), lambda config: changed(config, changes), mesh), mesh)


class Model:
    """A trained model, to ask about videos. What a question compiles is kept for the next one.

    A video is a file or a folder of frames; it is read by the test protocol of the checkpoint, and its views averaged.

    Attributes:
      label_names: of the classes, in the order of the logits.
      config: of the training, with what was changed for this use.
      network, variables: `network.apply(variables, clip, train=False)` are logits of clips of standardized pixels.
    """

    def __init__(self, found: Trained, mesh: parallel.Mesh):
        self.label_names, self.config = found.label_names, found.config
        self.network, self.variables = found.model, found.variables
        self._predict, self._features = whole.predictor(found, mesh), features.extractor(found, mesh)

    def predict(self, video: str | AnyPath) -> dict[str, float]:
        """The probability of each class by its name, the likeliest first; VideoError if the video cannot be read."""
        (prediction,) = self._predict([as_path(video)])
        if prediction.failure:
            raise prediction.failure
        likeliest_first = np.argsort(-prediction.logits, kind='stable')
        return {self.label_names[k]: float(prediction.probabilities[k]) for k in likeliest_first}

    def features(self, video: str | AnyPath) -> Float[np.ndarray, 'C']:
        """What the head reads: the features, averaged over space and time; VideoError if it cannot be read."""
        (found,) = self._features([as_path(video)])
        if found.failure:
            raise found.failure
        return found.features


def changed(config: ConfigDict, changes: Mapping[str, Any]) -> ConfigDict:
    """The config with these keys in the place of its own; ValueError for one that it has not, or of another kind."""
    try:
        config.update(changes)
    except (KeyError, AttributeError, TypeError) as error:
        words = ' '.join(str(error.args[0] if error.args else error).split())
        raise ValueError(f'Expected keys of configs/base.py with values of their kind: {words}') from error
    return config
