"""The pytest plugin, in a pytest of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import refgrad

# a pytest in this process unloads what it loaded, and NumPy cannot be loaded twice
from refgrad.examples import numpy_adamw  # noqa: F401

pytest_plugins = ["pytester"]
ROOT = Path(refgrad.__file__).parents[1]


@pytest.fixture(autouse=True)
def _this_refgrad(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pytest of its own starts elsewhere, where a relative path leads to no refgrad, or to another installed one."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))


TESTS = """
import numpy as np
import pytest
from refgrad.examples import numpy_adamw
from refgrad.optimizers import AdamW

@pytest.mark.refgrad(AdamW(), steps=3)
def test_right():
    return numpy_adamw.adamw

@pytest.mark.refgrad(AdamW(), steps=3, explain=False)
def test_wrong():
    return numpy_adamw.adamw_eps_inside

def test_fixture(refgrad_verify):
    assert refgrad_verify(numpy_adamw.adamw, AdamW(), steps=2).conforms

@pytest.mark.refgrad(AdamW(), steps=3)
def test_forgot():
    pass
"""


def _plugin() -> list[str]:
    """What loads the plugin where it is not installed."""
    installed = "refgrad" in {entry.name for entry in entry_points(group="pytest11")}
    return [] if installed else ["-p", "refgrad.testing.plugin"]


@pytest.mark.slow
def test_verdicts_are_the_reports(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess(*_plugin())
    result.assert_outcomes(passed=2, failed=2)
    text = result.stdout.str()
    assert "DOES NOT CONFORM" in text
    assert "Smallest input that fails" in text
    assert "raise_if_wrong" not in text  # no traceback of our inside
    assert "it returned None; legal: a candidate" in text


ISOLATED = """
import os
import numpy as np
import pytest
from refgrad.optimizers import SGD

judged = pytest.mark.refgrad(SGD(lr=0.1), steps=1, explain=False, shrink=False)
BEHIND = []

def descent(p, g, lr):
    return p - p.dtype.type(lr) * g

def leaves(p, g):
    os._exit(0)

@pytest.fixture
def rate():
    return np.float32(0.1)

@pytest.fixture
def opened(tmp_path):
    return (tmp_path / "file").open("w")

@judged
def test_made_there():
    return lambda p, g, lr: descent(p, g, lr)

@judged
@pytest.mark.parametrize("function", [descent])
def test_handed(function, rate):
    return lambda p, g: p - rate * g

class TestMethods:
    @judged
    def test_leaves(self):
        return leaves

@judged
def test_leaves_in_its_body():
    os._exit(0)

@judged
def test_stateful(opened):
    return lambda p, g: p

@judged
def test_only_in_pytest():
    if "PYTEST_CURRENT_TEST" not in os.environ:
        raise ValueError("not there")
    return lambda p, g: p

@pytest.mark.refgrad(SGD(lr=0.1), isolate=False)
def test_told_to():
    BEHIND.append(1)
    return lambda p, g: descent(p, g, 0.1)

def test_stayed_there():
    assert BEHIND in ([], [1])

def test_fixture(refgrad_verify):
    assert refgrad_verify(descent, SGD(lr=0.1), steps=1).isolation == "in a process of its own"

def test_fixture_beside_another(refgrad_verify, opened):
    assert refgrad_verify(descent, SGD(lr=0.1), steps=1).isolation == ""

@judged
def test_skipped():
    pytest.skip("elsewhere")

@judged
def test_expected_to_fail():
    pytest.xfail("known")
"""


@pytest.mark.sample(suite=1)
@pytest.mark.slow
@pytest.mark.parametrize("processes", [0, 2])
def test_candidates_are_made_in_a_process_of_their_own(pytester: pytest.Pytester, processes: int) -> None:
    if processes:
        pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    pytester.makepyfile(ISOLATED)
    result = pytester.runpytest_subprocess(*_plugin(), *(["-n", str(processes)] if processes else []))
    result.assert_outcomes(passed=6, failed=4, skipped=1, xfailed=1)
    text = result.stdout.str()
    assert "its process ended with exit code 0" in text
    assert "the candidate cannot be made: making test_leaves_in_its_body" in text
    assert "not isolated: the test uses the fixture 'tmp_path', which does something in this process" in text
    assert (
        "could not be judged: the candidate cannot be made in a process of its own: making it there raised ValueError"
        in text
    )
    assert "isolate=False makes it in this process" in text
    assert "not isolated: making it there" not in text


#: the arguments of a marker, and what is said of them
MISUSED = {
    "AdamW(), lawz=True": "'lawz'; did you mean 'laws'",
    "AdamW(), laws='yes'": "laws='yes'; legal: True or False",
    "AdamW(), AdamW()": "has 2 arguments; legal: one rule, then keywords",
    "": "has 0 arguments",
    "'AdamW'": "rule is 'AdamW'",
    "AdamW(), steps='many'": "steps is 'many'",
    "AdamW(), dtype='float33'": "float33",
    "AdamW(), policy={'subnormals': 'gone'}": "gone",
    "AdamW(), explain=-1": "explain is -1",
    "AdamW(), time_limit='long'": "time_limit is 'long'",
    "AdamW(), isolate='maybe'": "isolate is 'maybe'",
    "AdamW(), inputs=3": "inputs is 3",
}
MISUSE = """
@pytest.mark.parametrize("number", [0])
@pytest.mark.refgrad({arguments})
def test_{index}(number):
    return numpy_adamw.adamw
"""


@pytest.mark.slow
def test_a_marker_that_is_misused_says_how(pytester: pytest.Pytester) -> None:
    """All of them in one session, and each in the report of its own test."""
    imports = "import pytest\nfrom refgrad.examples import numpy_adamw\nfrom refgrad.optimizers import AdamW\n"
    tests = [MISUSE.format(arguments=arguments, index=index) for index, arguments in enumerate(MISUSED)]
    pytester.makepyfile(imports + "".join(tests))
    result = pytester.runpytest_inprocess(*_plugin())
    result.assert_outcomes(failed=len(MISUSED))
    text = result.stdout.str()
    assert "TypeError" not in text
    told = re.split(r"^_+ test_\d+\[0\] _+$", text.partition("short test summary")[0], flags=re.MULTILINE)[1:]
    assert [message for message, of_it in zip(MISUSED.values(), told, strict=True) if message not in of_it] == []


MISUSES = """
import pytest
from refgrad.examples import numpy_adamw
from refgrad.optimizers import AdamW

@pytest.mark.refgrad(AdamW(), isolate=False)
async def test_async():
    return numpy_adamw.adamw

@pytest.mark.refgrad(AdamW())
@pytest.mark.refgrad(AdamW(lr=0.1))
def test_twice():
    return numpy_adamw.adamw

@pytest.mark.refgrad(AdamW(), isolate=False)
def test_number():
    return 3

@pytest.mark.refgrad(AdamW(), isolate=False)
def test_nothing():
    numpy_adamw.adamw

@pytest.mark.refgrad(AdamW(), isolate=False, options={"fusd": True})
def test_option():
    return numpy_adamw.adamw

def test_of_a_class():
    @pytest.mark.refgrad(AdamW)
    def test_inner():
        return numpy_adamw.adamw
"""


def test_a_test_that_cannot_be_judged_says_why_in_a_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(MISUSES)
    result = pytester.runpytest_inprocess(*_plugin())
    result.assert_outcomes(failed=6)
    text = result.stdout.str()
    assert "test_nothing returned None; legal: a candidate" in text
    assert "test_async is async; legal: a plain function" in text
    assert "test_twice has @pytest.mark.refgrad twice; legal: one rule a test" in text
    assert "is an int; legal: a torch.optim.Optimizer class" in text
    assert "takes no option 'fusd'" in text
    assert "TypeError: AdamW takes hyperparameters by name, not <function" in text
    assert "float_environment.py" not in text  # none of refgrad's own frames


MORE = """
import pytest
from refgrad.examples import numpy_adamw
from refgrad.optimizers import AdamW

@pytest.mark.refgrad(AdamW())
def test_wrong():
    return numpy_adamw.adamw_eps_inside

def test_own(refgrad_verify):
    refgrad_verify(numpy_adamw.adamw, AdamW(), steps=2)

@pytest.mark.refgrad(AdamW(), lawz=True)
def test_misspelled():
    return numpy_adamw.adamw

@pytest.mark.refgrad(AdamW(), explain=False)
def test_unexplained():
    return numpy_adamw.adamw_eps_inside

@pytest.mark.refgrad(AdamW())
def test_no_candidate():
    return 3

def test_no_candidate_either(refgrad_verify):
    refgrad_verify("nowhere:step", AdamW())
"""


@pytest.mark.slow
def test_options_properties_annotations_and_colour(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile(MORE)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    options = ["--refgrad-seed=7", "--refgrad-steps=3", "--junit-xml=found.xml", "--color=yes"]
    result = pytester.runpytest_subprocess(*_plugin(), *options)
    text = result.stdout.str()
    assert "no argument is called 'lawz'; did you mean 'laws'?" in text
    assert "def pytest_pyfunc_call" not in text
    assert re.search(r"\x1b\[31m\x1b\[1mDOES NOT CONFORM|\x1b\[1m\x1b\[31mDOES NOT CONFORM", text)
    assert "3 steps, float32, seed 7" in text
    told = [line for line in text.splitlines() if line.startswith("::error ")]
    assert "line=5,title=" in told[0]
    assert "eps_placement=inside" in told[0]
    assert re.search(r"::does not conform: step 1, p\[.*legal: \[", told[1])
    assert "against AdamW()::could not be judged: 3 is an int" in told[2]
    assert "against AdamW()::could not be judged: there is no module 'nowhere'" in told[3]
    assert len(told) == 4
    # the sentence is the report: no traceback of refgrad's
    assert re.search(r"_ test_no_candidate _+\S*\ncould not be judged: 3 is an int", text)
    assert re.search(r"_ test_no_candidate_either _+\S*\ncould not be judged: there is no module", text)
    assert "in _judge" not in text
    cases = {case.get("name"): case for case in ET.parse(pytester.path / "found.xml").iter("testcase")}
    wrong, own = (
        {p.get("name"): p.get("value") for p in cases[n].iter("property")} for n in ("test_wrong", "test_own")
    )
    assert (wrong["refgrad_outcome"], wrong["refgrad_seed"], wrong["refgrad_steps"]) == ("does not conform", "7", "3")
    assert "eps_placement=inside" in str(wrong["refgrad_explanation"])
    assert (own["refgrad_outcome"], own["refgrad_seed"], own["refgrad_steps"]) == ("conforms", "7", "2")


LOADED = """
import sys
import pytest
before = set(sys.modules)
import refgrad.testing.plugin
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)))
import refgrad.testing
refgrad.testing.check_laws, refgrad.testing.LAWS
print(*sorted(name for name in ("numpy", "hypothesis") if name in sys.modules))
"""


@pytest.mark.slow
def test_the_plugin_costs_who_does_not_use_it_nothing() -> None:
    """Every pytest loads it: not with NumPy, Hypothesis, Numba or a framework; the names are there when asked for."""
    done = subprocess.run([sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["refgrad", "hypothesis numpy"]


def test_the_names_of_the_package_are_those_that_it_loads_later() -> None:
    from refgrad import testing

    assert set(testing._LATER) == set(testing.__all__) <= set(dir(testing))
    assert all(getattr(testing, name) is not None for name in testing.__all__)
    with pytest.raises(AttributeError, match="no attribute 'laws'"):
        _ = testing.laws
