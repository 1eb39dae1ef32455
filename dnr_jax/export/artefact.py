"""A checkpoint as FILE and FILE.json, written once they are known to be right.

Before they take their place, another process runs them on clips of the test split at two batch sizes, see `check`.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jaxlib
from jax import export
from ml_collections import ConfigDict

from dnr_jax import parallel, streaming
from dnr_jax.command.bars import bar
from dnr_jax.data.sampling import as_taken, pace_of_streams
from dnr_jax.evaluation.checkpoint_score import as_scored
from dnr_jax.export import check, programs
from dnr_jax.files import AnyPath, as_path, expect_writable, make_folder, written_together
from dnr_jax.registry import choose
from dnr_jax.runs import trained_model

PLATFORMS = ('cpu', 'cuda', 'rocm', 'tpu')


def export_checkpoint(
    workdir: str | AnyPath,
    which: str,
    adapt: Callable[[ConfigDict], ConfigDict],
    out: str | AnyPath,
    *,
    platforms: Sequence[str],
    stream: bool,
    horizon: int | None,
    check_clips: int,
) -> dict[str, Any]:
    """Writes a checkpoint to `out` and what there is to know of it to `out`.json, checked; returns the latter.

    Args:
      which, adapt: see `trained_model.load`.
      platforms: of PLATFORMS, with 'cpu', on which it is checked.
      stream: whether one step of a stream is exported, in place of whole clips.
      horizon: of a stream, see `streaming.endless`; None for the frame groups of a clip.
      check_clips: clips of the test split to check it with, at least 2; random ones for 0, or where there is no data.
    Raises ValueError for mistakes, ExportError if the logits are not those of the checkpoint; nothing is written then.
    """
    out = as_path(out)
    expect(out, platforms, stream, horizon, check_clips)
    mesh = parallel.make_mesh()
    found = as_scored(trained_model.load(workdir, which, adapt, mesh), mesh)
    if stream and horizon is None:
        horizon = streaming.groups_of(found.model, found.config.clip.frames)
    program = programs.of_streams(found, horizon) if stream else programs.of_clips(found)
    clips, origin = check.clips_of(found.config, check_clips)
    if stream:
        clips = check.whole_groups(clips, found)
    with bar(2, 'lowering and checking', ' steps', leave=False) as shown:
        exported = lower(program, platforms)
        shown.update()
        serialized = exported.serialize()
        about = describe(exported, found) | {
            **({'horizon': horizon, 'pace': pace_of_streams(**found.config.clip)} if stream else {}),
            'file': out.name,
            'bytes': len(serialized),
            'sha256': hashlib.sha256(serialized).hexdigest(),
        }
        make_folder(out.parent)
        with written_together(out, out.with_name(f'{out.name}.json')) as (file, beside):
            file.write_bytes(serialized)
            beside.write_text(json.dumps(about))
            expected = check.logits_of_checkpoint(found, clips, stream, horizon)
            about['check'] = {
                'clips': origin,
                'batch_sizes': [1, len(clips)],
                'greatest_difference': check.greatest_difference(file, clips, expected, found.config.model.dtype),
            }
            beside.write_text(json.dumps(about, indent=2) + '\n')
        shown.update()
    return about


def expect(out: AnyPath, platforms: Sequence[str], stream: bool, horizon: int | None, check_clips: int) -> None:
    """Raises ValueError for what can be known to fail before anything is read."""
    for platform in platforms:
        choose(dict.fromkeys(PLATFORMS), platform, 'platform')
    if 'cpu' not in platforms:
        raise ValueError(f'What is exported is checked on the CPU: expected cpu among --platforms, got {platforms}.')
    if check_clips < 0 or check_clips == 1:
        raise ValueError(f'Expected --check_clips of 0, for random clips, or 2 and more, got {check_clips}.')
    if horizon is not None and (horizon < 0 or not stream):
        raise ValueError(f'A horizon is that of a stream: expected 0 or more, with --streaming, got {horizon}.')
    if out.is_dir():
        raise ValueError(f'Expected --out to name a file, got the folder {out}.')
    expect_writable(out.parent)


def lower(program: programs.Program, platforms: Sequence[str]) -> export.Exported:
    """The program for any number B of clips."""
    (B,) = export.symbolic_shape('B')
    takes = jax.tree.map(lambda of: jax.ShapeDtypeStruct((B, *of.shape), of.dtype), program.takes)
    return export.export(jax.jit(jax.vmap(program.call)), platforms=tuple(platforms))(*takes)


def describe(exported: export.Exported, found: trained_model.Trained) -> dict[str, Any]:
    """Shapes by the names of `alone`, how clips are made, where it comes from, and what reads it."""
    config = found.config
    *carry, frames = jax.tree.map(described, jax.tree.unflatten(exported.in_tree, exported.in_avals)[0])
    return {
        'input': frames | {'is': 'RGB frames after resize and crop; pixels are normalized inside'},
        **({'carry': carry[0]} if carry else {}),
        'output': described(exported.out_avals[-1]) | {'is': 'logits'},
        'labels': list(found.label_names),
        'sampling': as_taken(**config.clip),
        'crop': {
            'short_side': config.test.short_side,
            'size': config.test.size,
            'is': 'short side resized bilinearly, then the centre',
        },
        'pixels': config.pixels.to_dict(),
        'model': {name: config.model[name] for name in ('backbone', 'norms', 'width', 'dtype')},
        'trained': {'data': config.data.name, 'step': found.step},
        'platforms': list(exported.platforms),
        'calling_convention_version': exported.calling_convention_version,
        'jax': jax.__version__,
        'jaxlib': jaxlib.__version__,
    }


def described(of: jax.core.ShapedArray) -> dict[str, Any]:
    """Shape and type, for JSON; 'B' for any number."""
    return {'shape': [n if isinstance(n, int) else str(n) for n in of.shape], 'dtype': of.dtype.name}


def to_text(about: dict[str, Any]) -> str:
    """What was written, in a few lines."""
    trained_as = '{backbone}, norms {norms}'.format(**about['model'])
    call = 'carry, logits = call(carry, frames)' if 'carry' in about else 'logits = call(clip)'
    return '\n'.join([
        f'{about["file"]}: {about["bytes"] / 1e6:.1f} MB, {trained_as}, step {about["trained"]["step"]}, for '
        f'{", ".join(about["platforms"])}',
        f'  {call}',
        f'  in   {about["input"]["dtype"]} {" ".join(map(str, about["input"]["shape"]))}: {about["input"]["is"]}',
        f'  out  {about["output"]["dtype"]} {" ".join(map(str, about["output"]["shape"]))}: {about["output"]["is"]}',
        f'run by JAX alone at batch sizes {about["check"]["batch_sizes"]}, on {about["check"]["clips"]}: logits differ '
        f'from those of the checkpoint by {about["check"]["greatest_difference"]:.1e} at most',
    ])  # fmt: skip
