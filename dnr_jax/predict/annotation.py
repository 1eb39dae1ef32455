"""A video with what a model makes of it below every frame: the best classes at that moment, a bar for each.

The panel hides nothing of the frame; small frames are enlarged until it can be read. Colours are told apart by every
eye.
"""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from scipy.special import softmax

from dnr_jax.data.video.encoding import reencode
from dnr_jax.predict.running import Running

Frame = UInt8[np.ndarray, 'H W C']

LEAST_WIDTH = 480  # pixels of the result; what follows are pixels at this width, and grow with it
MARGIN, ROW, BAR = 10, 32, 6
FONT, FONT_SIZE, STROKE = cv2.FONT_HERSHEY_SIMPLEX, 0.55, 1
BACKGROUND, TEXT, TRACK = (24, 24, 24), (255, 255, 255), (72, 72, 72)
BEST, OTHERS = (230, 159, 0), (86, 180, 233)
KEYFRAME_INTERVAL, QUALITY = 30, 20  # of the result


def annotate(
    frames: Iterable[Frame],
    running: Iterable[Running],
    label_names: Sequence[str],
    *,
    top: int,
    fps: Fraction | int,
) -> bytes:
    """An mp4 file of the frames, each with the prediction of what had been seen until then.

    Args:
      running: predictions in order of time, see `running`.
      top: classes shown.
      fps: frames a second.
    """
    drawn = below_each(frames, running, label_names, top=min(top, len(label_names)))
    return reencode(drawn, short_side=0, keyframe_interval=KEYFRAME_INTERVAL, quality=QUALITY, fps=fps)


def below_each(
    frames: Iterable[Frame], running: Iterable[Running], label_names: Sequence[str], *, top: int
) -> Iterator[Frame]:
    """The frames with their panels, of even height and width; empty bars before the first prediction."""
    running, probabilities = iter(running), np.zeros(len(label_names), np.float32)
    following = next(running, None)
    for number, frame in enumerate(frames, start=1):
        while following and following[0] <= number:
            probabilities, following = softmax(following[1]), next(running, None)
        frame = enlarged(frame)
        yield np.concatenate([frame, panel(frame.shape[1], probabilities, label_names, top)])


def enlarged(frame: Frame) -> UInt8[np.ndarray, 'H2 W2 C']:
    """A frame of even sides, LEAST_WIDTH wide or more."""
    scale = max(1, LEAST_WIDTH / frame.shape[1])
    height, width = (round(scale * side / 2) * 2 for side in frame.shape[:2])
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC)


def panel(width: int, probabilities: Float[np.ndarray, 'K'], label_names: Sequence[str], top: int) -> Frame:
    """Name, share and bar of the best classes; those of no share have no name."""
    scale = width / LEAST_WIDTH
    margin, row, bar = (round(scale * of) for of in (MARGIN, ROW, BAR))
    image = np.full(((2 * margin + top * row) // 2 * 2, width, 3), BACKGROUND, np.uint8)
    for place, label in enumerate(np.argsort(-probabilities, kind='stable')[:top]):
        bottom, share = margin + (place + 1) * row, float(probabilities[label])
        right = margin + round(share * (width - 2 * margin))
        cv2.rectangle(image, (margin, bottom - bar), (width - margin, bottom), TRACK, cv2.FILLED)
        if share == 0:
            continue
        cv2.rectangle(image, (margin, bottom - bar), (right, bottom), OTHERS if place else BEST, cv2.FILLED)
        percent = f'{share:.0%}'
        room = width - 3 * margin - text_width(percent, scale)
        write(image, shortened(label_names[label], room, scale), margin, bottom - 2 * bar, scale)
        write(image, percent, width - margin - text_width(percent, scale), bottom - 2 * bar, scale)
    return image


def write(image: Frame, text: str, left: int, bottom: int, scale: float) -> None:
    thickness = max(STROKE, round(scale * STROKE))
    cv2.putText(image, text, (left, bottom), FONT, scale * FONT_SIZE, TEXT, thickness, cv2.LINE_AA)


def text_width(text: str, scale: float) -> int:
    return cv2.getTextSize(text, FONT, scale * FONT_SIZE, STROKE)[0][0]


def shortened(text: str, width: int, scale: float) -> str:
    """The text, or as much of its beginning as has room, and dots."""
    if text_width(text, scale) <= width:
        return text
    while text and text_width(f'{text}...', scale) > width:
        text = text[:-1]
    return f'{text}...'
