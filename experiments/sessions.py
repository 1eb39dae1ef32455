"""The seconds of a training, over all the sessions that it took, and the records that it was begun for."""

import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from dnr_jax.files import written_whole

FILE = 'sessions.json'  # of a work folder: seconds of earlier sessions, when the newest one began, and for what file


def run(command: Sequence[str], workdir: Path, into: Path) -> float:
    """Runs a training to its end; its seconds, those of stopped sessions up to the last line of their metrics.jsonl.

    CalledProcessError if it fails. ValueError if the training in the folder was begun for other records than those of
    the file `into`: what is recorded there was to be made anew.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    note, metrics, spent = workdir / FILE, workdir / 'metrics.jsonl', 0.0
    into = str(into.resolve())
    if note.exists() and metrics.exists():
        before = json.loads(note.read_text())
        begun_for = before.get('records', into)
        if begun_for != into:
            raise ValueError(
                f'Expected a training of {into} in {workdir}, got one that was begun for {begun_for}. Give another '
                '--workdir, in which all is made anew.'
            )
        spent = before['spent'] + max(0.0, metrics.stat().st_mtime - before['began'])
    began = time.time()
    with written_whole(note) as unfinished:
        unfinished.write_text(json.dumps({'spent': spent, 'began': began, 'records': into}))
    subprocess.run(command, check=True)
    return round(spent + time.time() - began, 1)
