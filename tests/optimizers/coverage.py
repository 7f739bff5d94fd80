"""What of torch.optim, optax and optax.contrib is a rule here, and of the rest, why not: data.

`TORCH`, `OPTAX` and `CONTRIB` map a public name to the rule that it is judged as, in the tables of the
``test_implementations`` modules or of ``test_wrappers``; the others give the reason for every name that is not judged.
"""

from __future__ import annotations

from collections.abc import Mapping

TORCH: Mapping[str, str] = {
    "ASGD": "ASGD",
    "Adadelta": "Adadelta",
    "Adafactor": "Adafactor",
    "Adagrad": "Adagrad",
    "Adam": "Adam",
    "AdamW": "AdamW",
    "Adamax": "Adamax",
    "LBFGS": "LBFGS",
    "Muon": "Muon",
    "NAdam": "NAdam",
    "RAdam": "RAdam",
    "RMSprop": "RMSprop",
    "Rprop": "Rprop",
    "SGD": "SGD",
}

TORCH_OTHERS: Mapping[str, str] = {
    "SparseAdam": "takes sparse gradients: only the entries at their indices move",
}

#: public functions of optax and optax.contrib that are update rules, by the rule that they are
OPTAX: Mapping[str, str] = {
    "adabelief": "AdaBelief",
    "adadelta": "Adadelta",
    "adafactor": "Adafactor",
    "adagrad": "Adagrad",
    "adam": "Adam",
    "adamax": "Adamax",
    "adamaxw": "AdamaxW",
    "adamw": "AdamW",
    "adan": "Adan",
    "adaptive_grad_clip": "AdaptiveClip",
    "amsgrad": "AMSGrad",
    "centralize": "Centralize",
    "clip": "ClipByValue",
    "clip_by_global_norm": "ClipByGlobalNorm",
    "fromage": "Fromage",
    "lamb": "LAMB",
    "lars": "LARS",
    "lbfgs": "LBFGS",
    "lion": "Lion",
    "lookahead": "Lookahead",
    "nadam": "NAdam",
    "nadamw": "NAdamW",
    "keep_params_nonnegative": "NonNegative",
    "noisy_sgd": "AddNoise",
    "novograd": "NovoGrad",
    "optimistic_adam_v2": "OptimisticAdam",
    "optimistic_gradient_descent": "OptimisticGradient",
    "normalize_by_update_norm": "NormalizedGradient",
    "polyak_sgd": "PolyakSGD",
    "radam": "RAdam",
    "rmsprop": "RMSprop",
    "rprop": "Rprop",
    "sgd": "SGD",
    "sign_sgd": "SignDescent",
    "signum": "Signum",
    "sm3": "SM3",
    "yogi": "Yogi",
}

CONTRIB: Mapping[str, str] = {
    "acprop": "ACProp",
    "ademamix": "AdEMAMix",
    "adopt": "ADOPT",
    "cocob": "COCOB",
    "dadapt_adamw": "DAdaptAdam",
    "dog": "DoG",
    "dowg": "DoWG",
    "galore": "GaLore",
    "madgrad": "MADGRAD",
    "mechanize": "Mechanic",
    "momo": "MoMo",
    "momo_adam": "MoMoAdam",
    "muon": "Muon",
    "normalize": "NormalizedGradient",
    "prodigy": "Prodigy",
    "reduce_on_plateau": "ReduceOnPlateau",
    "sam": "SAM",
    "schedule_free_adamw": "ScheduleFreeAdamW",
    "schedule_free_sgd": "ScheduleFreeSGD",
    "simplified_ademamix": "SimplifiedAdEMAMix",
    "sophia": "Sophia",
}


def _all(words: str, reason: str) -> dict[str, str]:
    """One reason for many names."""
    return dict.fromkeys(words.split(), reason)


_PART = "a part of {}, which is judged whole"
_LOSS = "a loss, not an update"
_SCHEDULE = "a schedule: see tests/test_schedules.py"
_PLUMBING = "plumbing: it combines, masks, records or skips transforms, and changes no number itself"
_TOOL = "a function on numbers or trees, not an update"

OPTAX_OTHERS: Mapping[str, str] = {
    **{
        f"scale_by_{part}": _PART.format(whole)
        for part, whole in {
            "adadelta": "adadelta",
            "adam": "adam",
            "adamax": "adamax",
            "adan": "adan",
            "amsgrad": "amsgrad",
            "belief": "adabelief",
            "distance_over_gradients": "dog (this one is DoG for each parameter by itself)",
            "factored_rms": "adafactor",
            "lbfgs": "lbfgs",
            "learning_rate": "every rule",
            "lion": "lion",
            "novograd": "novograd",
            "optimistic_gradient": "optimistic_gradient_descent",
            "param_block_norm": "rules scaled to their parameters",
            "param_block_rms": "adafactor",
            "polyak": "polyak_sgd",
            "radam": "radam",
            "rms": "rmsprop",
            "rprop": "rprop",
            "rss": "adagrad",
            "schedule": "every rule with a schedule",
            "sign": "sign_sgd",
            "sm3": "sm3",
            "stddev": "rmsprop, centred",
            "trust_ratio": "lamb and lars",
            "yogi": "yogi",
        }.items()
    },
    **dict.fromkeys(
        ("clip_by_block_rms", "scale", "trace", "ema", "add_decayed_weights"), _PART.format("several rules")
    ),
    "add_noise": _PART.format("noisy_sgd"),
    "optimistic_adam": "deprecated by optax for optimistic_adam_v2",
    "scale_by_backtracking_linesearch": "a line search: it evaluates the loss",
    "scale_by_zoom_linesearch": "a line search: it evaluates the loss",
    "value_and_grad_from_state": "a line search's helper",
    "per_example_global_norm_clip": "a part of differentially_private_aggregate: PrivateAggregate without noise",
    "per_example_layer_norm_clip": "takes a gradient an example, and clips each leaf of it by itself",
    **_all(
        "apply_every apply_if_finite apply_updates chain conditionally_mask conditionally_transform flatten freeze identity "
        "inject_hyperparams inject_stateful_hyperparams masked measure_with_ema microbatch monitor multi_transform named_chain "
        "partition selective_transform set_to_zero skip_large_updates skip_not_finite snapshot stateless "
        "stateless_with_tree_map with_extra_args_support zero_nans init_empty_state",
        _PLUMBING,
    ),
    **_all(
        "convex_kl_divergence cosine_distance cosine_similarity ctc_loss ctc_loss_with_forward_probs "
        "generalized_kl_divergence hinge_loss huber_loss kl_divergence l2_loss log_cosh ntxent "
        "safe_softmax_cross_entropy sigmoid_binary_cross_entropy sigmoid_focal_loss smooth_labels softmax_cross_entropy "
        "softmax_cross_entropy_with_integer_labels squared_error",
        _LOSS,
    ),
    **_all(
        "constant_schedule cosine_decay_schedule cosine_onecycle_schedule exponential_decay join_schedules "
        "linear_onecycle_schedule linear_schedule piecewise_constant_schedule piecewise_interpolate_schedule "
        "polynomial_schedule sgdr_schedule warmup_constant_schedule warmup_cosine_decay_schedule "
        "warmup_exponential_decay_schedule",
        _SCHEDULE,
    ),
    **_all(
        "bias_correction global_norm incremental_update matrix_inverse_pth_root multi_normal nnls periodic_update "
        "power_iteration safe_increment safe_int32_increment safe_norm safe_root_mean_squares scale_gradient tree_map_params "
        "update_infinity_moment update_moment update_moment_per_elem_norm",
        _TOOL,
    ),
}

CONTRIB_OTHERS: Mapping[str, str] = {
    **{
        f"scale_by_{part}": _PART.format(part)
        for part in ("acprop", "ademamix", "adopt", "cocob", "simplified_ademamix")
    },
    "differentially_private_aggregate": "PrivateAggregate, a transform: it takes a gradient an example, and noise; run there",
    "dpsgd": "differentially_private_aggregate before sgd, of which both are judged",
    "scale_by_galore": _PART.format("galore"),
    "hutchinson_estimator_diag_hessian": "it differentiates the loss; HutchinsonDiagonal is what it does with the product",
    "scale_by_madgrad": _PART.format("madgrad"),
    "scale_by_muon": _PART.format("muon"),
    "schedule_free": "the wrapper behind " + _PART.format("schedule_free_sgd and schedule_free_adamw"),
    "schedule_free_eval_params": _TOOL,
    "split_real_and_imaginary": "complex parameters",
}
