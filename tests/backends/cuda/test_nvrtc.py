"""What NVRTC makes of kernels: as many operations as the graph has, none contracted, none approximate; kept, or refused."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import refgrad
from refgrad.arithmetic.enclosure_graph import enclosed
from refgrad.backends.cuda import array_source, fold_kernels, ieee, nvrtc, screens
from refgrad.backends.cuda.source import kernel_source
from refgrad.backends.screen_source import screen_source
from refgrad.backends.source import KernelSource
from refgrad.cli import main
from refgrad.errors import ArgumentError
from refgrad.optimizers import SGD, AdamW
from refgrad.rule import Rule
from tests.arithmetic.test_enclosure_graph import ordinary
from tests.backends.cuda.conftest import needs_nvrtc
from tests.backends.cuda.covered import case, loops, plan

#: the operations whose texts round as often as the operation: others have sequences, or arithmetic of their own
PLAIN = {"add", "sub", "mul", "div", "sqrt", "neg", "abs", "where", "maximum", "minimum", "sign", "and", "or", "not"}
PLAIN |= {"lt", "le", "gt", "ge", "eq", "ne"}

#: a kernel in which every shortcut shows that a compiler may take
PRODUCT = """extern "C" __global__ void refgrad_kernel(float *x, float *y) {
    x[0] = x[0] * y[0] + y[1]; x[1] = x[2] / y[2]; x[3] = sqrtf(x[3]);
}
"""

#: in NVIDIA's wheel, or where the system finds it
_FOLDERS = importlib.util.find_spec("nvidia")
_PLACES = [Path(root) / "cu13/bin" for root in (_FOLDERS.submodule_search_locations or () if _FOLDERS else ())]
NVDISASM = shutil.which("nvdisasm", path=":".join([*map(str, _PLACES), os.environ.get("PATH", "")]))


def counted() -> list[Rule]:
    """The rules at their defaults whose operations are all plain."""
    return [rule for rule in loops() if set(plan(rule, 3).graph.counts()) <= PLAIN]


@pytest.fixture
def source() -> KernelSource:
    return kernel_source(AdamW().plan((4,), 3).graph, np.dtype(np.float32), "AdamW, float32")


@needs_nvrtc
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_ptx_has_as_many_operations_as_the_graph(kind: str) -> None:
    """A loop of which the compiler makes two, for a scalar that is NaN and one that is not, has an operation once or twice."""
    equal = 0
    for rule in counted():
        ptx = nvrtc.compile_source(case(rule, kind, 3, (7, 31)).source()).ptx
        loops, counts = ptx.count('.pragma "nounroll"'), plan(rule, 3).graph.counts()
        found, wanted = ieee.counts(ptx, kind), {name: counts.get(name, 0) for name in ieee.ROUNDED}
        equal += found == wanted
        assert all(wanted[name] <= found[name] <= loops * wanted[name] for name in wanted), rule
        assert loops <= 2
    assert equal >= len(counted()) - 2 > 60


@needs_nvrtc
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_kernels_of_single_operations_round_as_often_as_they_say(kind: str) -> None:
    """Each operation once; a product rounds each factor and each sum, and no two are contracted."""
    for op in ieee.ROUNDED:
        kinds = (kind,) if op == "sqrt" else (kind, kind)
        ptx = nvrtc.compile_source(array_source.elements_source(op, kinds, kind, kind, 1)).ptx
        assert ieee.counts(ptx, kind) == {name: int(name == op) for name in ieee.ROUNDED}
    for source, rounded in (
        (array_source.product_source(kind), {"add", "mul"}),
        (fold_kernels.fold_source("add", kind), {"add"}),
        (fold_kernels.fold_source("multiply", kind), {"mul"}),
        (fold_kernels.fold_together_source("add", kind), {"add"}),
        (fold_kernels.fold_together_source("maximum", kind), set()),
        (fold_kernels.halve_source("add", kind), {"add"}),
        (array_source.along_source(kind), {"add"}),
        (array_source.rank_source(kind), set()),
        (array_source.gather_source(kind), set()),
    ):
        found = ieee.counts(nvrtc.compile_source(source).ptx, kind)
        assert {name for name, count in found.items() if count} == rounded, source.text


@needs_nvrtc
def test_judging_kernels_have_the_operations_of_their_graph() -> None:
    """Those of float64 that round: each of the enclosure's once, besides those by which distances are counted."""
    step = ordinary(SGD(lr=0.1, momentum=0.9, weight_decay=0.1), 8)
    found = enclosed(step.plan.graph, {})
    types = {name: np.dtype(np.float32) for name in found.loop.reads}
    source = screen_source(found, types, "in CUDA", screens.DIALECT)
    counts = ieee.counts(nvrtc.compile_source(source).ptx, "float64")
    wanted = Counter(node.op for node in found.loop.elements)
    outputs = len(found.names)
    # of each output how far it is from the truth, half of what lies between both ends, its share of that, units in the last
    # place, and what is kept of the bound; half of a number is a product with 0.5 there, which is the same
    more = {"sub": 3 * outputs, "add": outputs, "div": 2 * outputs, "mul": 3 * outputs, "sqrt": 0}
    assert counts == {name: wanted[name] + more[name] for name in ieee.ROUNDED}


@needs_nvrtc
@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ((), ["fma.rn.f32"]),
        (("-fmad=false", "-ftz=true"), ["mul.rn.ftz.f32", "add.rn.ftz.f32", "div.rn.ftz.f32", "sqrt.rn.ftz.f32"]),
        (("-fmad=false", "-prec-div=false"), ["div.full.f32"]),
        (("-fmad=false", "-prec-sqrt=false"), ["sqrt.approx.f32"]),
        (nvrtc.OPTIONS, []),
    ],
    ids=["contracted", "flushed", "quotient", "root", "right"],
)
def test_every_option_is_needed(options: tuple[str, ...], wrong: list[str]) -> None:
    assert Counter(ieee.violations(nvrtc.compile_text(PRODUCT, options=options).ptx)) == Counter(wrong)


@needs_nvrtc
def test_a_kernel_that_is_not_ieee_is_refused(
    source: KernelSource, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REFGRAD_CACHE_DIR", str(tmp_path / "kernels"))
    monkeypatch.setattr(nvrtc, "OPTIONS", ("-ftz=true",))
    for _ in range(2):  # nor is it kept
        with pytest.raises(nvrtc.CompilerError, match=r"not IEEE's operations one by one: \w+.*\.ftz\.f32"):
            nvrtc.compile_source(source)
    assert not (tmp_path / "kernels").exists()


@needs_nvrtc
def test_a_kernel_is_compiled_once(source: KernelSource, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REFGRAD_CACHE_DIR", str(tmp_path / "kernels"))
    first = nvrtc.compile_source(source)
    monkeypatch.setattr(nvrtc, "compile_text", None)
    assert nvrtc.compile_source(source) == first
    assert first.cubin.startswith(b"\x7fELF")
    monkeypatch.undo()
    monkeypatch.setenv("REFGRAD_CACHE_DIR", str(tmp_path / "kernels"))
    assert nvrtc.compile_source(source, "sm_80").cubin != first.cubin
    assert len(list((tmp_path / "kernels").iterdir())) == 2


@needs_nvrtc
def test_what_cannot_be_compiled_is_said_in_words(source: KernelSource) -> None:
    with pytest.raises(ArgumentError, match=r"arch is 'sm_1'; legal: .*sm_90"):
        nvrtc.compile_source(source, "sm_1")
    with pytest.raises(nvrtc.CompilerError, match=r'identifier "nothing" is undefined'):
        nvrtc.compile_text("__global__ void kernel() { nothing; }")


@needs_nvrtc
def test_the_command_shows_what_the_compiler_made() -> None:
    told = CliRunner().invoke(main, ["show", "AdamW", "--source", "cuda", "--arch", "sm_80"])
    assert ".target sm_80" in told.output
    assert ieee.counts(told.output, "float32")["sqrt"] == 1


def test_without_the_compiler_one_sentence_says_what_installs_it(
    source: KernelSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvrtc, "_candidates", lambda: iter(["libnothing.so.0"]))
    nvrtc._library.cache_clear()
    try:
        assert not nvrtc.is_here()
        with pytest.raises(
            nvrtc.CompilerMissing, match=r"NVRTC.* is not installed; legal: pip install 'refgrad\[cuda\]'"
        ):
            nvrtc.compile_source(source)
    finally:
        nvrtc._library.cache_clear()
    assert issubclass(nvrtc.CompilerMissing, refgrad.errors.RefgradError)


@needs_nvrtc
@pytest.mark.skipif(NVDISASM is None, reason="nvdisasm is not installed (tox -e cuda has it)")
def test_machine_code_has_as_many_operations_as_the_graph(tmp_path: Path) -> None:
    """Division and roots become fused instructions there, and slow ways for rare numbers, which are left out of the counts."""
    for rule in counted()[::8]:
        cubin = tmp_path / "kernel.cubin"
        cubin.write_bytes(nvrtc.compile_source(case(rule, "float32", 3, (7, 31)).source()).cubin)
        text = subprocess.run([str(NVDISASM), "-c", str(cubin)], capture_output=True, text=True, check=True).stdout
        found, counts = machine_code(text), plan(rule, 3).graph.counts()
        divisions, roots = counts.get("div", 0), counts.get("sqrt", 0)
        assert found["FMUL"] == counts.get("mul", 0), rule
        assert found["FADD"] == counts.get("add", 0) + counts.get("sub", 0), rule
        assert found["FCHK"] == divisions, rule
        assert found["MUFU.RSQ"] == roots, rule
        assert found["FFMA"] <= 5 * divisions + 2 * roots, rule
        assert not [name for name in found if name.startswith(("HFMA", "DFMA"))], rule


def machine_code(text: str) -> Counter[str]:
    """The instructions of the kernel itself, without those of functions that it calls for rare numbers."""
    own = text.partition("\n$__internal")[0]
    names = re.findall(r"/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]+)\s*([^;]*);", own)
    # HFMA2 of zeros is how a constant is loaded
    return Counter(name for name, rest in names if not (name.startswith("HFMA2") and "RZ, RZ" in rest.replace("-", "")))
