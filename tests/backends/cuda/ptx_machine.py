"""A machine that runs PTX: all threads of a grid at once, in NumPy; what it does not know, and what no card may do, is a `Fault`.

Of the threads that may go on, those at the lowest place go, as compilers expect of threads that come together again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tests.backends.cuda.ptx_operations import OPERATIONS, TYPES, Fault
from tests.backends.cuda.ptx_uses import Uses


class Instruction(NamedTuple):
    """One instruction: where a guard is, only threads where that holds (or does not) run it."""

    name: str
    operands: tuple[str, ...]
    guard: str
    when: bool


class Program(NamedTuple):
    """A kernel as it was read.

    Args:
        parameters: name and type of each, in order.
        registers: the type that stands behind the names of registers, by what these begin with.
        code: the instructions.
        labels: the places of labels.
        constants: the contents of arrays with first values, by name.
        shared: where in the memory that a block shares arrays begin, by name, and the size of that memory as "".
        local: the same of a thread's own memory.
    """

    parameters: tuple[tuple[str, str], ...]
    registers: Mapping[str, str]
    code: tuple[Instruction, ...]
    labels: Mapping[str, int]
    constants: Mapping[str, np.ndarray]
    shared: Mapping[str, int]
    local: Mapping[str, int]


_ENTRY = re.compile(r"\.entry\s+{}\s*\((.*?)\)[^{{]*?\n\{{(.*?)\n\}}", re.DOTALL)
_STATEMENT = re.compile(r"(?:@(!?)(%\w+)\s+)?([a-z][\w.:]*)\s*(.*)", re.DOTALL)
_ARRAY = r"\.{}\s+\.align\s+\d+\s+\.b8\s+([\w$]+)\[(\d+)\];"
_CONSTANT = re.compile(r"\.global\s+\.align\s+\d+\s+\.(\w+)\s+([\w$]+)\[\d*\]\s*=\s*\{([^}]*)\};")


def parse(ptx: str, entry: str) -> Program:
    """A kernel of a text of PTX."""
    text = re.sub(r"//[^\n]*", "", ptx)
    found = re.search(_ENTRY.pattern.format(entry), text, re.DOTALL)
    if found is None:
        raise Fault(f"no entry {entry}")
    parameters = tuple(
        (words[-1], words[1].lstrip(".")) for each in found.group(1).split(",") if (words := each.split())
    )
    body = found.group(2)
    registers = {base: kind for kind, base in re.findall(r"\.reg\s+\.(\w+)\s+(%[A-Za-z]+)(?:<\d+>)?;", body)}
    code: list[Instruction] = []
    labels: dict[str, int] = {}
    for line in re.split(r"[;\n]", body):
        line = line.strip()
        if label := re.match(r"(\$\w+):$", line):
            labels[label.group(1)] = len(code)
        elif line and not line.startswith("."):
            code.append(_instruction(line))
    constants = {name: _values(kind, given) for kind, name, given in _CONSTANT.findall(text)}
    places = [_places(text, space) for space in ("shared", "local")]
    return Program(parameters, registers, tuple(code), labels, constants, *places)


def _places(text: str, space: str) -> Mapping[str, int]:
    """Where arrays of such a memory begin, and its size as ""."""
    found, size = {}, 0
    for name, length in re.findall(_ARRAY.format(space), text):
        found[name], size = size, size + -(-int(length) // 16) * 16
    return {**found, "": size}


def _instruction(line: str) -> Instruction:
    match = _STATEMENT.fullmatch(line)
    if match is None:
        raise Fault(f"no instruction: {line}")
    negated, guard, name, rest = match.groups()
    operands = tuple(each.strip() for each in rest.split(",")) if rest else ()
    return Instruction(name, operands, guard or "", not negated)


def _values(kind: str, given: str) -> np.ndarray:
    words = [word.strip() for word in given.split(",")]
    return np.concatenate([np.atleast_1d(immediate(word, kind)) for word in words])


def immediate(text: str, kind: str) -> np.ndarray:
    """A constant in the text, as a type; floats are written by their bits."""
    if text[:2] in ("0f", "0d"):
        bits = np.array(int(text[2:], 16), np.uint32 if text[1] == "f" else np.uint64)
        return bits.view(TYPES["f32" if text[1] == "f" else "f64"])
    dtype = np.dtype(TYPES[kind])
    value = int(text.rstrip("U"), 0) & ((1 << (8 * dtype.itemsize)) - 1)
    return np.array(value, f"u{dtype.itemsize}").view(dtype)


class Machine:
    """Runs one kernel.

    Args:
        program: the kernel.
        memory: the arrays that it may read and write, contiguous; they lie where they lie on this machine.
        steps: after so many instructions it runs for ever.
    """

    def __init__(self, program: Program, memory: Sequence[np.ndarray], steps: int = 1_000_000) -> None:
        self.program, self.steps = program, steps
        self.executed: Counter[str] = Counter()
        held = [*memory, *program.constants.values()]
        self.memory = [(a.ctypes.data, a.reshape(-1).view(np.uint8), i < len(memory)) for i, a in enumerate(held)]
        self.symbols = {name: a.ctypes.data for name, a in program.constants.items()}

    def run(self, blocks: int, threads: int, arguments: Sequence[float]) -> None:
        """One launch of a grid, with the kernel's arguments in order."""
        if len(arguments) != len(self.program.parameters):
            raise Fault(f"{len(arguments)} arguments for {len(self.program.parameters)} parameters")
        self.given = {
            name: (kind, value) for (name, kind), value in zip(self.program.parameters, arguments, strict=True)
        }
        self.count = count = blocks * threads
        index = np.arange(count)
        of_threads = {
            "%tid.x": index % threads,
            "%ctaid.x": index // threads,
            "%ntid.x": np.full(count, threads),
            "%nctaid.x": np.full(count, blocks),
        }
        self.special = {name: value.astype(np.uint32) for name, value in of_threads.items()}
        self.registers: dict[str, np.ndarray] = {}
        self.block, self.waits = index // threads, np.zeros(count, bool)
        self.shared = SharedMemory(blocks, self.program.shared[""])
        self.local = SharedMemory(count, self.program.local[""])  # of threads that share with nobody
        self.uses = {start: Uses(held.size, self.block) for start, held, writeable in self.memory if writeable}
        place, end = np.zeros(count, np.int64), len(self.program.code)
        with np.errstate(all="ignore"):
            for _ in range(self.steps):
                going = ~self.waits & (place < end)
                if not going.any():
                    if not self.waits.any():
                        return
                    self._meet(place < end)
                    continue
                at = int(place[going].min())
                place = self._step(self.program.code[at], np.flatnonzero(going & (place == at)), place)
        raise Fault("it does not end")

    def _meet(self, alive: np.ndarray) -> None:
        """The threads of each block go on, if all of them wait."""
        together = np.bincount(self.block, self.waits) == np.bincount(self.block)
        if not together[self.block[self.waits]].all():
            raise Fault("threads wait for others that have ended")
        self.shared.forget(together)
        for uses in self.uses.values():
            uses.forget(together)
        self.waits &= ~together[self.block]

    def _step(self, instruction: Instruction, ran: np.ndarray, place: np.ndarray) -> np.ndarray:
        """One instruction by the threads that stand at it."""
        name, operands, guard, when = instruction
        self.executed[name] += 1
        place[ran] += 1
        if guard:
            ran = ran[self.read(guard, "pred", ran) == when]
        if name in ("bra", "bra.uni"):
            place[ran] = self.program.labels[operands[0]]
        elif name == "ret":
            place[ran] = len(self.program.code)
        elif name == "bar.sync":
            if operands != ("0",):
                raise Fault(f"bar.sync of {operands}")
            self.waits[ran] = True
        elif name.startswith(("ld.shared.", "st.shared.")):
            self._share(name, operands, ran, "shared", self.shared, self.block)
        elif name.startswith(("ld.local.", "st.local.")):
            self._share(name, operands, ran, "local", self.local, np.arange(self.count))
        elif name.startswith("ld.param."):
            self._parameter(name.rpartition(".")[2], operands, ran)
        elif name.startswith("ld.global."):
            self._load(name, operands, ran)
        elif name.startswith("st.global."):
            self._store(name, operands, ran)
        elif name in OPERATIONS:
            result, kinds, function = OPERATIONS[name]
            if len(operands) != 1 + len(kinds):
                raise Fault(f"{name} of {operands}")
            values = [self.read(text, kind, ran) for text, kind in zip(operands[1:], kinds, strict=True)]
            self.write(operands[0], function(*values).astype(TYPES[result], copy=False), ran)
        else:
            raise Fault(f"{name} is not known")
        return place

    # registers: bits without a sign, as wide as they are declared

    def read(self, text: str, kind: str, ran: np.ndarray) -> np.ndarray:
        """An operand of some threads, as a type: its lowest bits where the register is wider."""
        dtype = np.dtype(TYPES[kind])
        if text in self.special:
            bits = self.special[text][ran]
        elif text.startswith("%"):
            if text not in self.registers:
                raise Fault(f"{text} is read before it is written")
            bits = self.registers[text][ran]
        elif text in self.symbols:
            bits = np.full(len(ran), self.symbols[text], np.uint64)
        elif text in self.program.shared:
            bits = np.full(len(ran), self.program.shared[text], np.uint64)
        elif text in self.program.local:
            bits = np.full(len(ran), self.program.local[text], np.uint64)
        elif re.fullmatch(r"-?\d\w*", text):
            return np.full(len(ran), immediate(text, kind)).astype(dtype, copy=False)
        else:
            raise Fault(f"no operand: {text}")
        if bool in (dtype, bits.dtype):
            if dtype != bits.dtype:
                raise Fault(f"{text} is no {kind}")
            return bits
        if bits.dtype.itemsize < dtype.itemsize or (dtype.kind == "f" and bits.dtype.itemsize != dtype.itemsize):
            raise Fault(f"{text} is too narrow for {kind}")
        return bits.astype(f"u{dtype.itemsize}").view(dtype)

    def write(self, text: str, value: np.ndarray, ran: np.ndarray) -> None:
        """A result of some threads; a register that is wider is filled up by zeros, or by signs."""
        kind = self.program.registers.get(re.sub(r"\d+$", "", text))
        if kind is None:
            raise Fault(f"{text} is not declared")
        if kind == "pred":
            bits = value
        else:
            width = np.dtype(TYPES[kind]).itemsize
            if value.dtype.itemsize > width or (value.dtype.kind == "f" and value.dtype.itemsize != width):
                raise Fault(f"{text} is too narrow for {value.dtype}")
            same = value.view(f"u{value.dtype.itemsize}") if value.dtype.kind != "i" else value
            bits = same.astype(f"{same.dtype.kind}{width}").view(f"u{width}")
        if text not in self.registers:
            self.registers[text] = np.zeros(self.count, bits.dtype)
        self.registers[text][ran] = bits

    # memory

    def _parameter(self, kind: str, operands: tuple[str, ...], ran: np.ndarray) -> None:
        name = operands[1].strip("[]")
        declared, value = self.given[name]
        if kind != declared:
            raise Fault(f"{name} is {declared}, and is read as {kind}")
        self.write(operands[0], np.full(len(ran), np.array(value).astype(TYPES[kind])), ran)

    def _at(self, text: str, width: int, ran: np.ndarray) -> tuple[np.ndarray, np.ndarray, Uses | None]:
        """The memory that an address lies in, as bytes, where in it each thread's element begins, and who uses it.

        Of what may not be written nobody keeps who does.
        """
        match = re.fullmatch(r"\[([%\w$]+)(?:\+(-?\d+))?\]", text)
        if match is None:
            raise Fault(f"no address: {text}")
        address = self.read(match.group(1), "u64", ran) + np.uint64(int(match.group(2) or 0) & (2**64 - 1))
        if (address % np.uint64(width)).any():
            raise Fault(f"{text} is not aligned")
        for start, held, _ in self.memory:
            if start <= int(address.min()) and int(address.max()) + width <= start + held.size:
                return held, (address - np.uint64(start)).astype(np.int64), self.uses.get(start)
        raise Fault(f"{text} is out of bounds")

    def _share(
        self, name: str, operands: tuple[str, ...], ran: np.ndarray, space: str, memory: SharedMemory, owner: np.ndarray
    ) -> None:
        """A load or a store of the memory that a block shares, or that a thread has of its own."""
        kind, loads = name.rpartition(".")[2], name.startswith("ld")
        if name != f"{name[:2]}.{space}.{kind}" or kind not in TYPES:
            raise Fault(f"{name} is not known")
        match = re.fullmatch(r"\[([%\w$]+)(?:\+(-?\d+))?\]", operands[1 if loads else 0])
        if match is None:
            raise Fault(f"no address: {operands}")
        dtype = np.dtype(TYPES[kind])
        at = self.read(match.group(1), "u32", ran).astype(np.int64) + int(match.group(2) or 0)
        if (at % dtype.itemsize).any() or (at < 0).any() or (at + dtype.itemsize > memory.bytes.shape[1]).any():
            raise Fault(f"{operands} is out of bounds")
        if loads:
            self.write(operands[0], memory.load(owner[ran], at, ran, dtype), ran)
        else:
            memory.store(owner[ran], at, ran, self.read(operands[1], kind, ran))

    def _load(self, name: str, operands: tuple[str, ...], ran: np.ndarray) -> None:
        kind = name.rpartition(".")[2]
        if name not in (f"ld.global.{kind}", f"ld.global.nc.{kind}") or kind not in TYPES:
            raise Fault(f"{name} is not known")
        if not len(ran):
            return
        width = np.dtype(TYPES[kind]).itemsize
        held, at, uses = self._at(operands[1], width, ran)
        if uses is not None and ".nc" in name:
            raise Fault(f"{name} reads past the cache what the kernel may write")
        if uses is not None:
            uses.load(at, ran)
        found = np.stack([held[at + i] for i in range(width)], axis=1)
        self.write(operands[0], np.ascontiguousarray(found).view(TYPES[kind])[:, 0], ran)

    def _store(self, name: str, operands: tuple[str, ...], ran: np.ndarray) -> None:
        kind = name.rpartition(".")[2]
        if name != f"st.global.{kind}" or kind not in TYPES:
            raise Fault(f"{name} is not known")
        if not len(ran):
            return
        width = np.dtype(TYPES[kind]).itemsize
        held, at, uses = self._at(operands[0], width, ran)
        if uses is None:
            raise Fault(f"{name} writes a constant")
        if len(np.unique(at)) < len(at):
            raise Fault(f"{name}: two threads store at one place")
        uses.store(at, ran)
        value = self.read(operands[1], kind, ran)
        parts = np.ascontiguousarray(value).view(np.uint8).reshape(len(at), width)
        for i in range(width):
            held[at + i] = parts[:, i]


class SharedMemory:
    """What the threads of each block share; what two of them do to one place without waiting in between is a race.

    Args:
        blocks: how many blocks there are.
        size: bytes of each block.
    """

    NOBODY, SEVERAL = -1, -2

    def __init__(self, blocks: int, size: int) -> None:
        self.bytes = np.full((blocks, size), 0xA5, np.uint8)  # whatever was there before
        self.known = np.zeros((blocks, size), bool)
        self.writer, self.reader = (np.full((blocks, size), self.NOBODY) for _ in range(2))

    def forget(self, blocks: np.ndarray) -> None:
        """The threads of these blocks have waited for each other."""
        self.writer[blocks], self.reader[blocks] = self.NOBODY, self.NOBODY

    def load(self, block: np.ndarray, at: np.ndarray, thread: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """An element for each thread."""
        if not self.known[block, at].all():
            raise Fault("shared memory is read before it is written")
        if ((self.writer[block, at] != self.NOBODY) & (self.writer[block, at] != thread)).any():
            raise Fault("a race: what one thread writes, another reads")
        before = self.reader[block, at]
        self.reader[block, at] = np.where((before == self.NOBODY) | (before == thread), thread, self.SEVERAL)
        found = np.stack([self.bytes[block, at + i] for i in range(dtype.itemsize)], axis=1)
        return np.ascontiguousarray(found).view(dtype)[:, 0]

    def store(self, block: np.ndarray, at: np.ndarray, thread: np.ndarray, value: np.ndarray) -> None:
        """An element of each thread."""
        others = [(who[block, at] != self.NOBODY) & (who[block, at] != thread) for who in (self.writer, self.reader)]
        twice = len(np.unique(np.stack([block, at]), axis=1).T) < len(at)
        if np.any(others) or twice:
            raise Fault("a race: two threads use one place, and one of them writes")
        self.writer[block, at], self.known[block, at] = thread, True
        parts = np.ascontiguousarray(value).view(np.uint8).reshape(len(at), -1)
        for i in range(parts.shape[1]):
            self.bytes[block, at + i] = parts[:, i]
