"""Objects in buckets, through fsspec: what is asked of them, tried again where the network fails.

A request that fails, stalls or comes back short is tried again after pauses that grow, PAUSES; then a BucketError names
the object. What trying again cannot mend, such as missing rights, is told at once. Objects are written whole, by `put`
and `upload`: an object is there with all its bytes, or as it was before.

Listings are not kept: another process may write at any time. The programs that gcsfs and s3fs begin with, credentials
and addresses, are theirs: GOOGLE_APPLICATION_CREDENTIALS, STORAGE_EMULATOR_HOST, AWS_PROFILE, AWS_ENDPOINT_URL, ...
"""

import asyncio
import contextlib
import errno
import io
import logging
import os
import random
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path, PurePath
from typing import Any

PAUSES = (0.5, 1, 2, 4, 8, 16)  # seconds between tries
STALLED = 30  # seconds without a byte
CONNECTING = 10  # seconds
AT_ONCE = 16  # requests, where many objects are written or removed

_REQUESTS = '_info', '_ls', '_find', '_cat_file', '_pipe_file', '_get_file', '_put_file', '_rm_file', '_cp_file'
_ANSWERS = {  # which are no failures of the network
    FileNotFoundError: errno.ENOENT,
    FileExistsError: errno.EEXIST,
    IsADirectoryError: errno.EISDIR,
    NotADirectoryError: errno.ENOTDIR,
}
_CREDENTIALS = {  # errors of botocore and google.auth, by name: neither need be installed
    'NoCredentialsError', 'PartialCredentialsError', 'TokenRetrievalError', 'UnauthorizedSSOTokenError',
    'CredentialRetrievalError', 'ProfileNotFound', 'DefaultCredentialsError', 'RefreshError', 'PermissionError',
}  # fmt: skip
_EXPIRED = 'ExpiredToken', 'InvalidAccessKeyId', 'SignatureDoesNotMatch', 'Forbidden', 'AccessDenied', 'Unauthorized'
_FULL = 'quotaexceeded', 'quota exceeded', 'storagefull', 'insufficient storage'  # in small letters
_SIGN_IN = {
    'gs': 'sign in with gcloud auth application-default login, or name a key file in GOOGLE_APPLICATION_CREDENTIALS',
    's3': 'sign in with aws sso login or aws configure, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
}
_again: ContextVar[bool] = ContextVar('again', default=True)  # whether this request is the one that is tried again


class BucketError(OSError):
    """(None, why, URL): an object or a folder of them cannot be read or written."""

    def __str__(self) -> str:
        return f'{self.filename}: {self.strerror}'


class _Short(OSError):
    """Fewer bytes came than were asked for."""


def register(scheme: str) -> None:
    """Lets fsspec, and so `epath`, reach the buckets of 'gs' or 's3' in the way of this file."""
    import fsspec

    logging.getLogger({'gs': 'gcsfs', 's3': 's3fs'}[scheme]).setLevel(logging.CRITICAL)  # it is told here
    if scheme not in _MADE:
        _MADE[scheme] = CLASSES[scheme]()
        for protocol in _MADE[scheme].protocol:
            fsspec.register_implementation(protocol, _MADE[scheme], clobber=True)


def read(path: PurePath, start: int | None = None, end: int | None = None) -> bytes:
    """An object, or those bytes of it."""
    return _filesystem(path).cat_file(str(path), start=start, end=end)


def put(path: PurePath, data: bytes, *, new: bool = False) -> None:
    """Writes an object; FileExistsError if it is to be `new` and is there, in so far as the bucket tells."""
    _filesystem(path).pipe_file(str(path), data, mode='create' if new else 'overwrite')


def upload(file: Path, path: PurePath) -> None:
    """Writes an object, of a file of any size."""
    _filesystem(path).put_file(str(file), str(path))


def download(path: PurePath, file: Path) -> None:
    """Copies an object to a file; its folder is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    _filesystem(path).get_file(str(path), str(file))


def copy(path: PurePath, other: PurePath) -> None:
    """Copies an object within its bucket."""
    _filesystem(path).cp_file(str(path), str(other))


def remove(paths: Iterable[PurePath]) -> None:
    """Removes objects, in this order; those that are not there are passed over."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            _filesystem(path).rm_file(str(path))


def replace(folder: PurePath, new: Path, names: Iterable[str], last: str) -> None:
    """Makes the files `names` of a local folder all that is in a folder of a bucket.

    Its object `last` goes first, and comes last: without it the folder is not whole.
    """
    names = {*names} - {last}
    remove([folder / last])
    at_once(lambda name: remove([folder / name]), listed(folder).keys() - names)
    at_once(lambda name: upload(new / name, folder / name), sorted(names))
    upload(new / last, folder / last)


def at_once(request: Callable[[str], None], names: Iterable[str]) -> None:
    """Makes a request of every name, AT_ONCE of them at a time."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(request, names))


def listed(folder: PurePath) -> dict[str, int]:
    """Bytes of all objects below a URL, by their paths within it."""
    return {name: about['size'] for name, about in described(folder).items()}


def described(folder: PurePath) -> dict[str, dict[str, Any]]:
    """What fsspec tells of all objects below a URL (`size`, ...), by their paths within it."""
    above = f'{str(folder).partition("://")[2]}/'
    found = _filesystem(folder).find(str(folder), detail=True)
    return {
        name.removeprefix(above): about
        for name, about in sorted(found.items())
        if name.startswith(above) and not name.endswith('/')
    }


def _filesystem(path: PurePath) -> Any:
    import fsspec

    scheme = str(path).partition('://')[0]
    register(scheme)  # this may be another process than the one that made the path
    return fsspec.filesystem(scheme)


async def tried(request: Callable[[], Awaitable[Any]], name: str) -> Any:
    """What a request answers, tried again where it fails; BucketError, with the name, where that does not help."""
    if not _again.get():  # within another one
        return await request()
    token = _again.set(False)
    try:
        for pause in (*PAUSES, None):
            try:
                return await request()
            except tuple(_ANSWERS) as error:
                code = next(code for kind, code in _ANSWERS.items() if isinstance(error, kind))
                raise OSError(code, os.strerror(code), name) from error
            except Exception as error:  # many kinds, by what has failed
                if why := beyond_help(error, name):
                    raise BucketError(None, why, name) from error
                if pause is None:
                    raise BucketError(None, f'{_in_a_line(error)}, tried {len(PAUSES) + 1} times', name) from error
            await asyncio.sleep(pause * random.uniform(0.5, 1))
    finally:
        _again.reset(token)


def beyond_help(error: Exception, name: str) -> str | None:
    """Why trying again cannot mend an error; None where it may."""
    code = getattr(error, 'code', None)
    code = int(code) if str(code).isdecimal() else None
    if code in (408, 429):
        return None
    words = _in_a_line(error)
    out_of_room = code == 507 or getattr(error, 'errno', None) in (errno.ENOSPC, errno.EDQUOT)
    if out_of_room or any(word in words.lower() for word in _FULL):
        return f'no room left for it ({words})'
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & _CREDENTIALS or code in (401, 403) or any(word in words for word in _EXPIRED):
        return f'no right to it with the credentials that were found ({words}); {_SIGN_IN[name.partition("://")[0]]}'
    if isinstance(error, ValueError) or (code and 400 <= code < 500):
        return words
    return None


def _in_a_line(error: Exception) -> str:
    return ' '.join(f'{type(error).__name__}: {error}'.split())[:300]


class _Unwritten(io.BytesIO):
    """An object that is put when it is closed, but not after an error; for libraries, JAX's cache among them."""

    def __init__(self, file_system: Any, path: str):
        super().__init__()
        self._file_system, self._path = file_system, path

    def __exit__(self, kind: type | None, *error: Any) -> None:
        if kind is not None:
            super().close()
        self.close()

    def close(self) -> None:
        if not self.closed:
            data = self.getvalue()
            super().close()
            self._file_system.pipe_file(self._path, data)


class Patient:
    """Of a file system of fsspec: every request is tried again, and writing goes by whole objects only."""

    def _open(self, path: str, mode: str = 'rb', **options: Any) -> io.BytesIO:
        if mode == 'rb':
            return io.BytesIO(self.cat_file(path))
        if mode == 'wb':
            return _Unwritten(self, path)
        raise io.UnsupportedOperation(f"{path}: objects are written whole, not opened with '{mode}'")

    async def _exists(self, path: str, **options: Any) -> bool:
        """As fsspec has these three, a network that is away looks like an empty bucket."""
        return bool(await self._type(path))

    async def _isfile(self, path: str) -> bool:
        return await self._type(path) == 'file'

    async def _isdir(self, path: str) -> bool:
        return await self._type(path) == 'directory'

    async def _type(self, path: str) -> str:
        """'file', 'directory', or '' where nothing is."""
        try:
            return (await self._info(path))['type']
        except FileNotFoundError:
            return ''


def _patient(request: str) -> Callable:
    async def patient(self, path, *more, **options):
        async def once():
            answer = await getattr(super(Patient, self), request)(path, *more, **options)
            start, end = options.get('start'), options.get('end')
            if request == '_cat_file' and None not in (start, end) and len(answer) != end - start:
                raise _Short(f'{len(answer)} bytes came, {end - start} were asked for')
            return answer

        of = more[0] if request == '_put_file' else path  # a file goes before the object it becomes
        return await tried(once, f'{self.scheme}://{str(of).partition("://")[2] or of}')

    return patient


for _name in _REQUESTS:
    setattr(Patient, _name, _patient(_name))


def _gcs() -> type:
    import aiohttp
    from gcsfs.core import GCSFileSystem

    class Gcs(Patient, GCSFileSystem):
        scheme = 'gs'

        def __init__(self, *arguments: Any, **options: Any):
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECTING, sock_read=STALLED)
            super().__init__(*arguments, **options, use_listings_cache=False, requests_timeout=timeout)

    for request in ('_request', '_get_file_request'):  # which tries again by itself
        made = getattr(GCSFileSystem, request)
        setattr(Gcs, request, getattr(made, '__wrapped__', made))
    return Gcs


def _s3() -> type:
    from s3fs import S3FileSystem

    class S3(Patient, S3FileSystem):
        scheme = 's3'
        retries = 1  # of its own

        def __init__(self, *arguments: Any, **options: Any):
            config = {'connect_timeout': CONNECTING, 'read_timeout': STALLED, 'retries': {'max_attempts': 0}}
            super().__init__(*arguments, **options, use_listings_cache=False, config_kwargs=config)

    return S3


CLASSES: dict[str, Callable[[], type]] = {'gs': _gcs, 's3': _s3}
_MADE: dict[str, type] = {}
