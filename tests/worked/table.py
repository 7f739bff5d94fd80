"""All worked examples of rules without steps, and those rules that have none."""

from __future__ import annotations

from tests.estimators.worked import EXAMPLES as ESTIMATORS
from tests.optimizers.worked.transforms import EXAMPLES as TRANSFORMS
from tests.quantizers.worked import EXAMPLES as QUANTIZERS
from tests.quantizers.worked import WITHOUT
from tests.sparsity.worked import EXAMPLES as MASKS

__all__ = ["EXAMPLES", "WITHOUT"]

EXAMPLES = (*ESTIMATORS, *QUANTIZERS, *MASKS, *TRANSFORMS)
