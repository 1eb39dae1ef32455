"""What a trained model says of videos that belong to no data set: python -m dnr_jax.predict

`whole` predicts videos by the test protocol, as an evaluation does. `running` predicts a video while it goes on,
streamed (`dnr_jax.streaming`) or by clips that end here; `dnr_jax.data.video.live` reads frames of a source that need
not end. `annotation` draws the running prediction, `saliency` where the network looked, `pictures` does so for every
video. `features` has what the head reads, `output` the lines.
"""

__all__ = [
    'features',
    'running',
    'whole',
]
