"""Trouble of the machine, which is no damage of the data: it ends what is going on, and says what helps."""

import errno
import os

_MOUNT, _BUCKET = 'See whether its disk is mounted and whole.', 'See whether bucket and object are there.'
REMEDIES = {
    errno.EMFILE: 'Allow more open files: ulimit -n 8192.',
    errno.ENFILE: 'All processes of the machine together have too many open files: end some.',
    errno.ENOSPC: 'Make room on the disk.',
    errno.EDQUOT: 'Make room on the disk, within your quota.',
    errno.EFBIG: 'The disk takes no files so large: take another.',
    errno.EROFS: 'The disk can only be read: take another, or mount it to be written.',
    errno.ENOMEM: 'Memory has run out: fewer workers take less.',
    errno.EACCES: 'See to whom it belongs.',
    errno.EPERM: 'See to whom it belongs.',
    **dict.fromkeys(
        (
            errno.ENOENT,
            errno.EIO,
            errno.ENXIO,
            errno.ENODEV,
            errno.ESTALE,
            errno.ENOTCONN,
            errno.ETIMEDOUT,
            errno.ECONNRESET,
            errno.EHOSTDOWN,
            errno.EREMOTEIO,
        ),
        _MOUNT,
    ),
}


class MachineError(OSError):
    """(errno, what it is in words, file): the file cannot be read or written, and it is not to blame."""

    def __str__(self) -> str:
        return f'{self.what}. {remedy(self) or _MOUNT}'

    @property
    def what(self) -> str:
        """Without what helps."""
        return f"{self.strerror}: '{self.filename}'"


def told(error: Exception) -> str:
    """An error and its notes on one line, with what helps against trouble of the machine."""
    what = ', '.join([getattr(error, 'what', str(error)), *getattr(error, '__notes__', ())])
    helps = isinstance(error, OSError) and remedy(error)
    return f'{what}. {helps}' if helps else what


def remedy(error: OSError) -> str | None:
    """What helps; None where that is not known."""
    found = REMEDIES.get(error.errno)
    return _BUCKET if found == _MOUNT and '://' in str(error.filename) else found


def behind(error: Exception, file: str | os.PathLike) -> MachineError | None:
    """The trouble that an error of ArrayRecord, over this file, tells in words only; None where it tells of none."""
    code = next((code for code in REMEDIES if os.strerror(code) in str(error)), None)
    return None if code is None else MachineError(code, os.strerror(code), os.fspath(file))
