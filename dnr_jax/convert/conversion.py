"""From a file of weights to a sealed checkpoint that scores and begins trainings, every array accounted for; and back.

Nothing is written where an array is unexplained.
"""

import re
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from ml_collections import ConfigDict

from dnr_jax import models, parallel
from dnr_jax.convert import files, layout
from dnr_jax.convert.schemes import EPSILON, SCHEMES, SKIP, TO_DNR, Scheme, path_of, replaced
from dnr_jax.files import AnyPath, as_path, expect_writable
from dnr_jax.models.resnet import RESNETS, BottleneckBlock
from dnr_jax.norms.words import PRESETS, norm_slots
from dnr_jax.registry import choose
from dnr_jax.runs import config_ranges, trained_model, transfer
from dnr_jax.runs.transfer import Entry

REMEDY = 'Nothing was written. The network is that of --config=FILE:BACKBONE,NORMS with --config.clip.frames.'
HEAD_BIAS = 'params/head/linear/bias'

# What is written into the released code, by keys of the config.
RELEASED = {
    'model.width': 64,
    'model.standardize_weights': False,
    'model.norm.stride': 2,
    'model.norm.reduction': 4,
    'model.norm.running_per_hop': False,
    'model.norm.epsilon': 1e-5,
    'clip.frames': 8,
}

Arrays = Mapping[str, np.ndarray]


def convert(
    source: str,
    file: str | AnyPath,
    config: ConfigDict,
    label_names: Sequence[str] | None,
    out: str | AnyPath,
    *,
    key: str | None = None,
) -> str:
    """Writes the weights of a file as OUT/checkpoints/0, and returns the account of them, to read.

    Args:
      source: a key of SCHEMES, how the keys of the file are named.
      config: of the network, kept with the checkpoint; `pixels` become those of the source.
      label_names: of the classes in the order of the labels; None numbers them.
      key: of the set of arrays, where a file holds several, see `files`; None takes the weights.
    Raises ValueError for what is unexplained, for a number of names other than that of the classes, for standardized
    kernels, and for an `out` that holds checkpoints.
    """
    config_ranges.expect(config)
    expect_plain_kernels(config)
    scheme, out = choose(SCHEMES, source, 'source of weights'), as_path(out).expanduser()
    if (out / 'checkpoints').exists():
        raise ValueError(f"'{out}' holds checkpoints already; give another --out.")
    expect_writable(out)
    sets = files.sets(file)
    taken = files.chosen(sets, key, file)
    found = by_path(files.as_numpy(sets[taken], file), scheme)
    classes = found[HEAD_BIAS][1].size if HEAD_BIAS in found else None
    config = config.copy_and_resolve_references()
    if scheme.pixels:
        config.pixels.update(scheme.pixels)
    expect_keys_of(source, [name for name, _ in found.values()], config, str(file))
    label_names = names_of_classes(classes, label_names)
    variables, entries = fit(found, config, len(label_names), scheme, str(file))
    about = {'config': config.to_dict(), 'label_names': label_names, 'fingerprints': {}}
    trained_model.save(variables, about, out)
    lines = [f'{file} as {config.model.backbone}, norms {config.model.norms}:', transfer.to_text(entries)]
    if others := [name for name in sets if name != taken]:
        lines.append(f"beside '{taken}', the file holds {', '.join(others)}: --key={others[0]} takes that")
    return '\n'.join(lines)


def expect_plain_kernels(config: ConfigDict) -> None:
    """Raises ValueError for a network of standardized kernels: by these, the weights of a source are another one."""
    if config.model.standardize_weights:
        raise ValueError(
            'Networks of all sources convolve by their kernels as they are: expected '
            'config.model.standardize_weights=False, got True. Begin a training of standardized ones with the result, '
            '--config.init_from.'
        )


def by_path(arrays: Arrays, scheme: Scheme) -> dict[str, tuple[str, np.ndarray]]:
    """(key, array) by path in our variables; ValueError for two keys of one path."""
    found = {}
    for key, array in arrays.items():
        path = path_of(key, scheme.rules)
        if path in found:
            raise ValueError(f"'{key}' and '{found[path][0]}' would both become {path}; give a file of one network.")
        found[path] = key, array
    return found


def names_of_classes(classes: int | None, label_names: Sequence[str] | None) -> tuple[str, ...]:
    """One name for each class of the source's classifier, if it has one; numbers where none are given."""
    if label_names is None and classes is None:
        raise ValueError('The source has no classifier: give the classes of a new one, --classes=FILE.')
    if label_names is None:
        return tuple(f'class {i}' for i in range(classes))
    if classes not in (None, len(label_names)):
        raise ValueError(
            f'Expected a name for each of the {classes} classes of the source, got {len(label_names)}. Without names '
            'they are numbered; a training on other classes begins with a classifier of its own.'
        )
    return tuple(label_names)


def initializer(config: ConfigDict, classes: int) -> Callable[[], dict[str, jax.Array]]:
    """What makes the initial variables of the network of a config, by path."""
    model = models.build(**config.model.to_dict(), classes=classes)
    clip = jnp.zeros((1, config.clip.frames, config.test.size, config.test.size, 3))
    return lambda: transfer.flat(model.init(jax.random.key(config.seed), clip, train=False))


def expect_keys_of(source: str, keys: Sequence[str], config: ConfigDict, file: str) -> None:
    """ValueError if more keys have their place in the network of a config by another source, or none has any."""
    wanted = jax.eval_shape(initializer(config, classes=1)).keys()
    known = {name: sum(path_of(key, scheme.rules) in wanted for key in keys) for name, scheme in SCHEMES.items()}
    best = max(known, key=known.get)
    if known[best] > known[source]:
        raise ValueError(
            f"{file} has the keys of '{best}', by which {known[best]} of {len(keys)} are those of the network, by "
            f"'{source}' {known[source]}: python -m dnr_jax.convert {best} FILE."
        )
    if not known[source]:
        raise ValueError(f"{file} has keys of which none is of '{source}': '{keys[0]}', ... {REMEDY}")


def fit(
    found: Mapping[str, tuple[str, np.ndarray]], config: ConfigDict, classes: int, scheme: Scheme, file: str
) -> tuple[dict, list[Entry]]:
    """Variables of the network of a config with the arrays in their places; ValueError for what is unexplained."""
    create = initializer(config, classes)
    wanted = transfer.shapes(jax.eval_shape(create))
    found = transfer.placed(found, wanted)
    arrays = {path: layout.to_ours(array, wanted.get(path, array.shape)) for path, (_, array) in found.items()}
    arrays |= at_our_epsilon(arrays, scheme, config.model.norm.epsilon)
    entries = transfer.compare(wanted, transfer.shapes(arrays), skip=SKIP, fresh=scheme.fresh)
    entries = [described(entry, found, arrays) for entry in entries]
    transfer.expect_explained(entries, file, REMEDY)
    for path in wanted:
        if path in arrays and np.issubdtype(arrays[path].dtype, np.integer):
            raise ValueError(f"Expected floating-point numbers at '{found[path][0]}' in {file}, got whole ones.")
    fresh = [path for path in wanted if path not in arrays]
    initial = jax.jit(lambda: {path: array for path, array in create().items() if path in fresh})() if fresh else {}
    variables = {path: initial[path] if path in initial else jnp.asarray(arrays[path]) for path in wanted}
    return unflatten_dict(variables, sep='/'), entries


def at_our_epsilon(arrays: Arrays, scheme: Scheme, epsilon: float) -> dict[str, np.ndarray]:
    """Running variances that take up by how much the epsilon of their source is another: evaluation stays the same."""

    def theirs(path: str) -> float:
        return next((of for pattern, of in scheme.epsilons if re.search(pattern, path)), EPSILON)

    return {
        path: array + np.float32(theirs(path) - epsilon)
        for path, array in arrays.items()
        if path.endswith('/statistics/var') and theirs(path) != epsilon and np.issubdtype(array.dtype, np.floating)
    }


def described(entry: Entry, found: Mapping[str, tuple[str, np.ndarray]], arrays: Arrays) -> Entry:
    """The entry under the key that the file has for it; of what is repeated along time, it says so."""
    if entry.name not in found:
        return entry
    key, array = found[entry.name]
    repeated = entry.kind == 'loaded' and array.ndim == 4 and arrays[entry.name].ndim == 5
    how = f'a 2D kernel, repeated over {len(arrays[entry.name])} frames' if repeated else entry.why
    return Entry(entry.kind, key, how)


def to_torch(workdir: str | AnyPath, which: str, file: str | AnyPath) -> str:
    """Writes a checkpoint of a work folder under the keys of the released code; returns what was written, in a line.

    ValueError for a network that the released code does not have.
    """
    expect_writable(as_path(file).parent)
    found = trained_model.load(workdir, which, lambda config: config, parallel.make_mesh())
    expect_released(found.config)
    arrays = {
        replaced(path.replace('/', '.'), TO_DNR): layout.to_pytorch(np.asarray(array))
        for path, array in transfer.flat(found.variables).items()
    }
    files.write(file, arrays)
    return f'{len(arrays)} arrays of {workdir}, step {found.step}, in {file}'


def expect_released(config: ConfigDict) -> None:
    """Raises ValueError unless the released code has the network of that config: keys alone do not tell."""
    backbones = [name for name, make in RESNETS.items() if BottleneckBlock in make.args]
    here = flatten_dict(config.to_dict(), sep='.')
    wrong = [f'{key}={here[key]}' for key, released in RELEASED.items() if here[key] != released]
    if here['model.backbone'] not in backbones:
        wrong.insert(0, f'model.backbone={here["model.backbone"]}')
    elif norm_slots(config.model.norms, 3) != PRESETS['dnr']:
        wrong.insert(0, f'model.norms={here["model.norms"]}')
    if wrong:
        settings = ', '.join(f'{key}={released}' for key, released in RELEASED.items())
        raise ValueError(
            f'The released code has {", ".join(backbones)} with norms {",".join(PRESETS["dnr"])} and {settings}; got '
            f'{", ".join(wrong)}. Nothing was written; python -m dnr_jax.export writes any network as one file.'
        )
