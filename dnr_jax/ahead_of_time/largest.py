"""The largest number that fits, found with few tries: each of them is a compilation of minutes."""

from collections.abc import Callable, Mapping
from itertools import count

FARTHEST = 16  # times what is known to fit, for a guess


def largest(measure: Callable[[int], tuple[bool, int | None]], memory: int, first: int) -> int:
    """The largest number of which `measure` says that it fits, 0 if none does; all below it are taken to fit.

    Doubles or halves until one fits and one does not, and bisects between them; where two peaks are known, the number
    at which a line through them reaches the memory is tried instead, two times of three.

    Args:
      measure: number -> (whether it fits, its peak of memory [bytes], None if that is not known).
      memory: bytes, for the guess alone. first: to be tried first.
    """
    peaks, low, high, number, guesses = {}, 0, None, first, count(1)
    while True:
        fits, peak = measure(number)
        if peak is not None:
            peaks[number] = peak
        low, high = (number, high) if fits else (low, number)
        if high is not None and high - low == 1:
            return low
        number = 2 * low if high is None else (low + high) // 2
        guess = reached(peaks, memory)
        if guess is not None and next(guesses) % 3:
            number = min(max(guess, low + 1), FARTHEST * low if high is None else high - 1)


def reached(peaks: Mapping[int, int], memory: int) -> int | None:
    """The last number within the memory, on the line through the peaks of the two largest; None if they do not grow."""
    *_, (before, lower), (last, upper) = [(None, 0), (None, 0), *sorted(peaks.items())]
    if before is None or upper <= lower:
        return None
    return last + (memory - upper) * (last - before) // (upper - lower)
