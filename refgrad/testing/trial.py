"""Who is tried as which rule, and how hard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.run import Claim
from refgrad.rule import Rule


@dataclass(frozen=True, eq=False)
class Trial:
    """A candidate tried as a rule.

    Attributes:
        request: candidate, rule, options, policy, dtype and seed, as `refgrad.verify` takes them.
        examples: inputs that are tried for each law.
    """

    request: Request
    examples: int

    @classmethod
    def of(
        cls,
        candidate: Any,
        rule: Rule,
        options: Mapping[str, Any] | None,
        policy: Policy | Mapping[str, Any] | None,
        examples: int,
        dtype: Any,
        seed: int,
        resolve: Any = None,
    ) -> Trial:
        """A trial that runs the candidate on the caller's thread, without a limit of time, or where ``resolve`` makes it."""
        made = None if resolve is None else partial(resolve, replaced={})
        request = Request.of(
            candidate, rule, steps=1, dtype=dtype, seed=seed, policy=policy, options=options, resolve=made
        )
        return cls(request, examples)

    @property
    def rule(self) -> Rule:
        """What the candidate claims to be."""
        return self.request.rule

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the inputs."""
        return self.request.dtype

    @property
    def seed(self) -> int:
        """The seed of the inputs."""
        return self.request.seed

    @cached_property
    def claim(self) -> Claim:
        """The candidate, resolved."""
        return Claim.of(self.request)

    @property
    def follows(self) -> bool:
        """True if the candidate is a class or a rule itself, which alone can be given the hyperparameters of a law."""
        if self.request.resolve is not None:
            return bool(self.claim.subject.told)
        return isinstance(self.request.candidate, type | Rule)

    def told(self, hyperparameters: Mapping[str, Any]) -> Claim:
        """The candidate told other hyperparameters: by the rule that it is handed, and, if it is a rule, its own too."""
        candidate, resolve = self.request.candidate, self.request.resolve
        rule = self.rule.replace(**hyperparameters)
        if resolve is not None:
            return Claim.of(replace(self.request, resolve=partial(resolve, replaced=hyperparameters), rule=rule))
        if isinstance(candidate, Rule):
            candidate = candidate.replace(**hyperparameters)
        return Claim.of(replace(self.request, candidate=candidate, rule=rule))
