"""Gradient transformations as optax has them, in JAX."""

from __future__ import annotations

from refgrad import optimizers as o
from refgrad.rule import Rule
from tests.strength.edits.text import JAX, Text

FACTORY = """import jax
import jax.numpy as jnp
import optax
from typing import Any, NamedTuple

class State(NamedTuple):
    count: Any
{fields}

def candidate({signature}):
    def init(params):
        zeros = lambda: jax.tree.map(jnp.zeros_like, params)
        return State(jnp.zeros([], jnp.int32), {zeros})

    def one(g, p, t, {slots}):
{body}

    def update(grads, state, params=None):
        t = state.count + 1
        leaves, tree = jax.tree.flatten(params)
        parts = [jax.tree.leaves(x) for x in (grads, params, {states})]
        done = [one(each[0], each[1], t.astype(each[1].dtype), *each[2:]) for each in zip(*parts)]
        trees = [jax.tree.unflatten(tree, list(x)) for x in zip(*done)]
        return trees[0], State(t, *trees[1:])

    return optax.GradientTransformation(init, update)
"""


def _factory(name: str, rule: Rule, signature: str, slots: str, body: str) -> Text:
    names = slots.split()
    return Text(
        name,
        JAX,
        rule,
        FACTORY.format(
            fields="\n".join(f"    {n}: Any" for n in names),
            signature=signature,
            zeros=", ".join("zeros()" for _ in names),
            slots=", ".join(names),
            body="".join(f"        {line}\n" for line in body.strip().splitlines()).rstrip("\n"),
            states=", ".join(f"state.{n}" for n in names),
        ),
    )


ADAM = "learning_rate=1e-3, b1=0.9, b2=0.999, eps=1e-8, weight_decay={}"

TEXTS = (
    _factory(
        "JAX AdamW",
        o.AdamW(scalars="float32"),
        ADAM.format(0.01),
        "mu nu",
        """
mu = b1 * mu + (1 - b1) * g
nu = b2 * nu + (1 - b2) * g * g
mu_hat = mu / (1 - b1**t)
nu_hat = nu / (1 - b2**t)
return -learning_rate * (mu_hat / (jnp.sqrt(nu_hat) + eps) + weight_decay * p), mu, nu
""",
    ),
    _factory(
        "JAX Adam",
        o.Adam(weight_decay=0.1, scalars="float32"),
        ADAM.format(0.1),
        "mu nu",
        """
g = g + weight_decay * p
mu = b1 * mu + (1 - b1) * g
nu = b2 * nu + (1 - b2) * g * g
mu_hat = mu / (1 - b1**t)
nu_hat = nu / (1 - b2**t)
return -learning_rate * mu_hat / (jnp.sqrt(nu_hat) + eps), mu, nu
""",
    ),
    _factory(
        "JAX Lion",
        o.Lion(weight_decay=0.1),
        "learning_rate=1e-4, b1=0.9, b2=0.99, weight_decay=0.1",
        "mu",
        """
c = b1 * mu + (1 - b1) * g
mu = b2 * mu + (1 - b2) * g
return -learning_rate * (jnp.sign(c) + weight_decay * p), mu
""",
    ),
    _factory(
        "JAX SGD",
        o.SGD(lr=0.1, momentum=0.9, nesterov=True),
        "learning_rate=0.1, momentum=0.9",
        "trace",
        """
trace = momentum * trace + g
return -learning_rate * (g + momentum * trace), trace
""",
    ),
    _factory(
        "JAX RMSprop",
        o.RMSprop(lr=1e-2, alpha=0.9),
        "learning_rate=1e-2, decay=0.9, eps=1e-8",
        "nu",
        """
nu = decay * nu + (1 - decay) * g * g
return (-learning_rate * g / (jnp.sqrt(nu) + eps), nu)
""",
    ),
)
