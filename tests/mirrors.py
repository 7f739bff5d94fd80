"""Which test file stands for a module that has none of its own name, and why; and which test files stand for no one module.

`tests/test_mirror.py` holds both tables against the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Topic(NamedTuple):
    """Modules that one file tests together.

    Attributes:
        file: the test file, within ``tests/``.
        reason: why they have no file each.
        modules: their dotted names within the package.
        named: True if the file names each module, or something that it defines; False if it gets there through others.
    """

    file: str
    reason: str
    modules: tuple[str, ...]
    named: bool = True


FAMILY = "rules of one family, against what their sources say"
ASKED = "how a thing is asked: a verdict on candidates of that kind, right, wrong and misbehaving"
DATA = "rows of data and the functions that they name: what each row says is what is found"
KERNELS = "text of kernels: kernels that are made of it give the bits of the literal body"
BOUNDS = "bounds of operations: the truth lies within them, and they are not slack"
LAWS = "records of laws: every rule obeys them, and what breaks one is told which"
MUTANTS = "records of rewrites: what they make is valid, new, and told by its name"
FRONT = "the names of a room: each is there, and every rule of the room is among them"

TOPICS: tuple[Topic, ...] = (
    Topic(
        "test_formula_kernels.py",
        KERNELS,
        ("arithmetic.fixed_bits", "arithmetic.formula_graph"),
        False,
    ),
    Topic(
        "test_formula_tapes.py",
        KERNELS,
        (
            "arithmetic.tape",
            "arithmetic.taped",
            "arithmetic.taped_functions",
            "backends.tape_source",
            "backends.tape_text",
            "backends.tape_words",
        ),
        False,
    ),
    Topic("audits/test_recorder.py", "records of a training, which are audited", ("audits.torch_recorder",), False),
    Topic(
        "audits/test_audit.py",
        "recorded steps, right and with a fault, as people ask about them",
        (
            "audits.audit_text",
            "audits.causes",
            "audits.explaining",
            "audits.found",
            "audits.judging",
            "audits.recorded",
            "cli.auditing",
        ),
        False,
    ),
    Topic(
        "audits/test_formats.py",
        "files, whole and broken",
        ("audits.numpy_file", "audits.safetensors_file", "audits.stored"),
        False,
    ),
    Topic("audits/test_formats.py", "files, whole and broken", ("audits.torch_file",), False),
    Topic(
        "audits/test_naming.py", "which array is what, and whose hyperparameters are whose", ("audits.groups",), False
    ),
    Topic(
        "isolation/test_isolation.py",
        "the two ends of one pipe: verdicts on candidates in a process of their own, right, wrong and hostile",
        (
            "isolation.remote",
            "isolation.ahead",
            "isolation.pristine",
            "isolation.hosting",
        ),
        False,
    ),
    Topic(
        "isolation/test_messages.py",
        "what crosses the pipe, and what crosses beside it",
        ("isolation.recipe", "isolation.layouts"),
    ),
    Topic(
        "candidates/test_program.py",
        "functions in other languages: a library is asked as a program is",
        ("candidates.shared_library", "cli.programs"),
    ),
    Topic(
        "golden/test_files.py",
        "golden files from what is chosen to what is read: made, verified, compared and damaged",
        (
            "cli.golden",
            "golden.case",
            "golden.checking",
            "golden.flags",
            "golden.inputs",
            "golden.making",
            "golden.reading",
            "golden.records",
            "golden.wrong",
        ),
    ),
    Topic("backends/test_step.py", "what `step_` checks of a leaf", ("optimizers.leaf",), False),
    Topic(
        "arithmetic/test_operations.py",
        "every row of the table is asked under every arithmetic",
        (
            "arithmetic.operations.choices",
            "arithmetic.operations.elementwise",
        ),
        False,
    ),
    Topic(
        "arithmetic/test_top_k.py",
        "its record, under every arithmetic",
        ("arithmetic.operations.selections",),
        False,
    ),
    Topic("arithmetic/test_operations.py", "the record is what the table is made of", ("arithmetic.operations.op",)),
    Topic("arithmetic/test_elementary.py", "each function against mpmath", ("arithmetic.operations.functions",)),
    Topic("test_rule.py", "what a rule is as a value, and what it is called", ("hyperparameters", "registry")),
    Topic("arithmetic/test_enclosure_graph.py", KERNELS, ("arithmetic.enclosed",)),
    Topic("arithmetic/test_running_error.py", BOUNDS, ("arithmetic.product_error",)),
    Topic("arithmetic/test_scalar_math.py", BOUNDS, ("arithmetic.operations.scalar_bounds",), False),
    Topic("optimizers/test_shampoo.py", BOUNDS, ("arithmetic.operations.matrix", "arithmetic.exact_matrices"), False),
    Topic("strength/test_matrix_interpreter.py", "matrix operations, each in exact numbers", ("arithmetic.matrices",)),
    Topic(
        "optimizers/test_muon.py", BOUNDS, ("arithmetic.newton_schulz_error", "surveys.implementations.matrix_drivers")
    ),
    Topic(
        "quantizers/test_cast.py", "every value of a narrow format", ("arithmetic.minifloats", "arithmetic.rounding")
    ),
    Topic("quantizers/test_microscaling.py", "rounding in exact numbers", ("arithmetic.rounding_exact",)),
    Topic("quantizers/test_blockwise.py", KERNELS, ("quantizers.tables",)),
    Topic("quantizers/test_cast.py", KERNELS, ("backends.rounding_kernels",)),
    Topic("backends/test_kernel_cache.py", KERNELS, ("backends.compiler", "backends.source")),
    Topic(
        "backends/test_same_bits.py",
        KERNELS,
        (
            "backends.numba_backend",
            "backends.staged_backend",
            "backends.staged_source",
            "backends.fold_source",
            "backends.between_source",
        ),
        False,
    ),
    Topic("backends/cuda/test_staged_run.py", KERNELS, ("backends.cuda.staged_source",)),
    Topic("backends/cuda/test_run.py", KERNELS, ("backends.cuda.source",), False),
    Topic(
        "backends/cuda/test_arrays.py",
        KERNELS,
        (
            "backends.cuda.array_folds",
            "backends.cuda.array_order",
            "backends.cuda.array_source",
            "backends.cuda.fold_kernels",
            "backends.cuda.device_array",
        ),
    ),
    Topic(
        "backends/cuda/test_doors.py",
        "every rule on a device's arrays: what its kind does there is seen by its bits",
        (
            "backends.cuda.cupy_device",
            "backends.cuda.groups",
            "estimators.on_device",
            "optimizers.transform_on_device",
            "quantizers.body_on_device",
            "quantizers.elements_on_device",
            "quantizers.on_device",
            "sparsity.on_device",
        ),
        False,
    ),
    Topic("backends/test_dialect.py", KERNELS, ("backends.c_dialect",)),
    Topic(
        "backends/test_whole_source.py",
        KERNELS,
        ("backends.launches", "backends.driver_source", "backends.cuda.whole_source"),
        False,
    ),
    Topic("backends/test_dialect.py", KERNELS, ("backends.writer",), False),
    Topic("backends/test_selection.py", KERNELS, ("backends.group_source",)),
    Topic(
        "oracle/acceptance/test_screening.py",
        "kernels that say what is inside",
        ("backends.screen_source", "oracle.acceptance.screened_outputs"),
    ),
    Topic("backends/test_row_kernels.py", KERNELS, ("backends.step_source", "quantizers.rows")),
    Topic("backends/test_row_kernels.py", KERNELS, ("backends.row_source",), False),
    Topic("kinds/test_eight_bit.py", ASKED, ("candidates.eight_bit", "candidates.torch_eight_bit"), False),
    Topic("kinds/test_estimator.py", ASKED, ("candidates.estimator", "candidates.torch_estimator"), False),
    Topic("kinds/test_estimator.py", ASKED, ("candidates.estimator_arguments",), False),
    Topic("candidates/test_frameworks.py", ASKED, ("candidates.keras_optimizer",), False),
    Topic("candidates/test_masks.py", ASKED, ("candidates.mask_function", "candidates.torch_mask"), False),
    Topic(
        "kinds/test_every_kind.py",
        ASKED,
        ("candidates.mask_updates", "kinds.kind", "kinds.record", "kinds.stateless"),
        False,
    ),
    Topic("kinds/test_quantizer.py", ASKED, ("candidates.quantizer",), False),
    Topic("test_rule.py", FRONT, ("estimators", "gradients", "optimizers", "quantizers", "sparsity"), False),
    Topic("estimators/test_laws.py", FAMILY, ("estimators.policies",)),
    Topic(
        "estimators/test_paper.py",
        FAMILY,
        ("estimators.learned", "estimators.spikes", "estimators.straight_through", "estimators.surrogates"),
    ),
    Topic(
        "estimators/test_paper_tensors.py",
        FAMILY,
        ("estimators.categorical", "estimators.codebook", "estimators.filters"),
    ),
    Topic(
        "testing/test_check_cases.py", LAWS, ("kinds.laws.estimator", "kinds.laws.mask", "kinds.laws.quantizer"), False
    ),
    Topic("testing/test_check_runs.py", LAWS, ("kinds.laws.optimizer",)),
    Topic("testing/test_check_runs.py", LAWS, ("kinds.laws.single_run",), False),
    Topic(
        "optimizers/test_extra_inputs.py", "the mechanism, on a rule that has all kinds of inputs", ("optimizers.base",)
    ),
    Topic(
        "optimizers/test_paper_variants.py",
        FAMILY,
        ("optimizers.adam", "optimizers.adam_relatives", "optimizers.belief", "optimizers.rmsprop"),
    ),
    Topic("optimizers/test_paper.py", FAMILY, ("optimizers.adagrad",)),
    Topic(
        "gradients/test_geometry.py",
        FAMILY,
        (
            "gradients.dimension",
            "gradients.perception",
            "gradients.subspaces",
            "gradients.transport",
        ),
    ),
    Topic(
        "gradients/test_by_condition.py",
        FAMILY,
        (
            "gradients.bias_bits",
            "gradients.sequential_coding",
        ),
    ),
    Topic(
        "gradients/test_solvers.py",
        FAMILY,
        (
            "gradients.boosting",
            "gradients.convex_networks",
            "gradients.directions",
            "gradients.equilibrium",
            "gradients.points",
            "gradients.search",
        ),
    ),
    Topic("quantizers/test_gradients.py", FAMILY, ("quantizers.buckets", "quantizers.sparse")),
    Topic("optimizers/test_paper_extra.py", FAMILY, ("optimizers.noise",)),
    Topic("optimizers/test_paper_averaging.py", FAMILY, ("optimizers.averaging",)),
    Topic(
        "optimizers/test_paper_layers.py",
        FAMILY,
        ("optimizers.adam_clipped", "optimizers.cautious", "optimizers.factored", "optimizers.trust_ratio"),
    ),
    Topic(
        "optimizers/test_paper_momentum.py",
        FAMILY,
        ("optimizers.adam_momenta", "optimizers.adam_scales", "optimizers.momentum", "optimizers.sign_momentum"),
    ),
    Topic(
        "optimizers/test_paper_extra.py",
        FAMILY,
        ("optimizers.curvature", "optimizers.loss_aware", "optimizers.mechanic", "optimizers.quasi_newton"),
    ),
    Topic("optimizers/test_paper_tensors.py", FAMILY, ("optimizers.layerwise",)),
    Topic("optimizers/test_paper_parameter_free.py", FAMILY, ("optimizers.parameter_free",)),
    Topic("optimizers/test_paper_momentum.py", "pieces that bodies of rules are made of", ("optimizers.parts",), False),
    Topic(
        "optimizers/test_elsewhere.py",
        "what others call a rule: as it was found, and as what explains a verdict",
        ("oracle.hypotheses.known_forms",),
        False,
    ),
    Topic("oracle/engine/test_tally.py", "records that are counted", ("oracle.acceptance.findings",)),
    Topic("kinds/test_eight_bit.py", "codes and scales judged in a step", ("oracle.acceptance.quantized_state",)),
    Topic(
        "test_cli.py",
        "the command line as people use it, command by command",
        ("cli.group", "cli.judging", "cli.options", "cli.showing", "cli.surveying", "examples.demo"),
        False,
    ),
    Topic("oracle/test_compare.py", "two versions, as text", ("oracle.comparison_text",), False),
    Topic("oracle/test_compare.py", "two versions, on the command line", ("cli.comparing",), False),
    Topic(
        "report/site/test_command.py",
        "pages of the site, as they stand among all others",
        ("report.site.rule_page", "report.site.staging", "report.site.world"),
        named=False,
    ),
    Topic("report/site/test_pictures.py", "what a picture is drawn with", ("report.site.svg",)),
    Topic("report/test_terminal.py", "a verdict, as people see it", ("oracle.engine.verdict",)),
    Topic("report/test_text.py", "a verdict, as text", ("oracle.engine.verdict_text",)),
    Topic("oracle/inputs/test_steps.py", "cases of steps, drawn and written", ("oracle.inputs.written",)),
    Topic("oracle/engine/test_shrink.py", "cases that are made smaller", ("oracle.inputs.cases",)),
    Topic("oracle/inputs/test_undefined.py", "numbers far from zero", ("oracle.inputs.extremes",)),
    Topic("oracle/inputs/test_estimators.py", "generated cases", ("oracle.inputs.quantizers",)),
    Topic(
        "kinds/test_transform.py",
        "generated cases, which each rule accepts",
        ("oracle.inputs.transforms",),
        False,
    ),
    Topic(
        "oracle/test_mutants.py",
        MUTANTS,
        (
            "oracle.mutants.correction",
            "oracle.mutants.decay",
            "oracle.mutants.decision",
            "oracle.mutants.eps",
            "oracle.mutants.further",
            "oracle.mutants.patterns",
            "oracle.mutants.step",
            "oracle.mutants.weight",
        ),
        False,
    ),
    Topic("oracle/test_mutants.py", MUTANTS, ("oracle.mutants.operand",)),
    Topic("quantizers/test_bad_inputs.py", "what every quantizer does with bad input", ("quantizers.base",)),
    Topic("kinds/test_eight_bit.py", "state in 8 bits, judged", ("quantizers.eight_bit",)),
    Topic("backends/test_row_kernels.py", FAMILY, ("quantizers.scaled_floats",)),
    Topic("quantizers/gguf/test_digests.py", FAMILY, ("quantizers.gguf.super_blocks",)),
    Topic(
        "quantizers/gguf/test_laws.py",
        FAMILY,
        ("quantizers.gguf.blocks", "quantizers.gguf.searches", "quantizers.gguf.simple"),
    ),
    Topic("quantizers/gguf/test_laws.py", KERNELS, ("quantizers.gguf.kernels", "quantizers.gguf.loops"), False),
    Topic("quantizers/gguf/test_digests.py", "where the bytes of a block are", ("quantizers.gguf.layout",), False),
    Topic("quantizers/test_weights.py", FAMILY, ("quantizers.half_quadratic",)),
    Topic("quantizers/test_training.py", FAMILY, ("quantizers.natural",)),
    Topic("surveys/test_page.py", "the page, in a browser", ("report.survey_html",)),
    Topic("surveys/test_reports.py", "a survey, as people see it", ("report.survey_page", "surveys.survey_text")),
    Topic("sparsity/test_paper.py", FAMILY, ("sparsity.activations", "sparsity.base", "sparsity.magnitude")),
    Topic("sparsity/test_paper.py", FAMILY, ("sparsity.progressive", "sparsity.sensitivity")),
    Topic("sparsity/test_transposable.py", FAMILY, ("sparsity.tiles",)),
    Topic("optimizers/test_extra_inputs.py", "slots and inputs of a rule that has all kinds of them", ("state",)),
    Topic("arithmetic/test_reverse.py", "gradients by reverse mode", ("arithmetic.adjoints",)),
    Topic(
        "test_formulas.py",
        "formulas of one's own, and those of the gallery",
        ("examples.formulas", "formula_signature"),
    ),
    Topic(
        "test_opaque_functions.py",
        "functions that cannot be traced, judged by perturbed runs",
        ("kinds.opaque", "oracle.acceptance.spreads"),
    ),
    Topic(
        "strength/test_body_programs.py",
        "bodies of rules run another way: programs that are right and programs with a fault",
        (
            "strength.body_arrays",
            "strength.body_interpreter",
            "arithmetic.body_mutations",
            "arithmetic.replacing",
            "arithmetic.shaped",
            "strength.body_operations",
            "strength.graph_programs",
        ),
        False,
    ),
    Topic("strength/test_measurement.py", "figures, measured and counted", ("strength.figures",)),
    Topic("strength/test_figures_file.py", "figures, in the page that holds them", ("strength.tables",)),
    Topic(
        "strength/test_mutants.py", "programs of every kind", ("strength.programs.base", "strength.programs.optimizer")
    ),
    Topic("strength/test_legal_programs.py", "programs of every kind", ("strength.programs.eight_bit",), False),
    Topic(
        "strength/situations/test_trial.py",
        "planted faults, each tried",
        ("strength.situations.planting", "strength.situations.probe"),
    ),
    Topic(
        "strength/situations/test_trial.py",
        "programs with a fault, and lists of faults: those of every kind of rule are tried",
        (
            "strength.situations.run_faults",
            "strength.situations.setting_faults",
            "strength.situations.shape_faults",
            "strength.situations.stateless_program",
            "strength.situations.stepped_program",
            "strength.situations.value_faults",
        ),
        False,
    ),
    Topic(
        "strength/situations/test_figures.py", "figures, in the page that holds them", ("strength.situations.command",)
    ),
    Topic("surveys/test_run.py", "a survey of fakes, whatever they do", ("surveys.cell",)),
    Topic(
        "surveys/implementations/test_table.py",
        DATA,
        (
            "surveys.implementations.casts",
            "surveys.implementations.extra",
            "surveys.implementations.frameworks",
            "surveys.implementations.gradient_drivers",
            "surveys.implementations.gradients",
            "surveys.implementations.inputs",
            "surveys.implementations.keras",
            "surveys.implementations.layers",
            "surveys.implementations.matrices",
            "surveys.implementations.momenta",
            "surveys.implementations.packages",
            "surveys.implementations.quantizers",
            "surveys.implementations.task_drivers",
            "surveys.implementations.wrappers",
        ),
        False,
    ),
    Topic(
        "surveys/implementations/test_table.py",
        DATA,
        ("surveys.implementations.drivers",),
    ),
    Topic("surveys/test_releases.py", "releases, as people see them", ("report.releases_page",)),
    Topic("surveys/test_reports.py", DATA, ("surveys.implementations.findings",)),
)

#: test files whose subject lies across modules -> what it is
ACROSS: Mapping[str, str] = {
    "kinds/test_situations.py": "faults that ordinary cases do not show, of every kind",
    "kinds/test_widths.py": "faults at multiples of widths alone, of every kind",
    "backends/cuda/test_other_libraries.py": "arrays of other libraries on a card, such as torch's",
    "backends/cuda/test_on_card.py": "the script for a card, tried without one",
    "backends/cuda/test_interpreter.py": "the interpreter of PTX, which CUDA kernels are run by where there is no card",
    "backends/test_names.py": "no name of a rule collides with one in the text of its kernels",
    "backends/test_same_bits.py": "the same bits from the literal body and from kernels",
    "backends/test_step.py": "what `step` and `step_` take, refuse and leave alone",
    "benchmarks/test_audits.py": "speed",
    "benchmarks/test_gguf_blocks.py": "speed",
    "benchmarks/test_judging.py": "speed",
    "benchmarks/test_masks.py": "speed",
    "benchmarks/test_matrix_products.py": "speed",
    "benchmarks/test_quantizers.py": "speed",
    "benchmarks/test_steps.py": "speed",
    "benchmarks/test_table.py": "speed",
    "benchmarks/test_versions.py": "speed",
    "bits/test_bits.py": "the bits of every rule, as they were",
    "breaks/test_table.py": "faults that the tests must catch",
    "candidates/test_state_names.py": "state under names of the user's own, whatever the candidate",
    "docs/test_examples.py": "the examples of the pages",
    "docs/test_jobs.py": "the page of three jobs: files, commands, pictures",
    "docs/test_judging_kernels.py": "the table of rules that no kernel judges",
    "docs/test_rules_by_backend.py": "the table of what runs rules on a card",
    "docs/test_bits_compared.py": "the table of bits of CUDA kernels that were compared",
    "docs/test_where_rules_run.py": "the page of what runs each rule",
    "docs/test_gradient_kernels.py": "the table of which functions of gradients have kernels",
    "docs/test_gradient_sources.py": "the table of titles, and of what was read",
    "docs/test_gradient_systems.py": "the page of systems around gradients by their names",
    "gradients/test_disagreements.py": "lines that show where programs disagree with rules of the room",
    "test_robustness.py": "the tests by which nothing breaks it, by the page that names them",
    "fuzz/test_calls.py": "random calls of every public function, judged",
    "fuzz/test_environments.py": "every public function in every floating-point environment",
    "fuzz/test_extremes.py": "hyperparameters of every rule at the ends of their ranges",
    "fuzz/test_sizes.py": "whole numbers of every rule and public function at very large values",
    "fuzz/test_damage.py": "files that are damaged, and trainings that are saved, loaded and refused",
    "fuzz/test_pipe.py": "answers over a pipe that are damaged",
    "fuzz/test_faults.py": "a machine that is short of everything: no disk, no home, closed streams",
    "golden/test_readers.py": "golden files read in other languages",
    "kinds/test_every_kind.py": "every kind with every entry point",
    "report/test_scripts.py": "modules that `python -m` runs",
    "optimizers/test_coverage.py": "every public optimizer of torch and optax",
    "optimizers/test_golden.py": "trajectories that were worked out beforehand",
    "optimizers/test_laws.py": "properties of every elementwise rule",
    "oracle/acceptance/test_acceptance.py": "what is accepted, sentence by sentence",
    "oracle/acceptance/test_planted.py": "no set holds everything, and variants are told alike under every policy",
    "oracle/acceptance/test_ways.py": "rules with many ways through their decisions, of every kind",
    "oracle/hypotheses/test_decided.py": "hyperparameters that act through decisions alone",
    "oracle/test_audit.py": "the enclosure of every rule: right, and not slack",
    "oracle/test_broken_oracle.py": "an oracle that is broken on purpose is caught",
    "oracle/test_identify_cases.py": "identification of rules without state",
    "oracle/test_identify_hidden.py": "identification by the parameter alone",
    "oracle/test_identify_packages.py": "identification of what others wrote",
    "oracle/test_identify_wrappers.py": "identification of rules around others",
    "oracle/test_rewritten.py": "every optimizer, rewritten rightly and wrongly",
    "quantizers/gguf/test_exact.py": "block formats in exact numbers",
    "quantizers/gguf/test_package.py": "block formats against the package of their authors",
    "estimators/test_filters_and_codes.py": "estimators against code of others",
    "estimators/test_implementations.py": "estimators against code of others",
    "optimizers/test_master_weights.py": "one way of storing, against a torch optimizer",
    "estimators/test_written.py": "estimators against the form with detach",
    "estimators/test_rewritten.py": "every estimator, rewritten rightly and wrongly",
    "estimators/test_same_bits.py": "the same bits from the literal body and from kernels",
    "optimizers/test_implementations.py": "optimizers against code of others",
    "optimizers/test_implementations_extra.py": "optimizers against code of others",
    "optimizers/test_implementations_layers.py": "optimizers against code of others",
    "optimizers/test_implementations_momentum.py": "optimizers against code of others",
    "optimizers/test_implementations_parameter_free.py": "optimizers against code of others",
    "optimizers/test_packages.py": "optimizers against code of others",
    "optimizers/test_paper.py": "the first family of optimizers, in fifty digits",
    "optimizers/test_stored_packages.py": "narrow parameters against code of others",
    "optimizers/test_radam.py": "RAdam with its scalars in float32, and with terms beside the right ones",
    "gradients/test_regression_cases.py": "cases that tell published programs of gradients apart, and policies of the room",
    "gradients/test_every_rule.py": "every function of gradients, with a fault",
    "sparsity/test_implementations.py": "masks against code of others",
    "sparsity/test_rewritten.py": "every mask and mask update, rewritten rightly and wrongly",
    "optimizers/test_inner_fields.py": "hyperparameters of a rule within a rule",
    "optimizers/test_worked.py": "three steps of every optimizer, by equations that are no part of refgrad",
    "test_security.py": "what SECURITY.md promises of refgrad's own code",
    "test_few_axes.py": "every rule on arrays of no axis, of one, and of no elements",
    "test_package_settings.py": "packages through their outermost functions, over shapes, at settings off their defaults",
    "test_formula_labels.py": "whole numbers in formulas: labels, tokens and routes",
    "test_worked.py": "rules without steps on a few numbers, by formulas that are no part of refgrad",
    "peers/test_peers.py": "other packages' own data and code beside refgrad, and the ledger of where they differ",
    "peers/test_properties.py": "implementations are their rules on whatever is drawn",
    "trajectories/test_trajectories.py": "a small network trained with every optimizer, in every way in which steps are taken",
    "test_variants.py": "every named behaviour of every rule",
    "surveys/implementations/test_over_time.py": "implementations beside their rules over many steps",
    "test_architecture.py": "who may import whom",
    "test_depth.py": "how deep the tests look",
    "test_release.py": "what the files of a release say of each other",
    "test_docstrings.py": "the examples of docstrings",
    "test_mirror.py": "where tests stand",
    "test_named_methods.py": "methods that are named in the literature",
    "strength/test_kernels.py": "the programme that judges right and wrong kernels of formulas beside other gates",
    "strength/test_edits.py": "the programme that edits source texts, and faults that are named",
    "typing/test_user_file.py": "types, as a user sees them",
}
