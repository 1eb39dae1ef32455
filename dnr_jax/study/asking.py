"""What is asked of which network, and how answers are kept."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.data.source import VideoSource
from dnr_jax.evaluation.checkpoint_score import as_scored
from dnr_jax.files import AnyPath, as_path, expect_writable, make_folder, written_whole
from dnr_jax.runs.trained_model import Trained
from dnr_jax.study import clips
from dnr_jax.study.clips import Clips
from dnr_jax.study.tracing import Relay, find_relays


class Asked(NamedTuple):
    """What a user asks for."""

    workdirs: tuple[str, ...]  # one, but of `order`
    checkpoint: str  # 'last', 'best' or a step
    adapt: Callable[[ConfigDict], ConfigDict]  # see `trained_model.load`
    out: str | None  # folder to write to; None for WORKDIR/study
    clips: int  # at most so many of the test split
    label: str | None  # class of the one clip, or ...
    id: str | None  # ... its id; the first one without either
    relay: str | None  # the one drawn by `motion`; where it is None, those that tell most
    layers: tuple[str, ...]  # patterns of layers that `ablate` takes together; () for all, each stage, each norm
    ablations: tuple[str, ...]

    @property
    def folder(self) -> AnyPath:
        """Where to write to."""
        make_folder(self.place)
        return self.place

    @property
    def place(self) -> AnyPath:
        """That folder, which may not be there yet."""
        return as_path(self.out) if self.out else as_path(self.workdirs[0]) / 'study'

    def load(self, workdir: str, mesh: parallel.Mesh) -> tuple[Trained, VideoSource]:
        """See `clips.load`; ValueError also if no answer could be written."""
        expect_writable(self.place)
        return clips.load(workdir, self.checkpoint, self.adapt, mesh)


class Study(NamedTuple):
    """One network with relays, ready to be asked."""

    found: Trained  # as eval.py would score it
    stored: Trained  # as its checkpoint has it
    source: VideoSource
    relays: list[Relay]
    mesh: parallel.Mesh
    about: dict[str, Any]

    @property
    def title(self) -> str:
        return f'{self.about["backbone"]} with {self.about["norms"]}, {self.about["data"]}'

    def over_clips(self, function: Callable) -> Callable:
        """See `clips.over_clips`."""
        return clips.over_clips(function, self.found.config, self.mesh)


def begin(asked: Asked) -> Study:
    """ValueError if there is no such checkpoint, or no relay in its network."""
    if len(asked.workdirs) != 1:
        raise ValueError(f'Expected one --workdir, got {len(asked.workdirs)}; several are for order.')
    mesh = parallel.make_mesh()
    stored, source = asked.load(asked.workdirs[0], mesh)
    found = as_scored(stored, mesh)
    size = found.config.test.size
    relays = find_relays(found.model, found.variables, (1, found.config.clip.frames, size, size, 3))
    return Study(found, stored, source, relays, mesh, about(asked.workdirs[0], found, source))


def about(workdir: str, found: Trained, source: VideoSource) -> dict[str, Any]:
    """What every answer says of the network and the data it was given for."""
    model = found.config.model
    return {
        'workdir': workdir,
        'step': found.step,
        'backbone': model.backbone,
        'norms': model.norms,
        'data': f'{found.config.data.name} {source.split}',
    }


def told(clip: Clips, found: Trained, logits: np.ndarray) -> dict[str, str]:
    """The one clip and what it is taken for."""
    return {
        'id': str(clip.id[0]),
        'label': found.label_names[clip.label[0]],
        'predicted': found.label_names[logits[0].argmax()],
    }


def sentence(clip: Mapping[str, str]) -> str:
    return f"clip {clip['id']} of '{clip['label']}', predicted '{clip['predicted']}'"


def save_json(path: AnyPath, results: Mapping[str, Any]) -> None:
    with written_whole(path) as unfinished:
        unfinished.write_text(json.dumps(results, indent=2) + '\n')


def save_arrays(path: AnyPath, arrays: Mapping[str, np.ndarray]) -> None:
    with written_whole(path) as unfinished:
        np.savez_compressed(unfinished, **arrays)
