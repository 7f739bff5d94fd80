"""Golden files made, read, verified, compared and damaged; and those of the repository."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import random
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from refgrad.arithmetic.dtypes import as_dtype
from refgrad.cli import golden as commands
from refgrad.errors import ArgumentError
from refgrad.estimators import ClippedSTE
from refgrad.golden import checking, making, reading, records, tensors
from refgrad.golden.case import Case, case_of, judge, within
from refgrad.golden.flags import FLAGS, OF_REWRITES
from refgrad.golden.inputs import Sample, drawn, golden_rule, telling
from refgrad.golden.levels import DTYPES, LEVELS, level_of
from refgrad.golden.records import GoldenError
from refgrad.golden.wrong import Wrong, mutants, others, variants
from refgrad.optimizers import SGD, AdamW
from refgrad.rule import rules
from refgrad.sparsity import Magnitude, NormalizedMagnitude, SoftMovement
from tests.golden import fuzz, published

pytest.importorskip("safetensors")

SMOKE = LEVELS["smoke"]
FOLDER = fuzz.FOLDER
#: rules of the repository's files that are looked at in a run of depth suite: some of each kind, others in each version
LISTED = sorted(path.stem for path in FOLDER.glob("*.safetensors"))
SAMPLE = random.Random(20).sample(LISTED, 8)
#: and those that are made anew: one of each kind whose file is made quickly
AGAIN = ("AdaGradNorm", "EDE", "GroupSoftThreshold", "L2Filters")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of two small rules."""
    folder = tmp_path_factory.mktemp("golden")
    assert making.make(folder, SMOKE, ["BatchScaledRate", "SignDescent"]) == ["BatchScaledRate", "SignDescent"]
    return folder


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """A copy of them, to be damaged."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def first_case(rule: Any) -> Case:
    return next(c for d in drawn(rule, SMOKE, "float32") if (c := case_of(rule, d, "float32")) is not None)


@pytest.mark.slow
def test_what_is_made_is_verified_and_made_again_is_the_same(made: Path, tmp_path: Path) -> None:
    assert list(checking.verify(made, ["BatchScaledRate", "SignDescent"])) == []
    making.make(tmp_path, SMOKE, ["SignDescent"])
    for end in ("json", "safetensors"):
        assert (tmp_path / f"SignDescent.{end}").read_bytes() == (made / f"SignDescent.{end}").read_bytes()


@pytest.mark.slow
def test_making_goes_on_where_it_was_broken_off(copied: Path) -> None:
    (copied / "SignDescent.safetensors").write_bytes(b"cut")
    assert making.make(copied, SMOKE, ["BatchScaledRate", "SignDescent"]) == ["SignDescent"]
    assert list(checking.lint(copied, ["BatchScaledRate", "SignDescent"])) == []


def test_nothing_is_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("no room")))
    with pytest.raises(OSError, match="no room"):
        records.write(tmp_path / "file.json", b"{}")
    assert list(tmp_path.iterdir()) == []


def test_results_are_judged_by_a_case_alone() -> None:
    rule = golden_rule(AdamW)
    case = first_case(rule)
    right = {n: each.reference for n, each in case.sets.items()}
    assert not any(found.outside.any() for found in judge(case, right).values())
    other = {**right, "p": right["p"] * 1.001}
    assert judge(case, other)["p"].outside.any()
    # another state that is right: the parameter is judged by the wide set
    moved = {**right, "m": np.asarray(case.sets["m"].high, np.float32)}
    assert not judge(case, moved)["p"].outside.any()


def test_an_output_is_given_whatever_it_is_computed_from() -> None:
    """AMSGrad's largest second moment stands before the second moment, and is right beside any that is."""
    file = reading.read(FOLDER, "AMSGrad")
    outputs = {each["name"]: each["given"] for each in file.document["cases"][0]["outputs"]}
    assert outputs["v_max"] == ["v"]
    rule: Any = making.built("AMSGrad", file.document["cases"][0]["hyperparameters"])
    case = first_case(rule)
    results = {n: np.asarray(each.reference, np.float32) for n, each in case.sets.items()}
    before = results["v_max"] != results["v"]
    results["v"] = np.asarray(case.sets["v"].high, np.float32)
    results["v_max"] = np.where(before, results["v_max"], results["v"])
    assert not any(each.outside.any() for each in judge(case, results).values())
    assert not before.all()


def test_nan_and_infinities_are_judged_by_sets_that_have_them() -> None:
    """NaN is right where the ends are NaN or one infinity, and wherever infinities may meet; a number is not."""
    low, high = np.array([np.nan, np.inf, -np.inf, 1.0]), np.array([np.nan, np.inf, np.inf, 2.0])
    numbers = np.array([0.0, 0.0, 0.0, 1.5])
    assert within(numbers, [(low, high)]).tolist() == [False, False, True, True]
    assert within(np.full(4, np.nan), [(low, high)]).tolist() == [True, True, False, False]
    assert within(np.full(4, np.inf), [(low, high)]).tolist() == [False, True, True, False]
    assert within(np.full(4, np.nan), [(low, high)], nan=True).all()


@pytest.mark.parametrize(("name", "output"), [("Adamax", "u"), ("Lion", "p")], ids=["maximum", "sign"])
def test_what_programs_make_of_nan_is_right_as_nan_and_as_a_number(name: str, output: str) -> None:
    """A maximum and a sign of NaN: the rule itself gives NaN, and other programs one of the numbers."""
    rule = golden_rule(rules()[name])
    samples = (s for s in telling(rule, SMOKE, "float32") if s.nan_open)
    case = next(c for s in samples if (c := case_of(rule, s, "float32")) is not None)
    each = case.sets[output]
    own = {n: np.asarray(a.reference, np.float64) for n, a in case.sets.items()}
    here = np.isnan(own[output])
    assert here.any()
    number = np.where(here, each.low, own[output])
    assert np.isfinite(number).all()
    for values in (own[output], number):
        assert not judge(case, {**own, output: values})[output].outside.any()
    assert judge(case, {**own, output: np.where(here, 1e30, number)})[output].outside[here].all()


def test_sets_with_nan_are_on_the_grid_of_their_dtype() -> None:
    rule = golden_rule(SGD)
    samples = (s for s in telling(rule, SMOKE, "float32") if s.nan_open)
    case = next(c for s in samples if (c := case_of(rule, s, "float32")) is not None)
    found = {name: array for name, array in making._arrays(0, case) if name.split("/")[1] in ("set", "wide")}
    assert any(np.isnan(array).any() for array in found.values())
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("cls", [AdamW, ClippedSTE, Magnitude], ids=["optimizer", "estimator", "mask"])
def test_a_case_with_nan_refuses_a_number_in_its_place(cls: Any) -> None:
    rule = golden_rule(cls)
    samples = (s for s in telling(rule, SMOKE, "float32") if not s.finite)
    case = next(c for s in samples if (c := case_of(rule, s, "float32")) is not None)
    right = {n: np.asarray(each.reference, np.float64) for n, each in case.sets.items()}
    assert not any(found.outside.any() for found in judge(case, right).values())
    arrays = {**case.arrays, **{n: int(v) if n == "t" else v for n, v in case.numbers.items()}}
    assert any(not np.isfinite(np.asarray(a, np.float64)).all() for a in arrays.values())
    numbers = {n: np.nan_to_num(values, nan=3.0, posinf=3.0, neginf=3.0) for n, values in right.items()}
    changed = any((numbers[n] != right[n]).any() for n in right)
    assert not changed or any(found.outside.any() for found in judge(case, numbers).values())


@pytest.mark.slow
def test_named_behaviours_on_nan_and_ties_are_told_apart(tmp_path: Path) -> None:
    making.make(tmp_path, SMOKE, ["ClippedSTE"])
    document = reading.read(tmp_path, "ClippedSTE").document
    assert [text for text in document["not_refused"] if "scalars=float32" not in text] == []
    assert {case["dtype"] for case in document["cases"] if not case["variant"]} == {"float32", "bfloat16"}
    assert list(checking.verify(tmp_path, ["ClippedSTE"])) == []


def test_a_file_has_arrays_of_bfloat16() -> None:
    arrays = {"a": np.asarray([1.0, np.nan, -np.inf], as_dtype("bfloat16")), "b": np.zeros((2, 0), np.float16)}
    found = tensors.unpacked(tensors.packed(arrays), "here")
    assert {n: (a.dtype, a.shape) for n, a in found.items()} == {n: (a.dtype, a.shape) for n, a in arrays.items()}
    assert found["a"].tobytes() == arrays["a"].tobytes()
    unknown = tensors.packed({"a": np.zeros(2, np.complex64)})
    with pytest.raises(GoldenError, match="dtype 'C64'; legal: F16"):
        tensors.unpacked(unknown, "here")


def test_an_array_that_cases_share_stands_in_the_file_once(made: Path) -> None:
    """Bit by bit: zeros of another sign, other shapes and other dtypes are other arrays."""
    zero, minus = np.zeros(2, np.float32), -np.zeros(2, np.float32)
    arrays = {"0/in/g": zero, "0/in/p": minus, "1/in/g": zero.copy(), "1/in/p": zero[:, None], "1/set/m": np.zeros(2)}
    kept, copies = tensors.without_copies(arrays)
    assert copies == {"1/in/g": "0/in/g"}
    assert kept == {name: array for name, array in arrays.items() if name != "1/in/g"}
    document = json.loads((made / "SignDescent.json").read_bytes())
    stored = tensors.unpacked((made / "SignDescent.safetensors").read_bytes(), "SignDescent")
    assert tensors.without_copies(dict(sorted(stored.items())))[1] == {}
    file = reading.read(made, "SignDescent")
    shared = [
        (f"{n}/{own}", name) for n, case in enumerate(document["cases"]) for own, name in case.get("shared", {}).items()
    ]
    assert shared
    assert set(file.arrays) == {*stored, *(key for key, _ in shared)}
    for key, name in shared:
        assert file.arrays[key] is file.arrays[name]
        assert name in stored


@pytest.mark.slow
def test_a_file_of_the_first_form_is_read_and_shares_nothing(made: Path, tmp_path: Path) -> None:
    """It has every array of every case: what a folder of it and one of today differ in is nothing."""
    file = reading.read(made, "SignDescent")
    document = json.loads((made / "SignDescent.json").read_bytes()) | {"schema": records.SCHEMAS[0]}
    shares = next(case["id"] for case in document["cases"] if "shared" in case)
    with pytest.raises(GoldenError, match=f"{shares} has 'shared', which a document of refgrad-golden-1 has not"):
        reading.checked(document, file.arrays)
    for case in document["cases"]:
        case.pop("shared", None)
    data = tensors.packed(file.arrays)
    document["tensors"]["sha256"] = hashlib.sha256(data).hexdigest()
    records.write(tmp_path / "SignDescent.safetensors", data)
    records.write(tmp_path / "SignDescent.json", records.text(document))
    records.write(tmp_path / making.MANIFEST, records.text(making.manifest(tmp_path, "smoke")))
    assert list(checking.verify(tmp_path, ["SignDescent"])) == []
    alone = tmp_path / "alone"
    making.make(alone, SMOKE, ["SignDescent"])
    assert list(checking.differences(tmp_path, alone)) == []


@pytest.mark.slow
@pytest.mark.parametrize("level", ["standard", "exhaustive"])
def test_a_level_keeps_to_its_budget_and_is_verified(level: str, tmp_path: Path) -> None:
    """The first case of each is there whatever it takes, and no more than the budget but for the last one besides."""
    small = dataclasses.replace(level_of(level), bytes=20_000, most=3, other=2, seeds=(0,))
    for folder in ("once", "again"):
        making.make(tmp_path / folder, small, ["SignDescent"])
    data = (tmp_path / "once" / "SignDescent.safetensors").read_bytes()
    assert data == (tmp_path / "again" / "SignDescent.safetensors").read_bytes()
    document = reading.read(tmp_path / "once", "SignDescent").document
    assert {case["dtype"] for case in document["cases"]} == set(DTYPES)
    assert len(data) < 3 * small.bytes
    assert list(checking.verify(tmp_path / "once", ["SignDescent"])) == []


@pytest.mark.thorough
def test_cases_refuse_variants_and_most_mutants() -> None:
    rule = golden_rule(AdamW)
    chosen = making.choose(AdamW, SMOKE)
    faults = [text for text in chosen.left if text.startswith("fault")]
    assert chosen.mutants > 50
    assert len(faults) <= 0.1 * chosen.mutants, faults
    refused = {wrong.name for wrong, _ in chosen.wrong}
    assert {"eps_placement=inside"} <= refused
    assert len(variants(rule)) - 1 == len(others(variants(rule), rule))
    assert {wrong.flag for wrong, _ in chosen.wrong} <= set(FLAGS)
    assert all(isinstance(each, Wrong) for each in mutants(golden_rule(SGD), first_case(golden_rule(SGD))))


@pytest.mark.slow
@pytest.mark.parametrize("cls", [SoftMovement, NormalizedMagnitude], ids=["threshold", "eps"])
def test_faults_of_a_threshold_and_of_an_eps_are_refused(cls: Any) -> None:
    """By two cases: a threshold's mask is judged where its score is the file's, and beside some weights 1e-8 counts."""
    rule = golden_rule(cls)
    cases = [case_of(rule, sample, "float32") for sample in itertools.islice(drawn(rule, SMOKE, "float32"), 2)]
    found = [case for case in cases if case is not None]
    assert [case.whole for case in found] == [cls is NormalizedMagnitude] * 2
    faults = mutants(rule, found[0])
    assert len(faults) > 20
    assert [fault.name for fault in faults if not any(fault.refused(case) for case in found)] == []


def test_an_id_is_that_of_the_inputs_alone() -> None:
    rule = golden_rule(SGD)
    case = first_case(rule)
    same = case_of(rule, Sample("other", {**case.arrays, **{n: int(v) for n, v in case.numbers.items()}}), "float32")
    assert same is not None
    assert same.id == case.id
    changed = {**case.arrays, "p": case.arrays["p"] + 1, "t": 1}
    other = case_of(rule, Sample("normal", changed), "float32")
    assert other is not None
    assert other.id != case.id


def test_an_id_is_never_used_again_when_a_rule_means_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    case = first_case(golden_rule(SGD))
    before = case.id
    monkeypatch.setattr(SGD, "revision", 2)
    second = case.id
    monkeypatch.setattr(SGD, "revision", 3)
    assert len({before, second, case.id}) == 3


def test_the_page_lists_the_rules_whose_cases_refuse_less_than_nine_in_ten_of_their_faults() -> None:
    page = (FOLDER.parents[1] / "docs" / "golden.md").read_text(encoding="utf-8")
    weak, cases = {}, 0
    for name in LISTED:
        document = json.loads((FOLDER / f"{name}.json").read_bytes())
        left = sum(text.startswith("fault: ") for text in document["not_refused"])
        cases += len(document["cases"])
        if left > 0.1 * document["mutants"]:
            weak[name] = (left, document["mutants"])
    table = page.partition("| rule | faults not refused | of |")[2].partition("\n\n")[0]
    rows = re.findall(r"(?m)^\| (\w+) \| (\d+) \| (\d+) \| ...+ \|$", table)
    assert {name: (int(left), int(of)) for name, left, of in rows} == weak
    assert f"has {cases} cases of all {len(LISTED)} rules" in page


def test_every_kind_of_fault_stands_on_the_page() -> None:
    page = (FOLDER.parents[1] / "docs" / "golden.md").read_text(encoding="utf-8")
    rows = [f"| `{name}` | {each.bug} | {each.cause} | {each.effect} |" for name, each in FLAGS.items()]
    assert page.partition("### Kinds of fault")[2].partition("\n### ")[0].strip().splitlines()[-len(rows) :] == rows
    assert set(OF_REWRITES.values()) <= set(FLAGS)


@pytest.mark.slow
def test_cases_of_the_repository_are_what_they_were_when_they_came_into_it() -> None:
    """A case that means something else is printed; its rule's version is to be raised, by which it has another id."""
    assert list(published.changed(FOLDER, LISTED, published.known())) == []


def test_a_case_that_says_something_else_at_one_version_is_printed(copied: Path) -> None:
    before = dict(published.said(reading.read(copied, "SignDescent")))
    assert list(published.changed(copied, ["SignDescent"], before)) == []
    stored = tensors.unpacked((copied / "SignDescent.safetensors").read_bytes(), "SignDescent")
    arrays = stored | {"1/set/p": stored["1/set/p"] * np.float32(2)}
    data = tensors.packed(arrays)
    (copied / "SignDescent.safetensors").write_bytes(data)
    document = json.loads((copied / "SignDescent.json").read_bytes())
    document["tensors"]["sha256"] = hashlib.sha256(data).hexdigest()
    (copied / "SignDescent.json").write_bytes(records.text(document))
    id_ = document["cases"][1]["id"]
    told = [f"{id_}: says something else than at version 1; raise SignDescent.revision"]
    assert list(published.changed(copied, ["SignDescent"], before)) == told
    assert f"{id_}: new" in next(
        published.changed(copied, ["SignDescent"], {i: p for i, p in before.items() if i != id_})
    )


def damaged(folder: Path, change: Any) -> list[str]:
    """What is said of a rule whose document was changed, its digest in the manifest along with it."""
    path = folder / "SignDescent.json"
    document = json.loads(path.read_bytes())
    change(document)
    path.write_bytes(records.text(document))
    manifest = json.loads((folder / making.MANIFEST).read_bytes())
    for each in manifest["files"]:
        each["sha256"] = hashlib.sha256((folder / each["file"]).read_bytes()).hexdigest()
    (folder / making.MANIFEST).write_bytes(records.text(manifest))
    return list(checking.verify(folder, ["SignDescent"]))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(extra=1), "has 'extra'"),
        (lambda d: d.update(version=2), "of version 2 of the rule"),
        (lambda d: d.update(rule="Lion"), "of another rule"),
        (lambda d: d["tensors"].update(sha256="0" * 64), "another digest"),
        (lambda d: d["cases"][0]["hyperparameters"].update(lr="0x1.0p+3"), "truths"),
        (lambda d: d["cases"][0]["hyperparameters"].update(lr="ten"), "SignDescent"),
        (lambda d: d["cases"][0]["inputs"].append("q"), "no tensor '0/in/q'"),
        (lambda d: d["cases"][0].update(numbers={"t": 3}), "numbers.t is an int; legal: string"),
        (lambda d: d["cases"][0].update(numbers={"t": "0x1.8p+0"}), "legal: a whole number from 1"),
        (lambda d: d["cases"][0].update(numbers={"t": "0x1.0p+9999"}), "legal: a number of float64"),
        (lambda d: d["cases"][0].update(policy={"nan": "wrong"}), "policy.nan is 'wrong'"),
        (lambda d: d["cases"].append(d["cases"][0]), "an id twice"),
        (lambda d: d["cases"][0].update(shared={"in/g": "0/in/p"}), "'in/g' is shared, and a tensor of its own"),
        (lambda d: d["cases"][0].update(shared={"in/q": "9/in/q"}), "'in/q' is tensor '9/in/q', which there is not"),
        (lambda d: d["cases"][0].update(shared={"in/q": "in/p"}), "shared.in/q is 'in/p'; legal: "),
        (lambda d: d.update(schema=records.SCHEMAS[0]) or d["cases"][0].update(shared={}), "has 'shared', which a"),
        (lambda d: d["cases"][0]["outputs"][0].update(given=["q"]), "p is given 'q', which there is not"),
        (lambda d: d["cases"][0]["outputs"][0].update(ways=9), "the set of p has shape"),
        (lambda d: d["cases"][0]["outputs"][0].update(wide=True), "no tensor '0/wide/p'"),
        (lambda d: d["wrong"][0].update(case="SignDescent-000000000000"), "a wrong value of no case"),
        (lambda d: d["wrong"][0]["at"].append(3), "a wrong value of no case"),
        (lambda d: d["wrong"][0].update(at=[1 << 20] * len(d["wrong"][0]["at"])), "a wrong value beyond the end of p"),
        (lambda d: d["cases"][0]["hyperparameters"].pop("lr"), "its hyperparameters are not all that the rule has"),
    ],
    ids=[
        *("field", "version", "rule", "digest", "setting", "no number", "tensor"),
        *("no text", "part of a step", "too large", "policy", "id"),
        *("shared and its own", "shared and nowhere", "shared by no name", "shared of the first form"),
        *(
            "given of nothing",
            "ways",
            "wide",
            "wrong of no case",
            "wrong of no value",
            "wrong beyond",
            "a setting less",
        ),
    ],
)
def test_what_was_changed_is_said(copied: Path, change: Any, says: str) -> None:
    assert any(says in text for text in damaged(copied, change))


def test_sets_whose_ends_are_no_set_are_refused(copied: Path) -> None:
    """Though every digest is right: a low end above its high end, or NaN alone."""
    stored = tensors.unpacked((copied / "SignDescent.safetensors").read_bytes(), "SignDescent")
    for low in (np.inf, np.nan):
        ends = stored["0/set/p"].copy()
        ends[:, 0] = low
        data = tensors.packed(stored | {"0/set/p": ends})
        (copied / "SignDescent.safetensors").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        found = damaged(copied, lambda d, digest=digest: d["tensors"].update(sha256=digest))
        assert any("a low end of p is above its high end, or NaN alone" in text for text in found), found


def test_what_is_no_folder_of_golden_files_is_one_sentence(copied: Path, tmp_path: Path) -> None:
    (found,) = checking.lint(tmp_path / "none", [])
    assert "there is no such file" in found
    assert list(checking.lint(copied, ["NoRule"])) == [f"{making.MANIFEST} has no 'NoRule'"]
    path = copied / "SignDescent.json"
    path.write_bytes(path.read_bytes() + b" ")
    assert "SignDescent.json: another digest than the manifest's" in list(checking.lint(copied, ["SignDescent"]))
    manifest = json.loads((copied / making.MANIFEST).read_bytes())
    (copied / making.MANIFEST).write_bytes(records.text({**manifest, "notes": {}}))
    assert f"{making.MANIFEST}: its notes are not those of this version" in list(checking.lint(copied, []))
    for case, words in (("SignDescent", "legal: a rule's name and"), ("SignDescent-0", "there is no case")):
        with pytest.raises(GoldenError, match=words):
            checking.shown(copied, case)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[" * 100_000, "too deeply nested"),
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b'{"a": NaN}', "NaN is no JSON"),
        (b'{"a": 1, "a": 2}', "a name twice in one object"),
        (b"[]", "is a list; legal: object"),
    ],
)
def test_a_document_that_is_none_is_refused(text: bytes, words: str) -> None:
    with pytest.raises(GoldenError, match=words):
        records.parse(text, "manifest", "here")


def test_differences_are_named_by_case(made: Path, copied: Path) -> None:
    assert list(checking.differences(made, copied)) == []
    assert damaged(copied, lambda d: d["cases"].pop()) != [""]
    ids = [c["id"] for c in reading.read(made, "SignDescent").document["cases"]]
    assert f"{ids[-1]}: gone" in list(checking.differences(made, copied))


def test_what_a_document_says_otherwise_is_a_difference(made: Path, copied: Path) -> None:
    """Numbers and settings of a case, and what stands beside the cases, count as its arrays do."""
    assert damaged(copied, lambda d: d["cases"][0]["hyperparameters"].update(lr="0x1.0p+3")) != [""]
    id_ = reading.read(made, "SignDescent").document["cases"][0]["id"]
    told = [f"{id_}: changed, and the version of the rule is the same"]
    assert list(checking.differences(made, copied)) == told
    damaged(copied, lambda d: d.update(mutants=d["mutants"] + 1))
    assert list(checking.differences(made, copied)) == [
        *told,
        "SignDescent: the number of faults that were tried changed",
    ]


@pytest.mark.parametrize("name", ["SignDescent.json", "SignDescent.safetensors"])
@pytest.mark.parametrize("change", ["missing", "cut", "edited"])
def test_files_that_are_damaged_beside_two_like_manifests_are_not_the_same(
    name: str, change: str, made: Path, copied: Path
) -> None:
    path = copied / name
    data = path.read_bytes()
    path.unlink()
    if change != "missing":
        edited = (
            data.replace(b'"mutants":', b'"mutants":1') if name.endswith("json") else data[:-1] + bytes([data[-1] ^ 1])
        )
        path.write_bytes(data[:-9] if change == "cut" else edited)
    for folders in ((made, copied), (copied, made)):
        with pytest.raises(GoldenError, match=rf"{name}.*; legal: whole files") as found:
            list(checking.differences(*folders))
        assert str(copied) in str(found.value)
        assert str(found.value).count("legal: ") == 1


def test_the_command_says_which_folder_has_no_golden_files(made: Path, tmp_path: Path) -> None:
    for words, argument in (
        (("diff", str(tmp_path), str(made)), "OLD"),
        (("diff", str(made), str(tmp_path)), "NEW"),
        (("show", "SignDescent-1", "--at", str(tmp_path)), "--at"),
    ):
        with pytest.raises(ArgumentError, match=f"^{argument} is .*; legal: a folder of golden files, which has a"):
            CliRunner().invoke(commands.golden, words, standalone_mode=False, catch_exceptions=False)


def test_files_that_are_not_there_are_told_in_one_line(copied: Path) -> None:
    for path in copied.glob("*.json"):
        if path.name != making.MANIFEST:
            path.unlink()
    (said,) = checking.lint(copied)
    assert said == (
        f"{copied}: 2 of the 2 files that manifest.json lists are not there: BatchScaledRate.json, SignDescent.json"
    )


@pytest.mark.parametrize(
    ("id_", "says"),
    [
        (
            "SignDescnt-0123456789ab",
            "; did you mean 'SignDescent'?; legal: a case of a rule that manifest.json lists, ",
        ),
        ("SignDescent-0123456789ab", "; legal: SignDescent-"),
        ("SignDescent", "; legal: a rule's name and the case's own, such as "),
    ],
)
def test_a_case_that_there_is_not_is_told_with_those_like_it(made: Path, id_: str, says: str) -> None:
    with pytest.raises(GoldenError, match=re.escape(says)):
        checking.shown(made, id_)


def test_the_case_most_like_what_was_asked_for_is_named_first(made: Path) -> None:
    ids = [c["id"] for c in reading.read(made, "SignDescent").document["cases"]]
    with pytest.raises(GoldenError, match=f"; legal: {ids[-1]}"):
        checking.shown(made, f"{ids[-1][:-1]}")


@pytest.mark.slow
def test_the_command_makes_verifies_and_shows(made: Path, copied: Path) -> None:
    def run(*words: str) -> Any:
        return CliRunner().invoke(commands.golden, words, standalone_mode=False)

    id_ = reading.read(made, "SignDescent").document["cases"][0]["id"]
    assert run("verify", "SignDescent", "--at", str(made)).return_value == 0
    assert "p[0] in [" in run("show", id_, "--at", str(made)).output
    assert run("diff", str(made), str(copied)).return_value == 0
    (copied / "SignDescent.json").write_bytes(b"{")
    found = run("lint", "SignDescent", "--at", str(copied))
    assert found.return_value == 1
    assert "no JSON" in found.output
    assert run("make", "SignDescent", "--out", str(copied)).return_value == 0
    assert run("lint", "SignDescent", "--at", str(copied)).return_value == 0


@pytest.mark.parametrize(
    ("name", "output", "narrow"),
    [("NAdam", "mu_product", False), ("Affine", "scale", True), ("Coherence", "result", True)],
)
def test_what_is_wider_than_its_case_is_right_unrounded(name: str, output: str, narrow: bool) -> None:
    """A number that is made of hyperparameters is float64; scales and sums may be float32, in cases of bfloat16 too."""
    file, rounded = reading.read(FOLDER, name), []
    for number, case in enumerate(file.document["cases"]):
        truth = file.arrays.get(f"{number}/truth/{output}")
        found = file.arrays.get(f"{number}/set/{output}")
        if truth is not None and found is not None and found.dtype == np.float64:
            assert within(truth, list(found), "nan" in case["policy"]).all()
            rounded.append(within(truth.astype(np.float32).astype(np.float64), list(found)).all())
    assert rounded
    assert all(rounded) is narrow


def test_there_are_three_levels() -> None:
    assert [level_of(name).name for name in LEVELS] == ["smoke", "standard", "exhaustive"]
    with pytest.raises(ArgumentError, match="legal: smoke, standard, exhaustive"):
        level_of("huge")


@pytest.mark.parametrize("name", ["../secret", "", "A/B"], ids=["up", "empty", "folder"])
def test_a_name_that_leads_elsewhere_is_refused(made: Path, name: str) -> None:
    with pytest.raises(GoldenError, match="no rule's name"):
        reading.read(made, name)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LARGEST", 10)
    (tmp_path / "SGD.json").write_bytes(b" " * 11)
    with pytest.raises(GoldenError, match="11 bytes"):
        reading.read(tmp_path, "SGD")


def test_damaged_files_are_read_or_refused_and_nothing_else() -> None:
    found = fuzz.run("BatchScaledRate", 300, seed=20)
    assert found["failed"] == 0
    assert found["refused"] > 200


@pytest.mark.parametrize("rule", fuzz.VERIFIED)
def test_files_with_an_exchanged_field_are_refused_or_verified_and_nothing_else(rule: str) -> None:
    found = fuzz.verified(rule, 20, seed=20)
    assert found["failed"] == 0
    assert found["refused"] + found["wrong"] > 5


@pytest.mark.parametrize(("rule", "field"), [("NF4", "block_size"), ("QSGD", "bucket"), ("PowerSGD", "rank")])
def test_a_setting_that_would_take_more_memory_than_its_file_is_refused(rule: str, field: str) -> None:
    file = reading.read(FOLDER, rule)
    case = json.loads(json.dumps(file.document["cases"][0]))
    case["hyperparameters"][field] = 1 << 40
    told = list(checking.problems(reading.File({**file.document, "cases": [case]}, file.arrays)))
    assert f"{field} is {1 << 40}; legal beside arrays of this size: up to " in told[0]


def test_the_schema_is_that_of_json_schema_too() -> None:
    import jsonschema

    document = json.loads((FOLDER / "AdamW.json").read_bytes())
    jsonschema.validate(document, records.schema("case"))
    jsonschema.validate(json.loads((FOLDER / making.MANIFEST).read_bytes()), records.schema("manifest"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "more": 1}, records.schema("case"))


def test_the_repository_has_every_rule_and_is_small() -> None:
    listed = {each["rule"] for each in checking.listed(FOLDER)["files"]}
    assert listed == set(rules())
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 8_000_000


def made_again(file: Any, number: int, record: Any) -> Case:
    """A case of a file made anew, as its record says it was made."""
    numbers = {n: float.fromhex(v) for n, v in record["numbers"].items()}
    arrays = {n: file.array(number, "in", n) for n in record["inputs"]}
    arrays |= {n: int(v) if n == "t" else v for n, v in numbers.items()}
    policy, outputs = record["policy"], frozenset(each["name"] for each in record["outputs"])
    sample = Sample(record["family"], arrays, None, outputs, "decisions_on_nan" in policy, "nan" in policy)
    case = case_of(making.built(file.document["rule"], record["hyperparameters"]), sample, record["dtype"])
    assert case is not None
    return case


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize("name", [n if n in SAMPLE else pytest.param(n, marks=pytest.mark.thorough) for n in LISTED])
def test_the_files_of_the_repository_are_what_the_rules_say(name: str) -> None:
    """The truths by the exact path; and the sets made anew, which change only with the rule's `revision`."""
    assert list(checking.verify(FOLDER, [name])) == []
    file = reading.read(FOLDER, name)
    changed = []
    every = list(enumerate(file.document["cases"]))
    undefined = [(n, record) for n, record in every[3:] if record["policy"]]
    for number, record in every[:3] + undefined[:2]:
        case = made_again(file, number, record)
        now = {key: array.tobytes() for key, array in making._arrays(number, case)}
        if any(file.arrays[key].tobytes() != data for key, data in now.items()):
            changed.append(record["id"])
        coded = case.rule.kind == "quantizer"  # judged as the numbers that codes stand for
        own = {n: each.reference for n, each in case.sets.items() if each.reference.size == each.low.size and not coded}
        assert not any(each.outside.any() for each in judge(case, own).values()), (
            f"{record['id']} refuses the rule itself"
        )
    assert changed == [], f"raise {name}.revision if its meaning changed, and make its files again"


@pytest.mark.slow
@pytest.mark.sample(quick=1)
@pytest.mark.parametrize("name", [n if n in AGAIN else pytest.param(n, marks=pytest.mark.thorough) for n in LISTED])
def test_the_files_of_the_repository_are_made_again_byte_by_byte(name: str, tmp_path: Path) -> None:
    making.make(tmp_path, SMOKE, [name])
    changed = [
        f"{name}.{end}"
        for end in ("json", "safetensors")
        if (tmp_path / f"{name}.{end}").read_bytes() != (FOLDER / f"{name}.{end}").read_bytes()
    ]
    assert changed == [], f"raise {name}.revision if its meaning changed, and `refgrad golden make --fresh {name}`"


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    words = ["make", "Lion", "--out", str(taken)]
    told = CliRunner().invoke(commands.golden, words, standalone_mode=False).exception
    assert isinstance(told, ArgumentError)
    assert str(told).startswith(f"--out is {str(taken)!r}; legal: a folder that can be written")
    assert taken.read_text() == "a file"


@pytest.mark.parametrize("value", ["abc", "1.5", "0.1"])
def test_a_setting_that_is_no_hex_float_is_refused(value: str) -> None:
    with pytest.raises(GoldenError, match="is no number; legal: a hex float with 0x"):
        making.built("SignDescent", {"lr": value})
