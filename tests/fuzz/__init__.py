"""The fuzzers: whatever is handed to a public function, it gives a right value or a clear error, and nothing else happens.

`python -m tests.fuzz --help` says what can be run. `values` draws arguments, `subjects` and `functions` say what each public
function takes and what the right result is, `judge` what became of one call, `calls` runs many and counts. `room_functions` are
those that are no rules; `machine` is training that is saved, loaded and interrupted, `damage` files that are damaged, and
`faults` a machine that is short of everything.
"""
