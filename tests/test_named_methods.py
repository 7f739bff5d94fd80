"""Every estimator and every method of sparsity that refgrad promises by name is there, has a source, and is in the docs."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from refgrad.rule import Choice, find, rules

DOCS = Path(__file__).parents[1] / "docs"

#: what is promised -> rules by name (with the variant that it is), or functions by their path in refgrad
ESTIMATORS = {
    "BiPer, square wave forward, cosine surrogate, frequency": ["BiPer.frequency"],
    "BiPer, both training stages": [
        "BiPer.stage=real",
        "BiPer.stage=binary",
        "BiPer.tau",
        "BiPerActivation.mode=training",
    ],
    "BiPer, quantization error in closed form": ["estimators.indicators.laplace_quantization_error"],
    "BiPer, quantization error measured": ["estimators.indicators.quantization_error"],
    "BiPer, schedule": ["estimators.schedules.biper"],
    "ReSTE, power estimator with o, t, m": ["ReSTE.o", "ReSTE.t", "ReSTE.m", "ReSTE.edge=inclusive"],
    "ReSTE, estimating error": ["estimators.indicators.estimating_error"],
    "ReSTE, gradient stability": ["estimators.indicators.gradient_stability"],
    "ReSTE, schedule": ["estimators.schedules.reste"],
    "identity STE": ["IdentitySTE"],
    "clipped STE with its boundary as policy": ["ClippedSTE.edge=inclusive", "ClippedSTE.edge=exclusive"],
    "ApproxSign": ["ApproxSign"],
    "Libra-PB with EDE": ["LibraPB", "EDE", "estimators.schedules.ede"],
    "SwishSign": ["SwishSign"],
    "DSQ": ["DSQ"],
    "FDA": ["FDA"],
    "RBNN": ["RBNN", "RBNNRotation", "estimators.rotation.learned_rotation", "estimators.schedules.rbnn"],
    "ReCU": ["ReCU", "estimators.schedules.recu"],
    "RSign and RPReLU": ["RSign", "RPReLU"],
    "XNOR": ["XNORWeights"],
    "XNOR++": ["XNORPlusPlus", "XNORPlusPlusChannel", "XNORPlusPlusDense"],
    "stochastic binarization": ["StochasticBinarization"],
    "DoReFa": ["DoReFaWeights.maximum=differentiated", "DoReFaActivation"],
    "PACT": ["PACT"],
    "LSQ": ["LSQ"],
    "EWGS": ["EWGS"],
    "Gumbel-softmax and its straight-through form": ["GumbelSoftmax", "StraightThroughGumbel"],
    "ReinMax": ["ReinMax"],
    "VQ straight-through": ["VectorQuantization"],
    "the rotation trick": ["RotationTrick"],
    "SNN surrogates": ["FastSigmoid", "ArcTan", "Triangular", "MultiGaussian"],
    "ProxQuant and ProxConnect": ["ProxQuant", "ProxConnect"],
    "rounding STE with saturation mask": ["RoundingSTE.window=rounded", "RoundingSTE.ties=away", "RoundingSTE.ties=up"],
    "sign at zero and of NaN": [
        "IdentitySTE.sign_at_zero=zero",
        "IdentitySTE.sign_of_nan=minus",
        "FastSigmoid.step_at_zero=zero",
    ],
}

MASKS = {
    "N:M by magnitude, keep n of m, and prune n of m": ["NOfM.n_is=kept", "NOfM.n_is=pruned", "NOfM.ties=low"],
    "SR-STE, forward mask and backward with its decay": ["SRSTE.decay", "SRSTEGradient"],
    "MDGF linear and exponential": ["MDGF.decay=linear", "MDGF.decay=exponential", "MDGFGradient"],
    "SDGF stepwise and geometric": ["SDGF.form=stepwise", "SDGF.form=geometric"],
    "beta schedules": ["sparsity.schedules.decay"],
    "training FLOPs": ["sparsity.schedules.training_cost"],
    "ASP 2:4": ["ASP"],
    "transposable N:M, greedy and exact": [
        "Transposable.method=exact",
        "Transposable.method=at_most",
        "Transposable.method=greedy",
        "Transposable.method=greedy_pruned",
    ],
    "channel permutation search": ["sparsity.permutation.exhaustive", "sparsity.permutation.swaps"],
    "2:4 compressed values with metadata": ["sparsity.compressed.compress", "sparsity.compressed.decompress"],
    "unstructured magnitude, layerwise and global": ["Magnitude.granularity=tensor", "Magnitude.granularity=together"],
    "random": ["RandomMask"],
    "block": ["Block"],
    "cubic gradual schedule": ["sparsity.schedules.cubic"],
    "uniform, ERK and LAMP allocation": [
        "sparsity.allocation.uniform",
        "sparsity.allocation.erdos_renyi",
        "sparsity.allocation.lamp",
    ],
    "SNIP": ["SNIP"],
    "GraSP": ["GraSP"],
    "SynFlow": ["SynFlow"],
    "FORCE": ["FORCE"],
    "RigL, drop, grow, schedule": ["RigL.anneal=cosine", "RigL.candidates=dropped_too"],
    "SET": ["SET"],
    "Top-KAST": ["TopKAST"],
    "STR": ["STR"],
    "movement and soft movement": ["Movement", "SoftMovement", "MovementGradient"],
    "Wanda": ["Wanda", "WandaNOfM"],
    "RIA": ["RIA"],
    "SparseGPT": ["SparseGPT"],
    "OBD and OBS": ["OBD", "OBS"],
    "WoodFisher": ["WoodFisher"],
    "network slimming": ["NetworkSlimming"],
    "L1 filters": ["L1Filters"],
    "AC/DC": ["ACDC"],
    "continuous sparsification": ["ContinuousSparsification"],
    "hard concrete L0": ["HardConcrete"],
    "lottery-ticket rewind": ["LotteryTicket"],
    "powerpropagation": ["Powerpropagation"],
    "counts by a named rule": ["Magnitude.rounding=floor", "Magnitude.rounding=ceil", "Magnitude.rounding=half_even"],
}


def resolved(path: str) -> Any:
    """A rule, its hyperparameter and one of its members, or a function."""
    if path.partition(".")[0] not in ("estimators", "sparsity"):
        name, _, field = path.partition(".")
        cls = find(name)
        field, _, member = field.partition("=")
        legal = cls.legal()[field] if field else None
        if member:
            assert isinstance(legal, Choice)
            assert legal.sentences[member]
        return cls
    module, _, function = path.rpartition(".")
    found = getattr(importlib.import_module(f"refgrad.{module}"), function)
    assert callable(found)
    return found


@pytest.mark.parametrize(("page", "promised"), [("estimators", ESTIMATORS), ("sparsity", MASKS)])
def test_everything_that_is_promised_is_there_and_documented(page: str, promised: dict[str, list[str]]) -> None:
    text = (DOCS / f"{page}.md").read_text()
    for phrase, paths in promised.items():
        for path in paths:
            found = resolved(path)
            assert inspect_doc(found), phrase
            name = path.split(".")[0] if found in rules().values() else path.split(".")[-2]
            assert name in text, f"{path} is not in docs/{page}.md"


def inspect_doc(found: Any) -> str:
    """What a rule or function says of itself."""
    return (found.__doc__ or "").strip()


def test_every_rule_of_the_two_rooms_is_listed_in_the_docs() -> None:
    for name, cls in rules().items():
        room = cls.__module__.split(".")[1]
        if room in ("estimators", "sparsity"):
            assert f"`{name}" in (DOCS / f"{room}.md").read_text(), name
