"""The seconds of a training, over all the sessions that it took."""

import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from dnr_jax.files import written_whole

FILE = 'sessions.json'  # of a work folder: seconds of earlier sessions, and when the newest one began


def run(command: Sequence[str], workdir: Path) -> float:
    """Runs a training to its end; its seconds, those of stopped sessions up to the last line of their metrics.jsonl.

    CalledProcessError if it fails.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    note, metrics, spent = workdir / FILE, workdir / 'metrics.jsonl', 0.0
    if note.exists() and metrics.exists():
        before = json.loads(note.read_text())
        spent = before['spent'] + max(0.0, metrics.stat().st_mtime - before['began'])
    began = time.time()
    with written_whole(note) as unfinished:
        unfinished.write_text(json.dumps({'spent': spent, 'began': began}))
    subprocess.run(command, check=True)
    return round(spent + time.time() - began, 1)
