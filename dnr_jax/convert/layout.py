"""How arrays lie: kernels of PyTorch are [O I ...space], ours [...space I O]; vectors are the same."""

import numpy as np


def to_ours(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A PyTorch array as one of ours, of that shape if it can be made so.

    A convolution over one frame or one position needs no axis for it. One of a 2D network that is to reach over k
    frames is repeated k times and divided by k, so that a still clip gives what a picture gave.
    Source of the latter: Carreira, Zisserman, CVPR 2017.
    """
    if array.ndim > 1:
        array = np.moveaxis(array, (1, 0), (-2, -1))
    while array.ndim > len(shape) and len(array) == 1:
        array = array[0]
    if is_inflated(array, shape):
        array = np.repeat(array[None], shape[0], axis=0) / np.float32(shape[0])
    return np.ascontiguousarray(array)


def is_inflated(array: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether a 2D kernel, laid out as ours, is to become one of that shape over several frames."""
    return array.ndim == 4 and array.shape == shape[1:]


def to_pytorch(array: np.ndarray) -> np.ndarray:
    """One of our arrays as PyTorch has it, for linear layers and 2D convolutions."""
    return np.ascontiguousarray(np.moveaxis(array, (-2, -1), (1, 0))) if array.ndim > 1 else array
