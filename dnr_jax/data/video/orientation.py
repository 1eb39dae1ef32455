"""How a picture is to be shown: by the display matrix of a video, or by the orientation in the EXIF data of an image.

Both are a matrix (a, b, c, d), which moves the point x, y to a x + c y, b x + d y, with y downwards: of its eight forms
four are turns, and four are turns of the mirrored picture.
"""

from collections.abc import Iterator

import av
import numpy as np

Matrix = tuple[int, int, int, int]

AS_STORED: Matrix = (1, 0, 0, 1)
_BY_EXIF: dict[int, Matrix] = {
    1: AS_STORED,
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}
_ORIENTATION = 0x112  # tag


def of_frame(frame: av.VideoFrame) -> Matrix:
    """What the container says of a decoded frame."""
    try:
        told = frame.side_data.get('DISPLAYMATRIX')
    except ValueError:  # PyAV knows no EXIF data, as frames of cameras hold: the turn is told, not the mirror
        return [(1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0)][round(frame.rotation / 90) % 4]
    if told is None:
        return AS_STORED
    a, b, _, c, d, *_ = np.frombuffer(told, np.int32).tolist()
    return a, b, c, d


def of_image(file: bytes) -> Matrix:
    """What the EXIF data of a JPEG, PNG or WebP file say; as it is stored where there are none."""
    return next((_BY_EXIF[value] for block in _exif_blocks(file) if (value := _orientation(block))), AS_STORED)


def is_transposed(matrix: Matrix) -> bool:
    """Whether rows become columns. Of another angle than a quarter turn, the nearest counts."""
    a, b, c, d = map(abs, matrix)
    return b + c > a + d


def upright(image: np.ndarray, matrix: Matrix) -> np.ndarray:
    """The image [H W C] as it is to be shown; a view."""
    a, b, c, d = matrix
    if is_transposed(matrix):
        image, a, d = image.swapaxes(0, 1), c, b
    return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _exif_blocks(file: bytes) -> Iterator[bytes]:
    if file.startswith(b'\xff\xd8'):
        blocks = _jpeg_blocks(file)
    elif file.startswith(b'\x89PNG'):
        blocks = _chunks(file, 8, 'big', b'eXIf')
    else:
        blocks = _chunks(file, 12, 'little', b'EXIF') if file[8:12] == b'WEBP' else ()
    for block in blocks:
        yield block.removeprefix(b'Exif\0\0')


def _jpeg_blocks(file: bytes) -> Iterator[bytes]:
    position = 2
    while file[position : position + 1] == b'\xff' and file[position + 1 : position + 2] not in (b'\xda', b''):
        if file[position + 1] == 0xFF:  # padding
            position += 1
            continue
        end = position + 2 + int.from_bytes(file[position + 2 : position + 4])
        if file[position + 1] == 0xE1 and file[position + 4 : end].startswith(b'Exif\0\0'):
            yield file[position + 4 : end]
        position = end


def _chunks(file: bytes, position: int, byteorder: str, kind: bytes) -> Iterator[bytes]:
    """The contents of chunks of this kind: PNG tells the size first and a sum last, WebP fills up to even sizes."""
    while position + 8 <= len(file):
        first, second = file[position : position + 4], file[position + 4 : position + 8]
        size, found = (second, first) if byteorder == 'little' else (first, second)
        length = int.from_bytes(size, byteorder)
        if found == kind:
            yield file[position + 8 : position + 8 + length]
        position += 8 + length + (length % 2 if byteorder == 'little' else 4)


def _orientation(exif: bytes) -> int | None:
    """The number in the first directory of EXIF data; None where there is none, or none that is known."""
    byteorder = {b'II*\0': 'little', b'MM\0*': 'big'}.get(exif[:4])
    if byteorder is None:
        return None

    def number(position: int, size: int) -> int:
        return int.from_bytes(exif[position : position + size], byteorder)

    directory = number(4, 4)
    for entry in range(number(directory, 2)):
        position = directory + 2 + 12 * entry
        if number(position, 2) == _ORIENTATION:
            value = number(position + 8, {3: 2, 4: 4}.get(number(position + 2, 2), 1))
            return value if value in _BY_EXIF else None
    return None
