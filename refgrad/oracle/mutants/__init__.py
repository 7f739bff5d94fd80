"""Mutants of a rule, made from its own graph by general rewrites; none knows a rule by name.

A rewrite is a name, a sentence, and a function that finds the places of a traced update at which it acts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace

from refgrad.arithmetic.graph import Graph
from refgrad.arithmetic.scalar_math import names_in
from refgrad.axes import within
from refgrad.derived import derived
from refgrad.errors import TraceError
from refgrad.oracle.mutants import correction, decay, decision, eps, further, operand, rough, schedule, step, weight
from refgrad.oracle.mutants.operand import signature
from refgrad.oracle.mutants.patterns import Form, Found
from refgrad.tracing import Plan


@dataclass(frozen=True)
class Rewrite:
    """One kind of fault.

    A ``model`` widens the acceptance sets instead of changing what is computed; one of ``precision`` changes roundings
    alone, so that it may explain what the rule itself explains as well; one of ``scalars`` rounds a scalar, as a rule with
    scalars in float32 does with all of them.
    """

    name: str
    sentence: str
    find: Callable[[Form], Iterator[Found]]
    model: bool = False
    precision: bool = False
    scalars: bool = False


REWRITES: tuple[Rewrite, ...] = (
    Rewrite("eps", "eps dropped, squared, its root, or as a maximum", eps.anywhere),
    Rewrite("eps beside a root", "eps moved under the root that it stands beside", eps.beside_a_root),
    Rewrite("eps under a root", "eps moved beside the root that it stands under", eps.under_a_root),
    Rewrite("eps in the state", "eps added to a slot at every step", eps.in_the_state),
    Rewrite("correction dropped", "a bias correction dropped", correction.dropped),
    Rewrite("correction added", "an average corrected for its bias", correction.added),
    Rewrite("correction moved", "a bias correction moved out of a root", correction.moved),
    Rewrite("step count", "the step count off by one", correction.step_count),
    Rewrite("decays exchanged", "two decays exchanged", decay.exchanged),
    Rewrite("decay mistaken", "one decay for another", decay.mistaken),
    Rewrite("decay complemented", "a decay and its complement exchanged", decay.complemented),
    Rewrite(
        "constant in float32", "a scalar constant formed in float32", decay.in_float32, precision=True, scalars=True
    ),
    Rewrite("average", "an average as a sum or a maximum, or not updated", decay.averages),
    Rewrite("weight decay", "weight decay absent, negative, or scaled otherwise", weight.scaled),
    Rewrite("weight decay coupled", "weight decay added to the gradient", weight.coupled),
    Rewrite("weight decay decoupled", "weight decay of the parameter, before or after the step", weight.decoupled),
    Rewrite("look-ahead", "Nesterov's look-ahead added or removed", step.look_ahead),
    Rewrite("corrected look-ahead", "Nesterov's look-ahead of a corrected average", step.corrected_look_ahead),
    Rewrite("sign", "a term with the other sign", step.signs),
    Rewrite("ties", "the sign of zero", step.ties),
    Rewrite("clip", "the gradient clipped", step.clipped),
    Rewrite("missing", "a root, square, factor or term that is missing", operand.missing),
    Rewrite("altered", "a factor twice, a quotient upside down, a magnitude for a square", operand.altered),
    Rewrite("scalar", "a factor or term that is missing in scalar arithmetic", operand.scalars),
    Rewrite("mistaken", "one array for another, old for new", operand.mistaken),
    Rewrite("centred", "a deviation from a slot in place of the gradient", operand.centred),
    Rewrite("stored", "another array stored as a slot", operand.outputs),
    Rewrite("narrow", "an array kept in a narrower format", rough.narrowed, precision=True),
    Rewrite("rough root", "a root of twelve bits", rough.roots, model=True, precision=True),
    Rewrite("rough arithmetic", "bfloat16 arithmetic inside", rough.inside, model=True, precision=True),
)

#: for both, tried where none of these explains a run: there are many, and few programs are wrong so
FURTHER: tuple[Rewrite, ...] = (
    Rewrite("scalar sign", "a sum for a difference in scalar arithmetic", operand.scalar_signs),
    Rewrite("scalar number", "a number of the text twice or half in scalar arithmetic", operand.scalar_numbers),
    Rewrite("term", "a term twice or half as large", operand.terms),
    Rewrite("scalar factor", "a factor twice in scalar arithmetic", operand.scalar_factors),
    Rewrite("cleaned", "a gradient of NaN taken for zero", step.cleaned),
    Rewrite("at one use", "an operand of what is used several times in its place at one use", further.at_one_use),
    Rewrite("decay at one use", "one decay or complement for another at one use", further.scalar_at_one_use),
    Rewrite("boundary at one use", "a boundary at one of several uses", further.boundary_at_one_use),
    Rewrite("condition", "one of two conditions, or both for either", further.conditions),
    Rewrite("magnitude", "the magnitude of an input besides the gradient", further.magnitudes),
    Rewrite("corrected in a slot", "an average corrected for its bias in another slot", further.corrected_in_a_slot),
    Rewrite("magnitude of a slot", "the magnitude of a slot where it is read", further.magnitude_of_a_slot),
    Rewrite("rate in a slot", "the step with its rate in a slot", further.rate_in_a_slot),
    Rewrite("of one term", "a factor of a sum as a factor of one term", further.of_one_term),
    Rewrite("schedule", "the learning rate by the count of steps", schedule.scheduled),
    Rewrite("largest", "the largest magnitude in place of a norm", further.largest),
    Rewrite("sign of zero alone", "the sign of zero, with that of NaN as it is", step.ties_alone),
    Rewrite("scalar decay", "one decay for another at one place of scalar arithmetic", operand.scalar_decays),
    Rewrite("sign at one use", "a sum for a difference of scalars at one of several uses", further.sign_at_one_use),
    Rewrite("magnitude at one use", "a magnitude for a square at one of several uses", further.magnitude_at_one_use),
    Rewrite("eps in any slot", "eps added to a slot at every step, whatever that makes of it", eps.in_any_slot),
)

#: the same for rules with state, which decide by comparisons seldom
STEP_FURTHER: tuple[Rewrite, ...] = (
    Rewrite("comparison", "a boundary taken in or left out, or the other side of it", decision.comparisons),
    *FURTHER,
)

#: the same for rules without state, before those
CASE_FURTHER: tuple[Rewrite, ...] = (
    Rewrite("direction", "a number rounded toward zero, down or up, or its halves otherwise", decision.directions),
    Rewrite("whole number", "a whole number off by one", decision.whole_numbers),
    Rewrite("wrapped", "a whole number that wraps where it is to be held between bounds", decision.wrapped),
    Rewrite("direction of one", "the same in what one result is made of alone", decision.apart(decision.directions)),
    Rewrite("rounding of one", "another direction of rounding in one result alone", decision.apart(decision.roundings)),
    Rewrite("comparison of one", "a boundary of one result alone", decision.apart(decision.comparisons)),
    Rewrite("shared exponent", "the exponent of a shared scale off by some", decision.shared_exponents),
    Rewrite("sign of one", "a term with the other sign in one result alone", decision.apart(step.signs)),
    Rewrite("missing of one", "something that is missing in one result alone", decision.apart(operand.missing)),
    Rewrite("altered of one", "something that is altered in one result alone", decision.apart(operand.altered)),
    Rewrite("number of one", "a number twice or half in one result alone", decision.apart(decision.numbers)),
)

#: for rules without state: estimators, the bodies of quantizers, the scores of masks
CASE_REWRITES: tuple[Rewrite, ...] = (
    Rewrite("comparison", "a boundary taken in or left out, or the other side of it", decision.comparisons),
    Rewrite("half", "the mean of both values at a boundary", decision.halves),
    Rewrite("rounding", "another direction of rounding", decision.roundings),
    Rewrite("sign", "a term with the other sign", step.signs),
    Rewrite("ties", "the sign of zero", step.ties),
    Rewrite("missing", "a root, square, factor or term that is missing", operand.missing),
    Rewrite("altered", "a factor twice, a quotient upside down, a magnitude for a square", operand.altered),
    Rewrite("scalar", "a factor or term that is missing in scalar arithmetic", operand.scalars),
    Rewrite("number", "a number twice, half, or with the other sign", decision.numbers),
    Rewrite("result", "a result twice, half, or with the other sign", decision.results),
    Rewrite("exchanged", "one input for another", decision.exchanged),
    Rewrite("chosen", "what was not chosen left out", decision.chosen),
)


@dataclass(frozen=True)
class Mutation:
    """A rewrite at a place; applied to any plan of a rule, it rewrites the place where the plan has it."""

    rewrite: Rewrite
    place: Hashable
    name: str
    sentence: str

    @property
    def model(self) -> bool:
        """True if it widens the acceptance sets."""
        return self.rewrite.model

    @property
    def precision(self) -> bool:
        """True if it changes roundings alone."""
        return self.rewrite.precision

    @property
    def scalars(self) -> bool:
        """True if it rounds a scalar."""
        return self.rewrite.scalars

    def apply(self, plan: Plan) -> Plan:
        """The plan with the place rewritten; the plan itself where it has no such place."""
        found = found_in(plan, self.rewrite).get(self.place)
        if found is None:
            return plan
        made, key = _made(plan), (self.rewrite.name, self.place)
        if key not in made:
            made[key] = Plan(plan.rule, found.make(), plan.free)
        return made[key]


@derived
def _found(plan: Plan) -> dict[str, dict[Hashable, Found]]:
    """The places that were searched for so far, by rewrite."""
    return {}


@derived
def _made(plan: Plan) -> dict[Hashable, Plan]:
    """The mutants that were made so far, by rewrite and place."""
    return {}


def found_in(plan: Plan, rewrite: Rewrite) -> dict[Hashable, Found]:
    """The places of a plan at which a rewrite acts."""
    known = _found(plan)
    if rewrite.name not in known:
        known[rewrite.name] = {found.place: found for found in rewrite.find(Form(plan))}
    return known[rewrite.name]


def _fits(graph: Graph) -> bool:
    """True if no output that is one number a row, a column or a tensor became one an element."""
    return all(within(graph.outputs[n].axes, axes) for n, axes in graph.small.items())


def computed(plan: Plan, graph: Graph) -> Hashable:
    """What a graph of a plan computes, of numbers too, and when: the count of steps may stand in a guard alone.

    Args:
        plan: the plan.
        graph: its graph, or what was made of it.
    """
    guards = tuple(guard for guard in graph.guards if names_in(guard[0]) & set(plan.free))
    return signature(graph), tuple(graph.scalar_outputs.items()), guards


def mutations(plans: Iterable[Plan], rewrites: Iterable[Rewrite] = REWRITES) -> list[Mutation]:
    """Every mutation of some plans of one rule, in a fixed order; those that make equal graphs are one."""
    plans = list(plans)
    unchanged = tuple(computed(plan, plan.graph) for plan in plans)
    seen: set[tuple] = {unchanged}
    names: Counter[tuple[str, str]] = Counter()
    result = []
    for rewrite in rewrites:
        for plan in plans:
            for place, found in found_in(plan, rewrite).items():
                mutation = Mutation(rewrite, place, found.name, found.sentence)
                try:
                    graphs = [mutation.apply(p).graph for p in plans]
                    fit = all(map(_fits, graphs))
                except TraceError:
                    continue  # values of shapes that do not go together, beside products of matrices
                made = tuple(map(computed, plans, graphs))
                if made not in seen and fit:
                    seen.add(made)
                    result.append(_told_apart(mutation, names))
    return result


def _told_apart(mutation: Mutation, names: Counter[tuple[str, str]]) -> Mutation:
    """A mutation with its number after its name, if others that make something else are called so too."""
    called = mutation.name, mutation.sentence
    names[called] += 1
    if names[called] == 1:
        return mutation
    which = f" (place {names[called]})"
    return replace(mutation, name=mutation.name + which, sentence=mutation.sentence + which)
