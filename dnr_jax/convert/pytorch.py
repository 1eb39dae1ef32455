"""What is in a file that PyTorch has written, read without executing anything of it.

Such files are pickles, which can name any function to be called. Of them, PyTorch makes tensors and plain containers
alone. A checkpoint of a training often holds objects of other types beside its weights: for those that are known here
something empty is made in their place, none of them is called, and all others are refused.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np


class Unread:
    """Stands for an object of no interest: it takes what it is made of, and keeps nothing."""

    def __new__(cls, *args):
        return super().__new__(cls)

    def __init__(self, *args):
        pass

    def __setstate__(self, state):
        pass


class UnreadMapping:
    """Stands for a mapping of some type: what is made is a plain dict."""

    def __new__(cls, *args):
        return {}


# By their full names, of checkpoints of torchvision, timm, MMEngine and Lightning.
KNOWN = {
    'argparse.Namespace': Unread,
    'builtins.list': Unread,
    'datetime.datetime': Unread,
    'datetime.timedelta': Unread,
    'mmengine.logging.history_buffer.HistoryBuffer': Unread,
    'numpy.dtype': Unread,
    'numpy.ndarray': Unread,
    'numpy.core.multiarray.scalar': Unread,
    'numpy._core.multiarray.scalar': Unread,
    'numpy.core.multiarray._reconstruct': Unread,
    'numpy._core.multiarray._reconstruct': Unread,
    'pathlib.PosixPath': Unread,
    'pathlib.WindowsPath': Unread,
    'torch.torch_version.TorchVersion': Unread,
    'builtins.dict': UnreadMapping,
    'collections.defaultdict': UnreadMapping,
    'lightning.fabric.utilities.data.AttributeDict': UnreadMapping,
    'lightning_fabric.utilities.data.AttributeDict': UnreadMapping,
    'pytorch_lightning.utilities.parsing.AttributeDict': UnreadMapping,
}

MOST_FOREIGN = 20  # types that are told of; a file is read once more for each


class ForeignObjects(Exception):
    """A file holds objects of other types.

    Attributes:
      names: full names of these. contents: what was saved, with something empty in their place; None if that is not
        known.
    """

    def __init__(self, names: Sequence[str], contents: Any):
        super().__init__(names, contents)
        self.names, self.contents = names, contents


def read(torch: ModuleType, path: Path, foreign: Sequence[str] = ()) -> Any:
    """What was saved; ValueError if the file is damaged, ForeignObjects if it holds more than tensors and KNOWN.

    `foreign` are the names that were met so far: with something empty in their place, the reader gets further.
    """
    try:
        contents = load(torch, path, KNOWN | dict.fromkeys(foreign, Unread))
    except Exception as error:  # many kinds, by what is wrong with the file
        told = str(error.__context__ or error)  # of the reader itself, where PyTorch has wrapped it
        name = refused_in(told)
        if name and name not in foreign and len(foreign) < MOST_FOREIGN:
            return read(torch, path, (*foreign, name))
        if not foreign:
            raise ValueError(f"'{path}' {what_is_wrong(path, told)}.") from error
        contents = None
    if foreign:
        raise ForeignObjects(foreign, contents)
    return contents


def load(torch: ModuleType, path: Path, stand_ins: Mapping[str, type]) -> Any:
    with torch.serialization.safe_globals([(stand_in, name) for name, stand_in in stand_ins.items()]):
        return torch.load(path, map_location='cpu', weights_only=True)


def refused_in(told: str) -> str | None:
    """The full name of what the reader has refused, which leaves out `builtins`."""
    found = re.search(r'GLOBAL (\S+) w', told)
    return found and (found[1] if '.' in found[1] else f'builtins.{found[1]}')


def what_is_wrong(path: Path, told: str) -> str:
    """With a file of which the reader has told something: its first bytes show where it is of another kind."""
    with path.open('rb') as file:
        beginning = file.read(20)
    if 'TorchScript' in told:
        return 'holds a program of TorchScript: save the state_dict() of it'
    if not beginning:
        return 'is damaged: it is empty'
    if beginning.startswith((b'PK', b'\x80\x02')):
        return f'is damaged: {told.splitlines()[0].partition(". ")[0] if told else "it ends early"}'
    return f'is damaged, or no file of PyTorch: it begins with {beginning}'


def is_tensor(value: Any) -> bool:
    """Whether it is a tensor of PyTorch, which nothing can be where that was not loaded."""
    return 'torch' in sys.modules and isinstance(value, sys.modules['torch'].Tensor)


def to_numpy(tensor: Any, key: str, path: Path) -> np.ndarray:
    """A tensor as an array, floating-point ones as float32; ValueError for one that has no numbers of its own."""
    torch = sys.modules['torch']
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.is_meta:
        kind = f'{tensor.dtype}, {tensor.layout}, on {tensor.device}'
        raise ValueError(f"Expected a tensor of real numbers, all there, at '{key}' in '{path}', got {kind}.")
    if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
        raise ValueError(f"'{key}' in '{path}' claims to be {list(tensor.shape)}, of which the file holds only a part.")
    tensor = tensor.detach()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
