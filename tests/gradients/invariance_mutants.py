"""Wrong bodies of rules about alignment, curvature, noise and scores: a rule, a piece of its text, another, and where."""

from __future__ import annotations

from typing import Any

from refgrad import gradients as g

MUTANTS: list[tuple[Any, ...]] = [
    (g.SoftmaxHeadGradient(), "/ len(features)", "/ (len(features) + 1)"),
    (g.SoftmaxHeadHessianProduct(), "moved - np.sum(shares * moved, axis=1, keepdims=True)", "moved"),
    (g.SoftmaxHeadHessianDiagonal(), "1.0 - shares", "1.0 + shares"),
    (g.SoftmaxHeadGradientVariance(), "np.var(gradients, axis=0)", "np.mean(gradients * gradients, axis=0)"),
    (g.VarianceRiskExtrapolation(), "np.var(risks)", "np.var(risks, ddof=1)"),
    (g.InvariantRisk(), "slope = np.mean(slopes, axis=1)", "slope = np.sum(slopes, axis=1)"),
    (g.InterdomainGradientVariance(), "gradients - np.mean(gradients, axis=0)", "gradients"),
    (g.GradientInnerProduct(), "/ 2", "* 1"),
    (g.FishStep(), "inner - p", "p - inner"),
    (g.Fishr(), "(1 - self.decay) * np.var", "np.var"),
    (g.HessianAlignment(), "curvatures - center", "curvatures"),
    (g.CorrelationAlignment(), "(len(a) - 1)", "len(a)"),
    (g.MaximumMeanDiscrepancy(), "2.0 * np.mean", "np.mean"),
    (g.DeepKernelDiscrepancy(), "+ 1.0", ""),
    (g.HutchinsonEstimates(), "np.mean(probes * products, axis=0)", "np.sum(probes * products, axis=0)"),
    (g.LanczosTridiagonal(), "for earlier in basis", "for earlier in basis[:-1]"),
    (g.SpectralDensity(), "2.0 * variance", "variance"),
    (g.DampedDirection(), "/ len(factors)", ""),
    (g.QuadraticRates(), "2 * (1 + self.momentum)", "2 * (1 - self.momentum)"),
    (g.GradientNoise(), "self.lr * factor", "factor"),
    (g.LazyHingeLoss(), "1.0 - sign", "2.0 - sign"),
    (g.PerceptronNoise(), "< 1.0", "< 0.0"),
    (g.WeightVariation(), "(w - initial) ** 2", "w**2"),
    (g.MultiplicativeGradientNoise(), "1.0 +", "0.0 +"),
    (g.LocalVarianceReducedStep(), "gradients - previous", "gradients + previous"),
    (g.SecondMomentStep(), "- hessian @ moments @ hessian", ""),
    (g.StableRates(), "1 - 1 / self.batch", "1"),
    (g.TwoLayerReluTrace(), "outer * outer * squares", "outer * squares"),
    (g.DiagonalNetworkTrace(), "u * u + v * v", "u * u - v * v"),
    (g.ClassifierFreeGuidance(), "self.scale", "(self.scale - 1)"),
    (g.AdaptiveProjectedGuidance(), "(self.scale - 1)", "self.scale"),
    (g.DivergenceWeight(), "0.5 *", "1.0 *", "divergence_weight"),
    (g.DistillationWeights(), "/ (np.mean(weight) + self.eps)", ""),
    (g.JacobianAsymmetry(), "jacobian - jacobian.T", "jacobian + jacobian.T"),
    (g.AsymmetryProbe(), "forward - backward", "forward + backward"),
    (g.GaugeResidual(), "divergence + along", "divergence - along"),
    (g.GaussianGaugeField(), "@ factor.T", "@ factor"),
    (g.FieldOverlap(), "np.mean(", "np.sum("),
    (g.PerturbedPoints(), "2.0 * x - 1.0", "x", "perturbed"),
    (g.GaussianPerturbationScore(), "alpha * alpha", "alpha"),
]
