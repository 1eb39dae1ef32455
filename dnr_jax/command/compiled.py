"""Programs that JAX has compiled, kept from one command to the next, for compiling is most of a short wait.

They lie in the user's cache folder, unless JAX_COMPILATION_CACHE_DIR has a place for them already. What goes wrong with
them is no reason to end: the command compiles, as it would without them.

A stored program is code. The folder belongs to those who may run what they like as this user.
"""

import os
import re
import sys
import warnings
from glob import escape
from pathlib import Path

from dnr_jax.command.terminal import tell
from dnr_jax.files import expect_local

MOST_BYTES = 2**30  # when a command begins; then those go that were not used for longest
LEAST_SECONDS = 0.1  # that a program took to compile, to be kept
PROGRAM = re.compile('.+-[0-9a-f]{64}-cache')  # how JAX calls its file; the folder may hold others
FAILED = re.compile("Error (reading|writing) persistent compilation cache entry for '(.+?)': (.*)", re.DOTALL)


def folder_of_user() -> Path:
    """Where programs are kept if nothing else is said; XDG_CACHE_HOME as in the XDG Base Directory Specification."""
    return Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache').expanduser() / 'dnr_jax' / 'compiled'


def keep(asked: str | None, by_several: bool = False) -> None:
    """From now on JAX keeps what it compiles in that folder, and takes from there what it has compiled before.

    None is the folder of the user, but the settings of JAX_COMPILATION_CACHE_DIR where they are made; '' keeps nothing.
    Several processes keep only what is asked for. Their hosts may have disks of their own, of which JAX writes to that
    of process 0 alone; on GPUs, where processes choose kernels together, the others would wait for what it has found.
    ValueError for a URL: JAX alone would keep that folder.
    """
    theirs = os.environ.get('JAX_COMPILATION_CACHE_DIR', '')
    if asked is None and (theirs or by_several):
        if '://' in theirs and 'JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES' not in os.environ:
            import jax

            jax.config.update('jax_persistent_cache_enable_xla_caches', 'none')  # XLA itself knows no buckets, and ends
        return
    import jax

    folder = folder_of_user() if asked is None else None
    if asked:
        folder = expect_local(asked, '--compilation_cache').expanduser()
    if folder:
        try:
            expect_room(folder)
        except OSError as error:
            tell(f'note: compiled programs are not kept: {error}', file=sys.stderr)
            folder = None
    jax.config.update('jax_compilation_cache_dir', str(folder) if folder else None)
    if folder:
        if 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS' not in os.environ:
            jax.config.update('jax_persistent_cache_min_compile_time_secs', LEAST_SECONDS)
        mend_failures(folder)


def environment() -> dict[str, str]:
    """What tells a process that is started from here to keep programs where this one does."""
    import jax

    folder = jax.config.jax_compilation_cache_dir
    least = jax.config.jax_persistent_cache_min_compile_time_secs
    told = {'JAX_COMPILATION_CACHE_DIR': folder, 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': str(least)}
    return told if folder else {}


def expect_room(folder: Path) -> None:
    """Makes the folder, or room in it; OSError where it cannot be written."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"the folder '{folder}' cannot be written")
    shrink(folder, MOST_BYTES)


def shrink(folder: Path, most: int) -> None:
    """Removes the programs that were not used for longest until the others have at most that many bytes.

    One is used when it is written and when it is read; most disks note reads once a day.
    """
    found = []
    for path in folder.glob('*-cache'):
        try:
            about = path.stat()
        except FileNotFoundError:  # another command makes room as well
            continue
        if PROGRAM.fullmatch(path.name):
            found.append((max(about.st_atime, about.st_mtime), about.st_size, path))
    for _, size, path in sorted(found, reverse=True):
        most -= size
        if most < 0:
            path.unlink(missing_ok=True)


def mend_failures(folder: Path) -> None:
    """A program that cannot be read or written is removed, with its namesakes: JAX never writes one that is there.

    Where a process was killed while it wrote, or a disk was full, a part of one is left. JAX warns of these; one note
    is left for what cannot be written.
    """
    show, told = warnings.showwarning, []

    def mend(message, category, filename, lineno, file=None, line=None):
        failed = FAILED.match(str(message))
        if not failed:
            return show(message, category, filename, lineno, file, line)
        for path in folder.glob(f'{escape(failed[2])}-*-cache'):
            path.unlink(missing_ok=True)
        if failed[1] == 'writing' and not told:
            told.append(failed[3])
            tell(f'note: compiled programs are not kept: {failed[3]}', file=sys.stderr)

    warnings.showwarning = mend
