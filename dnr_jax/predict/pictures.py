"""What is drawn of every predicted video: an mp4 with the running prediction, a picture of where the network looked."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from dnr_jax import parallel
from dnr_jax.data import storage
from dnr_jax.data.sampling import SAMPLINGS
from dnr_jax.files import AnyPath, written_whole
from dnr_jax.models.pixels import normalize_pixels
from dnr_jax.predict import running, saliency
from dnr_jax.predict.annotation import annotate
from dnr_jax.predict.whole import AS_IT_IS, Prediction, read
from dnr_jax.registry import choose
from dnr_jax.runs.trained_model import Trained

Draw = Callable[[Prediction, AnyPath], None]  # what is drawn of a predicted video at that path, with another ending


def annotating(found: Trained, *, top: int, mesh: parallel.Mesh) -> tuple[Draw, str]:
    """(what writes PATH.running.mp4, the way in which predictions go on, see `running.follow`)."""
    follow, way = running.follow(found, mesh=mesh)

    def write(prediction: Prediction, target: AnyPath) -> None:
        frames = running.every_frame(prediction.path)
        fps = running.frame_rate(prediction.path)
        video = annotate(frames, follow(prediction.path), found.label_names, top=top, fps=fps)
        with written_whole(target.with_name(f'{target.name}.running.mp4')) as unfinished:
            unfinished.write_bytes(video)

    return write, way


def mapping(found: Trained, *, layer: str | None, label: str | None) -> Draw:
    """What writes PATH.maps.png, of the middle clip.

    Args:
      layer: see `saliency.layers`; None takes `saliency.deepest`.
      label: name of the class that speaks; None takes the predicted one of every video.
    Raises ValueError for a layer or a class that there is not.
    """
    config, size = found.config, found.config.test.size
    shapes = saliency.layers(found.model, found.variables, (1, config.clip.frames, size, size, 3))
    layer = layer or saliency.deepest(shapes)
    choose(shapes, layer, 'layer')
    wanted = None if label is None else choose({name: i for i, name in enumerate(found.label_names)}, label, 'class')

    @jax.jit
    def map_of(variables, clip, label):
        pixels = normalize_pixels(clip[None], **config.pixels.to_dict())
        return saliency.maps(found.model, variables, pixels, label[None], layer=layer)[0]

    def write(prediction: Prediction, target: AnyPath) -> None:
        label = int(prediction.logits.argmax()) if wanted is None else wanted
        frames = middle_frames(prediction.path, found)
        clip = running.centre(frames, config)
        heat = np.asarray(map_of(found.variables, clip, jnp.int32(label)))
        share = float(prediction.probabilities[label])
        title = f'{prediction.path.name}: {layer} for {found.label_names[label]}, {share:.1%}'
        title += '' if heat.any() else '; nothing there speaks for it'
        seen = running.seen_of(*frames.shape[1:3], config)
        saliency.draw(target.with_name(f'{target.name}.maps.png'), frames, heat, seen, title)

    return write


def middle_frames(path: AnyPath, found: Trained) -> UInt8[np.ndarray, 'T H W C']:
    """The frames of the clip of a protocol of one clip, as they are in the video."""
    record, clip = read(path), found.config.clip
    sample = partial(SAMPLINGS[clip.sampling].evaluate, frames=clip.frames, stride=clip.stride, clips=1)
    return storage.read_frames(record, sample(record['num_frames']), AS_IT_IS.frame_step)
