"""What other packages' own data and code say, beside refgrad, and the ledger of where they differ.

`ledger.toml` has a row a departure: the implementation and version, the case, what is otherwise, why, and who is right. What
differs and stands in no row is an error, and so is a row that no longer happens. `onnx_nodes` has ONNX's node tests,
`keras_tests` the literal arrays of Keras, `torch_settings` torch's database of hyperparameter sets, and `golden_cases` runs
refgrad's golden files through torch and optax (`tox -e peers`, `torch` and `jax`).
"""
