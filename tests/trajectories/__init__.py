"""A small network trained on handwritten digits for 200 steps with every optimizer: its digests and curves, kept as data.

`python -m tests.trajectories` writes `trajectories.json`, `--check` compares everything with it, `--page` draws
docs/trajectories.md. `model` has the digits and the network, `training` the run of one rule, `page` the curves.
"""
