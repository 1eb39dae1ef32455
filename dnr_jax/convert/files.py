"""Arrays by key, in files: .pth of PyTorch, .safetensors, .npz. Their libraries are needed for their kind alone.

A checkpoint of a training holds more than its weights, and often several sets of them, such as a moving average beside
the parameters. `sets` finds all by what they stand under, 'model', 'model_ema', 'ema.module'; '' is the file itself.
"""

import importlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import ml_dtypes  # noqa: F401, of JAX: with it, NumPy knows bfloat16
import numpy as np

from dnr_jax.convert import pytorch
from dnr_jax.files import AnyPath, as_path, local_copy, make_folder, written_whole
from dnr_jax.registry import choose

# What weights stand under, beside an optimizer and the like; the first of these that is there.
WEIGHTS = ('', 'state_dict', 'model_state', 'model_state_dict', 'model')

Arrays = Mapping[str, Any]  # of NumPy or PyTorch


def read(path: str | AnyPath, key: str | None = None) -> dict[str, np.ndarray]:
    """The set of arrays under `key`, or that of the weights, floating-point ones as float32."""
    found = sets(path)
    return as_numpy(found[chosen(found, key, path)], path)


def sets(path: str | AnyPath) -> dict[str, Arrays]:
    """All sets of arrays in a file; ValueError if it cannot be read, or holds none."""
    path = as_path(path).expanduser()
    read_kind = choose(READERS, path.suffix.lower(), 'kind of file')
    if not path.is_file():
        raise ValueError(f"Expected a file of weights at '{path}', found none.")
    with local_copy(path) as file:
        loaded = read_kind(file)
    if found := dict(sets_within(loaded, '', set())):
        return found
    items = loaded.items() if isinstance(loaded, Mapping) else ()
    others = [f'{type(value).__name__} at {key!r}' for key, value in items if not (is_array(value) and is_text(key))]
    raise ValueError(f"Expected tensors by key in '{path}', got {listed(others) or type(loaded).__name__}.")


def sets_within(loaded: Any, name: str, seen: set[int]) -> Iterator[tuple[str, Arrays]]:
    """Mappings of text to nothing but arrays, at any depth; `seen` are the ids of mappings that were looked into."""
    if not isinstance(loaded, Mapping) or not all(map(is_text, loaded)):  # states of optimizers go by number
        return
    if loaded and all(map(is_array, loaded.values())):
        yield name, loaded
    elif id(loaded) not in seen:
        seen.add(id(loaded))
        for key, value in loaded.items():
            yield from sets_within(value, f'{name}.{key}' if name else key, seen)


def chosen(found: Mapping[str, Arrays], key: str | None, path: str | AnyPath) -> str:
    """What is asked for, or what the weights stand under; ValueError if it is not there, or nothing tells."""
    if key is not None:
        choose(found, key, f"key of weights in '{path}'")
        return key
    if not found.keys() & set(WEIGHTS) and len(found) > 1:
        raise ValueError(f"'{path}' holds weights under {listed(found)}; say which: --key={next(iter(found))}.")
    return likeliest(found)


def likeliest(found: Mapping[str, Arrays]) -> str:
    return next((key for key in WEIGHTS if key in found), next(iter(found)))


def listed(names: Iterable[str]) -> str:
    """The first of them."""
    names = list(names)
    return f'{", ".join(names[:3])}{", ..." if len(names) > 3 else ""}'


def is_text(key: Any) -> bool:
    return isinstance(key, str)


def is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or pytorch.is_tensor(value)


def as_numpy(arrays: Arrays, path: str | AnyPath) -> dict[str, np.ndarray]:
    """The arrays, floating-point ones as float32; ValueError, naming it, for one that holds no numbers."""
    found = {}
    for key, value in arrays.items():
        array = value if isinstance(value, np.ndarray) else pytorch.to_numpy(value, key, path)
        if array.dtype.kind not in 'biuf' and not np.can_cast(array.dtype, np.float32):
            raise ValueError(f"Expected numbers at '{key}' in '{path}', got {array.dtype}.")
        found[key] = as_float32(array)
    return found


def as_float32(array: np.ndarray) -> np.ndarray:
    return array if np.issubdtype(array.dtype, np.integer) else array.astype(np.float32, copy=False)


def write(path: str | AnyPath, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays by key, whole or not at all; ValueError for an unknown kind of file."""
    path = as_path(path).expanduser()
    write_kind = choose(WRITERS, path.suffix, 'kind of file')
    make_folder(path.parent)
    with written_whole(path) as unfinished:
        write_kind(unfinished, arrays)


def read_torch(path: Path) -> Any:
    torch = library('torch', path)
    try:
        return pytorch.read(torch, path)
    except pytorch.ForeignObjects as found:
        inside = dict(sets_within(found.contents, '', set()))
        weights = ''.join(f"['{part}']" for part in likeliest(inside).split('.') if part) if inside else '[KEY]'
        raise ValueError(
            f"'{path}' holds {listed(found.names)} beside tensors, which are all that is read: nothing in it is "
            f"executed. If you trust it, save its tensors alone: loaded = torch.load('{path.name}', "
            f"weights_only=False); torch.save(loaded{weights}, 'weights.pth'), of a whole network its state_dict()."
        ) from found


def read_safetensors(path: Path) -> Arrays:
    safetensors = library('safetensors', path)
    try:
        return library('safetensors.numpy', path).load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(f"'{path}' cannot be read: {error}") from error


def read_npz(path: Path) -> Arrays:
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


# .pyth is of PySlowFast and PyTorchVideo, .ckpt of Lightning, .tar of .pth.tar.
READERS = dict.fromkeys(('.pth', '.pt', '.pyth', '.ckpt', '.bin', '.tar'), read_torch) | {
    '.safetensors': read_safetensors,
    '.npz': read_npz,
}
WRITERS = {'.pth': write_torch, '.pt': write_torch, '.safetensors': write_safetensors, '.npz': write_npz}
