"""What is most worth knowing of the implementations, most important first: data, shown only where a survey confirms it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A sentence on a cell of a survey, and what the survey must say of it for the sentence to hold."""

    package: str
    #: how the implementation's name begins
    called: str
    rule: str
    #: the outcomes, or the variant or condition, of which one must be there
    confirmed_by: tuple[str, ...]
    sentence: str


FINDINGS = (
    Finding(
        "torch",
        "torch.optim.SGD(foreach=True)",
        "SGD",
        ("gradient=copied",),
        "With Nesterov momentum and no decay the foreach form adds the momentum into the caller's `p.grad`, step after step "
        "if the gradient is not made anew; the for-loop and the fused form leave it alone.",
    ),
    Finding(
        "torch-optimizer",
        "torch_optimizer.SGDW",
        "SGDW",
        ("decay=constant",),
        "Subtracts lr times weight_decay from every element, whatever its value: a drift in place of a decay.",
    ),
    Finding(
        "pytorch-optimizer",
        "pytorch_optimizer.AdamP(foreach=False, weight_decouple=False)",
        "AdamP",
        ("weight_decay=0.0", "differs"),
        "A coupled decay has no effect: it is added to the gradient after the moments and the step were made of it.",
    ),
    Finding(
        "bitsandbytes",
        "bitsandbytes.optim.LAMB8bit",
        "EightBit",
        ("rule=AdamW",),
        "LAMB in 8 bits is AdamW without decay, and LARS is SGD with momentum: there is no trust ratio.",
    ),
    Finding(
        "bitsandbytes",
        "bitsandbytes.functional.quantize_blockwise",
        "Blockwise",
        ("search=grid", "differs"),
        "On a CPU codes of 8 bits are looked up on a grid of 65536 steps: three in ten of those tried are not the nearest, and "
        "so it is with the state of every 8-bit optimizer.",
    ),
    Finding(
        "bitsandbytes",
        "bitsandbytes.functional.quantize_4bit(kind='nf4'",
        "NF4",
        ("differs",),
        "On a CPU codes of 4 bits of a matrix whose rows blocks do not divide are restored with the absmax of other blocks, as "
        "half of the numbers of shape (4, 96) in blocks of 64; the verdict names its codes first, whose midpoints are rounded.",
    ),
    Finding(
        "snntorch",
        "snntorch.triangular",
        "Triangular",
        ("differs",),
        "No triangle: the gradient is plus or minus the threshold at any distance, by the sign of the input.",
    ),
    Finding(
        "snntorch",
        "snntorch.sigmoid",
        "SigmoidSpike",
        ("differs",),
        "The square of an exponential overflows: far below the threshold the gradient is zero, then NaN.",
    ),
    Finding(
        "torch",
        "torch.ao.pruning.WeightNormSparsifier(sparsity_level=0.5",
        "NOfM",
        ("differs",),
        "With `sparsity_level=0.5` and two zeros a block only half of the blocks are pruned: three quarters of all entries stay.",
    ),
    Finding(
        "torchao",
        "torchao.prototype.mx_formats.to_mx(format='float8_e4m3fn', scale_rule='floor')",
        "MX",
        ("subnormals=either",),
        "Numbers below the smallest normal float32 have codes of zero, though the scale that is stored could hold them.",
    ),
    Finding(
        "heavyball",
        "heavyball.AdamW",
        "AdamW",
        ("eps_placement=clamped",),
        "The root of the second moment is held to eps from below, in place of eps being added.",
    ),
    Finding(
        "optax",
        "optax.adamw",
        "AdamW",
        ("scalars=float32",),
        "Decays and their powers are float32 numbers, so that 1 - beta2**t is wrong in the fourth digit at the first step: "
        "parameters leave the acceptance set of AdamW, of which they stay inside only if that is granted.",
    ),
    Finding(
        "pytorch-optimizer",
        "pytorch_optimizer.SimplifiedAdEMAMix",
        "SimplifiedAdEMAMix",
        ("differs",),
        "Another rule under the same name.",
    ),
    Finding(
        "jaxpruner",
        "jaxpruner.sparsity_types.Block",
        "Block",
        ("crashed", "differs"),
        "Weights that blocks do not divide are padded by the remainder and not by what is missing: the mask has another shape.",
    ),
)
