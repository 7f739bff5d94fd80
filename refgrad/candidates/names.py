"""What implementations call a rule's hyperparameters and state: tables, by the rule's own name for each."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from refgrad.errors import ArgumentError, CandidateError, bad_argument, nearest
from refgrad.rule import Rule

Names = Mapping[str, tuple[str, ...]]

#: hyperparameter -> names that constructors and functions give it, besides its own
HYPERPARAMETERS: Names = MappingProxyType(
    {
        "lr": ("learning_rate", "step_size"),
        "beta": ("momentum", "b1", "beta1", "decay"),
        "beta1": ("b1", "beta_1", "momentum"),
        "beta2": ("b2", "beta_2"),
        "beta3": ("b3", "beta_3"),
        "eps": ("epsilon", "matrix_eps"),
        "interval": (
            "preconditioning_compute_steps",
            "precondition_frequency",
            "update_freq",
            "update_proj_gap",
            "update_interval",
            "update_period",
        ),
        "safety": ("safety_factor",),
        "a": ("muon_a",),
        "b": ("muon_b",),
        "c": ("muon_c",),
        "weight_decay": ("wd", "weight_decay_rate"),
        "alpha": ("decay", "rho", "decay_rate"),
        "rho": ("decay", "alpha"),
        "decay": ("alpha", "rho"),
        "momentum": ("mu", "beta", "decay"),
        "initial_accumulator": ("initial_accumulator_value",),
        "initial_accumulator_value": ("initial_accumulator",),
        "initial_m": ("initial_accumulator_value", "initial_accumulator"),
        "initial_v": ("initial_accumulator_value", "initial_accumulator"),
        "averaging": ("grad_averaging",),
        "clip_exponent": ("clip_exp",),
        "max_lr": ("max_learning_rate",),
        "lower_bound": ("lb",),
        "adapt_lower_bound": ("use_fstar",),
        "clip": ("clip_threshold",),
        "clip_threshold": ("clipping_threshold", "d"),
        "d0": ("estim_lr0",),
        "d_coef": ("estim_lr_coef",),
        "trust": ("trust_coefficient",),
        "trust_coefficient": ("trust", "eeta"),
        "eta_minus": ("eta_neg",),
        "eta_plus": ("eta_pos",),
        "step_min": ("min_step_size", "step_size_min"),
        "step_max": ("max_step_size", "step_size_max"),
    }
)

#: a parameter that packs several hyperparameters -> these, in its order
PACKED: Names = MappingProxyType(
    {
        "betas": ("beta1", "beta2", "beta3"),
        "etas": ("eta_minus", "eta_plus"),
        "step_sizes": ("step_min", "step_max"),
        "ns_coefficients": ("a", "b", "c"),
        "ns_coeffs": ("a", "b", "c"),
    }
)

#: state slot -> names that torch's and optax's state and plain functions give it, besides its own
SLOTS: Names = MappingProxyType(
    {
        "m": ("exp_avg", "mu", "grad_avg", "momentum_buffer", "moments"),
        "v": ("exp_avg_sq", "nu", "square_avg", "e_g", "sum_of_squares", "grads_ema", "vmean"),
        "average_loss": ("barf",),
        "bound": ("lb",),
        "diagonal": ("hessian_moment", "hessian", "exp_hessian_diag", "nu"),
        "scale": ("H_diag",),
        "previous_g": ("prev_flat_grad",),
        # the pairs of L-BFGS, the latest last; the tuners of Mechanic, the first first
        **{f"s{i}": (f"old_stps[-{i}]", f"s[{i - 1}]") for i in range(1, 11)},
        **{f"y{i}": (f"old_dirs[-{i}]",) for i in range(1, 11)},
        **{f"w{i}": (f"ro[-{i}]",) for i in range(1, 11)},
        **{f"{word}{i}": (f"{word}[{i - 1}]",) for word in "rmv" for i in range(1, 7)},
        "weight1": ("beta1_weight",),
        "weight2": ("beta2_weight",),
        "momentum_sum": ("momentum_buffer",),
        "far": ("momentum_buffer",),
        "odd": ("pos_momentum",),
        "even": ("neg_momentum",),
        "size": ("exp_avg_lr",),
        "average": ("ax",),
        "start": ("init_particles", "params0", "p0", "x0"),
        "d": ("estim_lr",),
        "numerator": ("numerator_weighted", "d_numerator"),
        "largest": ("scale",),
        "reward": (),
        "theta": ("cumulative_gradients",),
        "m_slow": ("exp_avg_slow", "m2"),
        "m_diff": ("exp_avg_diff", "v"),
        "square": ("exp_avg_sq", "n", "grad_sum_sq"),
        "v_row": ("row_var", "exp_avg_sq_row"),
        "v_column": ("col_var", "exp_avg_sq_col", "v_col"),
        "s_row": ("exp_avg_res_row", "accumulator_0"),
        "s_column": ("exp_avg_res_col", "accumulator_1"),
        "v_max": ("max_exp_avg_sq", "nu_max"),
        "lr_average": ("exp_avg_lr_1",),
        "v_hat": ("max_exp_avg_sq", "nu_max"),
        "u": ("exp_inf", "acc_delta", "e_x", "nu"),
        "s": ("grad_sum", "exp_avg_var", "nu", "sum", "sum_of_squares"),
        "b": ("momentum_buffer", "trace"),
        "buf": ("momentum_buffer", "trace"),
        "buffer": ("momentum_buffer", "trace"),
        "momentum": ("momentum_buffer", "trace"),
        "velocity": ("momentum_buffer", "trace"),
        "accumulator": ("sum", "sum_of_squares"),
        "total": ("sum", "sum_of_squares", "subgradients"),
        "g_sum": ("sum", "sum_of_squares"),
        "sum": ("sum_of_squares",),
        "g_avg": ("grad_avg", "mu"),
        "m_g": ("grad_avg", "mu"),
        "square_avg": ("e_g", "nu"),
        "acc_delta": ("e_x",),
        "e_g": ("square_avg",),
        "e_x": ("acc_delta",),
        "mu_product": (),
        "left": ("pre_cond_0", "precond_0", "L"),
        "right": ("pre_cond_1", "precond_1", "R"),
        "left_root": ("inv_pre_cond_0", "inv_precond_0"),
        "right_root": ("inv_pre_cond_1", "inv_precond_1"),
        "basis": ("projector",),
        "left_basis": ("Q_L", "QL"),
        "right_basis": ("Q_R", "QR"),
        "g_prev": ("prev", "previous_grad", "prev_grad", "last_grad"),
        "previous": ("prev", "previous_grad", "prev_grad"),
        "step_size": ("step_sizes",),
        "master": ("master_param", "master_weight", "master_weights"),
        "lost": ("kahan_comp", "compensation", "residual"),
    }
)

#: extra input of a step -> names that plain functions, and steps of torch's optimizers, give it, besides its own
EXTRAS: Names = MappingProxyType(
    {
        "second": ("second_gradient", "g2", "perturbed_grad"),
        "h": ("hessian", "hess", "diagonal", "hutchinson"),
        "loss": ("value", "f", "fx"),
        "noise": ("normal", "z"),
        "bits": ("random", "random_bits"),
    }
)

#: the parameter, its gradient and the step count in plain functions
PARAMETER, GRADIENT, STEP = ("p", "param", "params", "parameter"), ("g", "grad", "grads", "gradient"), ("t", "step")


def known_as(word: str, table: Names, present: Container[str]) -> str | None:
    """The first of a hyperparameter's or slot's names that is present; its own name before all others."""
    return next((name for name in (word, *table.get(word, ())) if name in present), None)


def by_own_names(rule: Rule, texts: Mapping[str, str]) -> dict[str, str]:
    """Texts of hyperparameters under a rule's own names, where they are written as frameworks call them.

    Args:
        rule: the rule; a name of its own is never taken for another's.
        texts: name -> text; a packed one, such as ``betas``, is a tuple.

    Returns:
        Name -> text. A name that stands for nothing is kept, for `refgrad.rule.Rule.replace` to refuse.

    Raises:
        ArgumentError: two names say the same hyperparameter, or a packed one has no or too many values.

    >>> from refgrad.optimizers import AdamW
    >>> by_own_names(AdamW(), {"learning_rate": "0.01", "betas": "(0.9, 0.99)"})
    {'lr': '0.01', 'beta1': '0.9', 'beta2': '0.99'}
    """
    own, found = rule.legal(), dict[str, str]()
    for word, text in texts.items():
        if word in own:
            told = {word: text}
        elif word in PACKED:
            told = _unpacked(word, text, [name for name in PACKED[word] if name in own])
        else:
            told = {next((name for name in own if word in HYPERPARAMETERS.get(name, ())), word): text}
        for name, value in told.items():
            if name in found:
                raise ArgumentError(f"{word}={text} says {name!r} again, which is {found[name]}; legal: once")
            found[name] = value
    return found


def _unpacked(word: str, text: str, names: Sequence[str]) -> dict[str, str]:
    try:
        values = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        values = None
    if not names:
        return {word: text}
    if not isinstance(values, tuple | list) or len(values) != len(names):
        raise ArgumentError(f"{word} is {text!r}; legal: a tuple of {' and '.join(names)}")
    return {name: repr(value) for name, value in zip(names, values, strict=True)}


def slot_names(
    slots: Iterable[str], stated: Mapping[str, str], present: Iterable[str], candidate: str
) -> dict[str, str]:
    """Slot -> the name that it is kept under, of the slots that are found.

    A name that the user stated counts before the tables, and stands for no other slot.

    Raises:
        CandidateError: a stated name is not among those present.
    """
    names = set(present)
    for slot, name in stated.items():
        if name not in names:
            legal = ", ".join(sorted(names)) or "nothing by name"
            raise CandidateError(
                f"state_names[{slot!r}] is {name!r}, but {candidate} has no such state{nearest(name, names)}; it has: {legal}"
            )
    free = names - set(stated.values())
    found = {slot: stated.get(slot) or known_as(slot, SLOTS, free) for slot in slots}
    return {slot: name for slot, name in found.items() if name is not None}


def indexed(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """The items of a list that is kept under a name, by names such as ``ro[0]`` and, from the end, ``ro[-1]``."""
    count = len(values)
    return {f"{name}[{i - back}]": values[i] for i in range(count) for back in (0, count)}


def check_stated(stated: object, slots: Iterable[str], rule: str) -> dict[str, str]:
    """State names as the user gave them; `ArgumentError` for a slot that the rule does not have."""
    if stated is None:
        return {}
    if not isinstance(stated, Mapping) or not all(isinstance(n, str) for pair in stated.items() for n in pair):
        raise bad_argument("state_names", stated, "a dict from slots of the rule to names in the candidate's state")
    known = list(slots)
    for slot in stated:
        if slot not in known:
            legal = ", ".join(known) or "none"
            raise ArgumentError(f"{rule} has no state {slot!r}{nearest(slot, known)}; legal: {legal}")
    names = list(stated.values())
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise bad_argument("state_names", dict(stated), f"each name once, not {twice!r} for two slots")
    return dict(stated)
