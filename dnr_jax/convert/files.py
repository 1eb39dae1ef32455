"""Arrays by key, in files: .pth of PyTorch, .safetensors, .npz. Their libraries are needed for their kind alone."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import ml_dtypes  # noqa: F401, of JAX: with it, NumPy knows bfloat16
import numpy as np

from dnr_jax.files import written_whole
from dnr_jax.registry import choose

# Under which key of a checkpoint its arrays are, beside an optimizer and the like.
ENVELOPES = ('state_dict', 'model_state', 'model')


def read(path: str | Path) -> dict[str, np.ndarray]:
    """All arrays of a file, floating-point ones as float32; ValueError if it cannot be read, or holds other things."""
    path = Path(path).expanduser()
    read_kind = choose(READERS, path.suffix, 'kind of file')
    if not path.is_file():
        raise ValueError(f"Expected a file of weights at '{path}', found none.")
    return {key: as_float32(array) for key, array in read_kind(path).items()}


def write(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays by key, whole or not at all; ValueError for an unknown kind of file."""
    path = Path(path).expanduser()
    write_kind = choose(WRITERS, path.suffix, 'kind of file')
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as unfinished:
        write_kind(unfinished, arrays)


def as_float32(array: np.ndarray) -> np.ndarray:
    return array if np.issubdtype(array.dtype, np.integer) else array.astype(np.float32)


def read_torch(path: Path) -> dict[str, np.ndarray]:
    torch = library('torch', path)
    try:
        loaded = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # many kinds, by what is wrong with the file
        raise ValueError(
            f"'{path}' is damaged, or holds more than tensors, which are all that is read: nothing in it is executed. "
            "If you trust it, load it elsewhere and save its tensors alone: torch.save(loaded['state_dict'], ...)."
        ) from error
    tensors = unwrapped(loaded, path)
    others = [key for key, value in tensors.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise ValueError(f"Expected tensors by key in '{path}', got something else at {', '.join(map(str, others))}.")
    return {key: (tensor.float() if tensor.is_floating_point() else tensor).numpy() for key, tensor in tensors.items()}


def unwrapped(loaded: Any, path: Path) -> Mapping[str, Any]:
    """The mapping of tensors within a checkpoint."""
    if not isinstance(loaded, Mapping):
        raise ValueError(f"Expected tensors by key in '{path}', got {type(loaded).__name__}.")
    for envelope in ENVELOPES:
        if isinstance(loaded.get(envelope), Mapping):
            return loaded[envelope]
    return loaded


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    safetensors = library('safetensors', path)
    try:
        return library('safetensors.numpy', path).load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(f"'{path}' cannot be read: {error}") from error


def read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception as error:  # many kinds, by what is wrong with the file
        raise ValueError(f"'{path}' cannot be read as arrays: {error}") from error


def write_torch(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    torch = library('torch', path)
    torch.save({'state_dict': {key: torch.tensor(array) for key, array in arrays.items()}}, path)


def write_safetensors(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    library('safetensors.numpy', path).save_file(dict(arrays), path)


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    np.savez(path, **arrays)


def library(name: str, path: Path) -> ModuleType:
    """The module; ValueError, naming what to install, if it is not there."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition('.')[0]
        raise ValueError(
            f"Files like '{path.name}' take {package}, which is not installed: pip install {package}."
        ) from error


# .pyth is of PySlowFast and PyTorchVideo, .tar of .pth.tar.
READERS = dict.fromkeys(('.pth', '.pt', '.pyth', '.tar'), read_torch) | {
    '.safetensors': read_safetensors,
    '.npz': read_npz,
}
WRITERS = {'.pth': write_torch, '.pt': write_torch, '.safetensors': write_safetensors, '.npz': write_npz}
