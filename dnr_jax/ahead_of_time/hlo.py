"""What a compiled program says of itself in the text of its optimized HLO.

A program is what its entry computation starts one after the other: fusions, convolutions, copies, collectives. TPU
compilers write an estimate of cycles beside what computes; it knows nothing of waiting for memory or other chips, and
is good for ratios.
"""

import re
from collections.abc import Iterator
from functools import cached_property
from math import prod
from typing import NamedTuple

# Names of operations may carry a suffix for their beginning and end: 'all-reduce-start'.
COLLECTIVES = ('all-reduce', 'all-gather', 'reduce-scatter', 'all-to-all', 'collective-permute')
MOVES_NOTHING = ('parameter', 'bitcast', 'tuple', 'get-tuple-element', 'constant')
BYTES = {'pred': 1, 's8': 1, 'u8': 1, 'bf16': 2, 'f16': 2, 's16': 2, 'u16': 2, 's64': 8, 'u64': 8, 'f64': 8}  # else 4

INSTRUCTION = re.compile(
    r'^ +(?:ROOT )?%(?P<name>\S+) = (?P<shape>.*?) (?P<operation>[a-z][\w-]*)\((?P<operands>.*?)\)(?P<rest>.*)$'
)
ARRAY = re.compile(r'\b([a-z]+\d*)\[([\d,]*)\]')
CYCLES = re.compile(r'"estimated_cycles":"?(\d{1,18})\b')  # one of 19 digits, the largest there is, says unknown


class Array(NamedTuple):
    """One array of a result: type and shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.size * BYTES.get(self.dtype, 4)


class Instruction(NamedTuple):
    """One instruction of the entry computation.

    Attributes:
      results: the arrays it gives. operands: names of what it reads.
      path: which part of the program it comes from, 'jit(step)/.../stage1/block1/norm1/...', where that is known.
      cycles: as estimated; 0 where no estimate stands.
      target: what a custom call calls, '__cudnn$convForward'; empty for others.
    """

    name: str
    operation: str
    results: tuple[Array, ...]
    operands: tuple[str, ...]
    path: str
    cycles: int
    target: str

    @property
    def written(self) -> int:
        return sum(array.bytes for array in self.results)


class Program:
    """The text of a compiled program, read."""

    def __init__(self, text: str):
        self.text = text

    @cached_property
    def instructions(self) -> list[Instruction]:
        """Those of the entry computation, in order."""
        entry = self.text[self.text.index('\nENTRY') :].partition('\n}')[0]
        return list(_instructions(entry))

    @cached_property
    def cycles(self) -> int:
        """The sum of all estimates; 0 where the compiler makes none."""
        return sum(map(int, CYCLES.findall(self.text)))

    @property
    def loops(self) -> int:
        return len(re.findall(r' while\(', self.text))

    @property
    def kernels(self) -> list[Instruction]:
        """What is started, without what moves nothing."""
        return [each for each in self.instructions if each.operation not in MOVES_NOTHING]

    @property
    def fusions(self) -> int:
        return sum(each.operation == 'fusion' for each in self.instructions)

    def reads(self, least: int) -> list[tuple[str, str]]:
        """(operation, operand) for every array of at least so many numbers that a kernel reads."""
        sizes = {each.name: max((array.size for array in each.results), default=0) for each in self.instructions}
        return [
            (each.operation, operand)
            for each in self.kernels
            for operand in each.operands
            if sizes.get(operand, 0) >= least
        ]

    def traffic(self) -> tuple[int, int]:
        """Bytes that kernels write and read, by the shapes of results and operands."""
        written = {each.name: each.written for each in self.instructions}
        read = sum(written.get(operand, 0) for each in self.kernels for operand in each.operands)
        return sum(each.written for each in self.kernels), read

    def wide(self, least: int) -> list[Instruction]:
        """Kernels that write a float32 array of at least so many numbers."""
        return [
            each for each in self.kernels if any(array.dtype == 'f32' and array.size >= least for array in each.results)
        ]

    def collectives(self) -> list[Instruction]:
        """What devices exchange; each once, where its beginning and end stand apart."""
        return [each for each in self.instructions if each.operation.removesuffix('-start') in COLLECTIVES]

    def cycles_by(self, parts: dict[str, str]) -> dict[str, int]:
        """Cycles of the entry computation by the first pattern that is found in the path, and of 'the rest'."""
        of = dict.fromkeys([*parts, 'the rest'], 0)
        for each in self.instructions:
            found = (part for part, pattern in parts.items() if re.search(pattern, each.path))
            of[next(found, 'the rest')] += each.cycles
        return of


def _instructions(computation: str) -> Iterator[Instruction]:
    for match in filter(None, map(INSTRUCTION.match, computation.splitlines())):
        rest = match['rest']
        path = re.search(r'op_name="([^"]*)"', rest)
        cycles = CYCLES.search(rest)
        target = re.search(r'custom_call_target="([^"]*)"', rest)
        yield Instruction(
            match['name'],
            match['operation'],
            tuple(
                Array(dtype, tuple(map(int, filter(None, sizes.split(',')))))
                for dtype, sizes in ARRAY.findall(match['shape'])
            ),
            tuple(re.findall(r'%([\w.-]+)', match['operands'])),
            path[1] if path else '',
            int(cycles[1]) if cycles else 0,
            target[1] if target else '',
        )
