"""What an error means: a user's mistake, trouble of a device, a disk or another process, or a bug.

    line, status = faults.verdict(error)       # a line that helps, and how the command ends

Mistakes are what this package itself says of them: its own kinds of errors, and a ValueError that begins in it. One
that begins in a library is a bug, whatever the library calls it.
"""

import errno
import os
import re
import sys
import traceback
from pathlib import Path

from dnr_jax.command.ending import as_line
from dnr_jax.command.terminal import tell
from dnr_jax.files import machine

HERE = Path(__file__).parent.parent  # the package
TROUBLE_OF_DISKS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EIO,
    errno.ESTALE,
    errno.EACCES,
    errno.EPERM,
}
OF_ANOTHER_PROCESS = 'RemoteTraceback', '_RemoteTraceback'  # what pools of processes put behind an error


def verdict(error: Exception) -> tuple[str, int]:
    """What to say, and the exit status: 2 for a mistake or a lack of room, 1 for all else.

    The traceback of a bug is printed.
    """
    for of, status in ((of_device, 2), (of_peer, 1), (of_disk, 2)):
        if line := of(error):
            return line, status
    if began_in(error, HERE):
        return machine.told(error), 2
    tell(''.join(traceback.format_exception(error)).rstrip(), file=sys.stderr)
    return 'this is a bug; what it was doing is above', 1


def status(error: Exception) -> int:
    """Says what is wrong, and returns the exit status of a command that reads or writes what a user has named.

    There whatever a file system says is the user's to mend.
    """
    line, status = (machine.told(error), 2) if isinstance(error, OSError) else verdict(error)
    tell(as_line(line), file=sys.stderr)
    return status


def began_in(error: BaseException, *folders: Path) -> bool:
    """Whether the error is one of this package's own, or a ValueError or FloatingPointError of code in these folders.

    One of a worker process began where it was raised there.
    """
    if type(error).__module__.startswith('dnr_jax'):
        return True
    if not isinstance(error, ValueError | FloatingPointError):
        return False
    place = traceback.extract_tb(error.__traceback__)[-1].filename
    if type(error.__cause__).__name__ in OF_ANOTHER_PROCESS:
        place = ['', *re.findall('File "(.+?)", line', str(error.__cause__))][-1]
    return any(folder in Path(place).parents for folder in folders)


def of_device(error: Exception) -> str | None:
    """What is wrong where JAX has found no device, or one has too little memory; None for another error."""
    words, asked = str(error), os.environ.get('JAX_PLATFORMS')
    if traceback.extract_tb(error.__traceback__)[-1].filename.endswith('xla_bridge.py'):
        return (
            f'JAX has found no device{f" of JAX_PLATFORMS={asked}" if asked else ""}. {words} Unset JAX_PLATFORMS to '
            'take what is there, or install the JAX of the accelerator and its driver: see README.md, Start'
        )
    if of_jax(error) and re.search('RESOURCE_EXHAUSTED|DNN library init|CU(DNN|BLAS)_STATUS', words):
        return (
            f'the memory of a device is too small for this ({words.partition(chr(10))[0]}). Less is taken by fewer '
            'clips a step, config.train.micro_batches, config.model.remat=True, config.model.dtype=bfloat16, in scores '
            'by config.test.views_at_once=1; --dry_run tells how much. Where another process has the memory of a GPU, '
            'set XLA_PYTHON_CLIENT_PREALLOCATE=false for both'
        )
    return None


def of_disk(error: Exception) -> str | None:
    """What is wrong where a disk takes no more, fails, or is another's; None for another error."""
    if began_in(error, HERE) or not isinstance(error, OSError) or error.errno not in TROUBLE_OF_DISKS:
        return None
    return f'{machine.told(error)} Then start the same command again.'


def of_jax(error: Exception) -> bool:
    """Whether a device or its compiler has raised it."""
    return type(error).__name__ in ('JaxRuntimeError', 'XlaRuntimeError')


def of_peer(error: Exception) -> str | None:
    """What has happened where another process of the run is gone; None for another error."""
    parallel = sys.modules.get('dnr_jax.parallel')
    gathered = isinstance(error, ValueError) and not began_in(error, HERE)  # what JAX makes of it then
    if not parallel or not parallel.has_peers() or not (of_jax(error) or gathered):
        return None
    if not re.search('peer|Gloo|NCCL|coordination|heartbeat|UNAVAILABLE', str(error), re.IGNORECASE):
        return None
    return f'another process of the run has died ({error}); the same command goes on from the newest checkpoint'
