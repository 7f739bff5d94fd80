"""The page of the systems around gradients by their names: title, rule, what it was checked against, verdicts.

``python -m tests.docs.gradient_systems`` writes docs/gradient-systems.md, from citations and the tables of docs/gradients.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from refgrad.rule import rules

DOCS = Path(__file__).parents[2] / "docs"
PAGE, TABLES = DOCS / "gradient-systems.md", DOCS / "gradients.md"
#: where the tables of papers and verdicts begin
BEGIN = "## Balance between losses and tasks"

#: what people call a system -> the rules that say what it computes
SYSTEMS: Mapping[str, tuple[str, ...]] = {
    "OFVL-MS": ("TaskGradientNormalization", "ScoreGatedSharing"),
    "sampling-free detectors": ("PriorBias", "GuidedLossScaling"),
    "FULLER": ("BranchCalibration", "GradNorm", "ImpartialGradient"),
    "AmoebaLLM": ("LossMagnitudeBalance", "SubnetDistillation", "WidthImportance", "DepthSelection"),
    "magnitude invariant parametrizations": ("MagnitudeInvariantEncoding", "MagnitudeInvariantHypernetwork"),
    "MoNNA": ("NearestNeighborAverage",),
    "MoNNA's several mixing rounds": ("NeighborMixing",),
    "Krum": ("Krum",),
    "Multi-Krum": ("MultiKrum",),
    "Bulyan": ("Bulyan",),
    "trimmed mean": ("TrimmedMean",),
    "median": ("CoordinateMedian",),
    "mean around the median": ("MeanAroundMedian",),
    "geometric median": ("GeometricMedian", "WeiszfeldSteps"),
    "comparative gradient elimination (CGE)": ("GradientElimination",),
    "minimum-diameter averaging (MDA)": ("LeastDiameterMean",),
    "SMEA": ("LeastSpreadMean",),
    "CAF": ("CovarianceFilterStep",),
    "centred clipping": ("CenteredClipping",),
    "adaptive clipping (ARC)": ("AdaptiveClipping",),
    "nearest-neighbour mixing (NNM), bucketing": ("NeighborMixing", "Bucketing"),
    "gradient coding": ("GradientCode", "GradientDecoding"),
    "sequential gradient coding": ("SelectiveRepeat", "MultiplexedRepeat"),
    "BoostIn": ("BoostInfluence", "RelabelInfluence"),
    "TREX": ("RepresenterWeights", "RepresenterInfluence", "TreeOutputKernel", "LeafKernel", "PathKernel"),
    "LeafInfluence": ("LeafInfluence",),
    "LeafRefit": ("LeafRefit",),
    "TracIn": ("CheckpointInfluence",),
    "GraNd": ("LastLayerGradientNorm",),
    "EL2N": ("ErrorNorm",),
    "forgetting counts": ("ForgettingCount",),
    "opposing signals": ("LossChangeTerms", "OppositionCosine"),
    "PA&DA": ("ScoreSampling", "ImportanceWeightedMean", "PathScore"),
    "Grad-CAM": ("GradCAM", "BilinearResize"),
    "Grad-CAM++": ("GradCAMPlusPlus", "MinMaxMap"),
    "SmoothGrad": ("SmoothGrad", "SmoothGradInputs"),
    "Smooth Grad-CAM++": ("SmoothGradCAMPlusPlus",),
    "NormGrad": ("NormGrad", "MetaNormGradStep", "SaliencyProduct"),
    "DiffROAR": ("RankedMask", "DiffROAR"),
    "RADIANCE's loss": ("MapGradientLoss",),
    "the softmax head in closed form": (
        "SoftmaxHeadGradient",
        "SoftmaxHeadHessianProduct",
        "SoftmaxHeadHessianDiagonal",
    ),
    "Hessian gradient product": ("HessianAlignment", "SoftmaxHeadHessianProduct"),
    "Hutchinson's estimates": ("HutchinsonEstimates",),
    "IRM": ("InvariantRisk",),
    "V-REx": ("VarianceRiskExtrapolation",),
    "IGA": ("InterdomainGradientVariance",),
    "Fish": ("GradientInnerProduct", "FishStep"),
    "Fishr": ("Fishr", "SoftmaxHeadGradientVariance"),
    "CORAL": ("CorrelationAlignment",),
    "MMD": ("MaximumMeanDiscrepancy", "DeepKernelDiscrepancy", "OneSampleDiscrepancy"),
    "dynamical stability": ("SecondMomentStep", "StableRates", "TwoLayerReluTrace", "DiagonalNetworkTrace"),
    "SGD noise and temperature": ("GradientNoise", "LazyHingeLoss", "PerceptronNoise", "WeightVariation"),
    "learning-rate theory: Lanczos quadrature": ("LanczosTridiagonal", "SpectralDensity"),
    "learning-rate theory: damping": ("DampedDirection", "QuadraticRates"),
    "ghost batch normalization's multiplicative noise": ("MultiplicativeGradientNoise",),
    "DIFF2's BVR-L-SGD subroutine": ("LocalVarianceReducedStep", "PrivateLocalStep"),
    "adaptive projected guidance (APG)": ("AdaptiveProjectedGuidance", "ClassifierFreeGuidance"),
    "f-distill's weights": ("DivergenceWeight", "DistillationWeights"),
    "expected perturbation score (EPS)": ("PerturbedPoints", "GaussianPerturbationScore"),
    "curl and gauge tests": (
        "JacobianAsymmetry",
        "AsymmetryProbe",
        "GaugeResidual",
        "GaussianGaugeField",
        "FieldOverlap",
    ),
    "dimension by the rank of scores": ("ScoreDimension",),
    "MLE dimension": ("LikelihoodDimension",),
    "TwoNN dimension": ("TwoNeighborDimension",),
    "label sharpness": ("LabelSharpness",),
    "intrinsic dimension of objectives: dense, sparse, Fastfood": (
        "SubspaceParameters",
        "SubspaceGradient",
        "FastfoodParameters",
    ),
    "inductive-bias complexity": ("InductiveBiasBits",),
    "Monge gap": ("MongeGap", "OptimalPlan"),
    "Sinkhorn": ("SinkhornPotentials", "EntropicPlan", "SinkhornDivergence"),
    "perceptual scales": ("PerceptualScale", "SpectralFisherInformation", "ScaleDifferenceProbability"),
    "equilibrium propagation": (
        "ContourNudge",
        "OneSidedNudge",
        "EquilibriumState",
        "ImplicitGradient",
        "RecurrentBackpropagation",
        "HomeostaticLoss",
        "JacobianSymmetry",
    ),
    "deep conjugate direction": ("ConjugateDirectionStep", "ConjugateDirectionLoss", "ConjugateDirectionSolution"),
    "convex ReLU programs": (
        "ConvexReLUProgram",
        "ConvexReLUObjective",
        "ConvexReLUNetwork",
        "ActivationPatterns",
        "GroupSoftThreshold",
    ),
    "gradient-boosted networks": ("BoostedRegressionStep", "BoostedBinaryStep", "BoostedSoftmaxStep"),
    "weight-entangled search": (
        "EntangledWeights",
        "EntangledKernel",
        "GumbelArchitectureWeights",
        "DirichletConcentration",
    ),
    "GDAS's gradient": ("GumbelArchitectureGradient",),
    "preconditioned functional steps": ("SobolevStep",),
    "localized points management (LPM), density control": (
        "ConeOpacityReset",
        "ClosestPoints",
        "RenderingErrorMap",
        "ErrorBoxes",
        "DensityControl",
        "GaussianGradientNorm",
        "GaussianSplit",
        "OpacityReset",
    ),
    "weighted slopes": ("WeightedLine",),
    "Tremaine-Weinberg": ("TremaineWeinberg",),
    "Hertz contact": ("HertzContact",),
    "Nash-Sutcliffe efficiency": ("NashSutcliffe",),
}

#: rules of other rooms, of which docs/gradients.md has no table: what each was checked against, and verdicts
ELSEWHERE: Mapping[str, tuple[str, str]] = {
    "NearestNeighborAverage": (
        "a formula in sixty digits; LPD-EPFL/robust-collaborative-learning 3425aa1; byzfl 0.0.11 NNM",
        "conforms; one vector more, the first in place of the nearest are refused",
    ),
}

HEAD = """# Systems around gradients

What people call each system, the title of its source, the rules that say what it computes, what these were checked against, and
what `verify` says of right and wrong programs. Of every rule programs with an operation of its body replaced, and twice what is
right, are refused besides (`tests/gradients/test_every_rule.py`). Written by `python -m tests.docs.gradient_systems` from
citations and the tables of [functions of gradients](gradients.md), which say more; `refgrad show RULE` says what of a source was
read.

"""
TAIL = """
## What published relatives determine of OFVL-MS and FULLER

Of neither is there code of a training step, and of FULLER no code at all; abstracts, and layers that were released, were read.

* **OFVL-MS, which weights a layer shares** (`ScoreGatedSharing`): by the authors' layers (UFVL-Net b0976db), which have the gate,
  its sense and its straight-through gradient. Open: the penalty on scores.
* **OFVL-MS, task gradients of one norm** (`TaskGradientNormalization(alpha=0)`): by what every method does that equalizes norms,
  as FULLER's second level. **The norm raised for slow tasks** (`alpha` above 0): by GradNorm's targets (Chen et al. 2018), the
  mean norm times a relative loss to the power alpha. Open: which of both it is, and alpha.
* **FULLER, the first level**, weights of task gradients at the last shared layer: by GradNorm (`GradNorm`) or by equal
  projections (Liu et al. 2021, `ImpartialGradient`), each of them determined by its own publication. Open: which of them.
* **FULLER, the second level** (`BranchCalibration`): by its abstract, which says that magnitudes of modality branches are made
  equal; that directions stay, that order does not matter and that a branch of zeros stays zero follows. Open: the norm that all
  are brought to (`reference=`), and a moving average of norms.
"""


def rows() -> list[list[str]]:
    """The cells of the tables of papers and verdicts."""
    sections = TABLES.read_text(encoding="utf-8").partition(BEGIN)[2]
    lines = (line for line in sections.splitlines() if line.startswith("| ") and not line.startswith("| paper"))
    return [cells for line in lines if len(cells := [cell.strip() for cell in line.strip("|").split(" | ")]) == 5]


def said(names: tuple[str, ...], known: list[list[str]]) -> tuple[str, str]:
    """What rules were checked against, and their verdicts, each once."""
    found = [ELSEWHERE[name] for name in names if name in ELSEWHERE]
    for name in names:
        found += [(cells[3], cells[4]) for cells in known if f"`{name}`" in cells[1]]
    checked, verdicts = zip(*dict.fromkeys(found), strict=True)
    return "; ".join(dict.fromkeys(checked)), "; ".join(dict.fromkeys(verdicts))


def page() -> str:
    """The page in Markdown."""
    every, known = rules(), rows()
    lines = ["| system | titles | rules | checked against | verdicts |", "|---|---|---|---|---|"]
    for system, names in SYSTEMS.items():
        titles = dict.fromkeys(every[name].citation.title for name in names)
        checked, verdicts = said(names, known)
        shown = ", ".join(f"`{name}`" for name in names)
        lines.append(f"| {system} | {'; '.join(titles)} | {shown} | {checked} | {verdicts} |")
    return HEAD + "\n".join(lines) + "\n" + TAIL


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
