"""All worked examples of rules without steps, and those rules that have none."""

from __future__ import annotations

from refgrad.rule import rules
from tests.estimators.worked import EXAMPLES as ESTIMATORS
from tests.gradients.worked import EXAMPLES as GRADIENTS
from tests.optimizers.worked.transforms import EXAMPLES as TRANSFORMS
from tests.quantizers.worked import EXAMPLES as QUANTIZERS
from tests.quantizers.worked import WITHOUT as OF_QUANTIZERS
from tests.sparsity.worked import EXAMPLES as MASKS

__all__ = ["EXAMPLES", "WITHOUT"]

#: what has no example here -> why
WITHOUT = OF_QUANTIZERS | {
    name: "its equation is evaluated in more digits, at many shapes, in tests/gradients"
    for name, cls in rules().items()
    if cls.__module__.startswith("refgrad.gradients") and name not in {example.name for example in GRADIENTS}
}
EXAMPLES = (*ESTIMATORS, *QUANTIZERS, *MASKS, *TRANSFORMS, *GRADIENTS)
