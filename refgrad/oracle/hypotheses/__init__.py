"""What a candidate is, if it is not what it claims to be: one search for `verify` and `identify`, and for every kind of rule.

How the modules chain, from a claim to its explanation:

1. A `refgrad.oracle.engine.run.Claim` was driven: its run is a record, of which `screens.screen_of` picks what is searched.
2. `changes`: a hypothesis is a `Change` of the claim: a named variant, a number, a policy, another rule, a mutant of the graph.
3. `protocol`: what a search asks of a run, a `Screen`: how much is outside under a change, and what else the run tells.
4. `screen` is one for optimizers: `stacked` judges few elements, many steps at once; `free_running` where state is hidden.
5. `run_screen` is one for every other kind: a small run, judged by the kind's own judge until something is wrong.
6. `scored`: a change with what is outside under it; whether it fits, and which of several comes first.
7. `search`: the stages, single changes before pairs, the claim's own numbers before other rules, until something fits.
8. `valued`: numbers that the run tells. Of optimizers by least squares and a linear programme (`recovery`, of `residuals`;
   `crossings` where decisions alone tell them), of other kinds along a line (`line_search`); `recovered` is what is told.
9. `equivalence`: two hypotheses that are the same function, so that one is an alias of the other.
10. `control`: the claimed rule itself on the same cases, which what explains a candidate must not fit: a fact, or "may be".
11. `relatives`: rules that keep more state than the claim, of a candidate that shows as much.
12. `places`: of a candidate that is right on ordinary cases, and wrong in odd shapes, which elements are; `wrong_values` and
    `wrong_groups`: where nothing explains it, which values an input has where it is wrong.
13. `departures.explain` judges the best again on the whole run and tells `verify`; `refgrad.oracle.fitting` tells `identify`.

The engine knows none of these: `explain` is handed to it. A kind knows none of these either: it is asked through its protocol.
"""
