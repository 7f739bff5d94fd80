"""Named variants that the default run does not tell from the rule's defaults, by the reason."""

from __future__ import annotations

from collections.abc import Mapping

_GROUPS = "ASP MDGF NOfM SDGF SRSTE WandaNOfM"

#: reason -> "Rule field=value", the rules of a field separated by spaces; a star is every rule that has it
ALIKE: Mapping[str, tuple[str, ...]] = {
    "what a program makes of NaN where it decides is left open": (
        "* sign_of_nan=zero",
        "* sign_of_nan=minus",
        "* step_of_nan=propagate",
        "StochasticBinarization sign_of_nan=propagate",
        "* nan_gradient=passed",
        "Affine nan_code=zero",
        "Affine nan_code=highest",
        "Movement NormalizedMagnitude RandomMask SoftMovement nan_rank=smallest",
    ),
    "a quotient may be a product with a reciprocal, and be rounded more than once": (
        "AF4 Affine Blockwise FP4 NF4 ScaledFloat normalize=reciprocal",
        "NVFP4 normalize=divide",
        "BitNetActivations quotient=reciprocal",
        "ClipByGlobalNorm ClipByNorm division=padded",
    ),
    "it is the same number, computed otherwise": (
        "MADGRAD applied=by_difference",
        # a second derivative that does not depend on the label: what it is multiplied by cancels
        "RelabelInfluence leaf_value=stored",
        "TrActConvolution TrActLinear form=batch",
    ),
    "where rounding may have made a tie of it, both neighbours are admissible": (
        "DoReFaActivation PACT ties=away",
        "DoReFaActivation PACT ties=up",
        "EWGS ties=away",
        "STR edge=inclusive",
        "DoReFaWeights LibraPB sign_at_zero=minus",
        "DoReFaWeights LibraPB sign_at_zero=zero",
    ),
    "of equal scores any may be kept": (
        "ACDC ASP Block FORCE GraSP L1Filters L2Filters LotteryTicket MDGF Magnitude Movement NOfM NetworkSlimming"
        " NormalizedMagnitude OBD OBS RIA RandomMask RigL SDGF SET SNIP SRSTE SoftMovement SparseGPT SynFlow Transposable Wanda"
        " WandaNOfM WoodFisher ties=high",
        "SoftMovement Transposable ties=keep_all",
        "SoftMovement Transposable ties=prune_all",
    ),
    "one array alone is all that there is": (
        "Block L1Filters L2Filters Magnitude Movement OBD OBS RandomMask SparseGPT WoodFisher granularity=together",
        "FORCE GraSP NetworkSlimming NormalizedMagnitude SNIP SynFlow granularity=tensor",
    ),
    "of four as many are kept as are pruned; of two axes the second is the last; what is left over is refused": (
        f"{_GROUPS} n_is=pruned",
        f"{_GROUPS} along=channel",
        f"{_GROUPS} along=flat",
        f"{_GROUPS} tail=dense",
        f"{_GROUPS} tail=zeros",
    ),
    "it is about another method than the one that is judged": (
        "APoT clip_gradient=False",
        "ContinuousSparsification reset=code",
        "FORCE schedule=linear",
        "MDGF decay=linear",
        "MDGF gradient=scaled",
        "N2UQWeights surrogate=scaled",
        "PowerSGD error=aggregate",
        "SDGF form=geometric",
        "SDGF form=densify",
        "SRSTE gradient=masked",
        "TTQ negative_gradient=chain",
    ),
    "another setting than the default, which is none of numbers alone, shows it": (
        "AMSGrad eps_placement=uncorrected",
        "Adafactor relative_step=False",
        "Affine range=divergence",
        "Affine divisor=half",
        "Affine divisor=lowest",
        "DAdaptAdam Prodigy no_gradient=stands",
        "EightBit tails=unquantized",
        "GPTQ parameters=stale",
        "GPTQ parameters=static",
        "MX int8_range=full",
        "Mechanic decay_point=after",
        "MoMoAdam adapt_lower_bound=True",
        "PSGDKron decayed=matrices",
        "PSGDKron updates=annealed",
        "QSGD order=unit",
        "RMSprop variance=bare",
        "Stored chance=carry",
        "Stored compensation=master",
    ),
    "a number shows it that the rule does not read at its defaults, and frameworks settle otherwise": (
        "SGD first_step=undamped",
    ),
    "the difference is smaller than the roundings that are admissible": (
        "AdaBelief eps_placement=maximum",
        "NAdamW decay=after",
    ),
}


def listed() -> frozenset[tuple[str, str]]:
    """Pairs of a rule and a variant."""
    found = set()
    for entries in ALIKE.values():
        for entry in entries:
            *names, variant = entry.split()
            found |= {(name, variant) for name in names}
    return frozenset(found)
