"""Golden files: cases of every rule with the sets of right results, for implementations in any language (docs/golden.md).

`levels` says how much there is, `inputs` what cases are made of, `case` what one is and how results are judged by it, `wrong`
makes variants and faults that cases must refuse, `making` chooses and writes, `tensors` and `records` read with suspicion,
`checking` verifies and compares.
"""
