import jax
import jax.numpy as jnp
import optax


def my_lion(lr=1e-4, beta1=0.9, beta2=0.99, weight_decay=0.0):
    def init(params):
        return {"m": jax.tree.map(jnp.zeros_like, params)}

    def update(grads, state, params):
        def one(g, m, p):
            direction = jnp.sign(beta1 * m + (1 - beta1) * g)
            stepped = p - lr * direction
            return stepped * (1 - lr * weight_decay) - p

        updates = jax.tree.map(one, grads, state["m"], params)
        m = jax.tree.map(lambda g, m: beta2 * m + (1 - beta2) * g, grads, state["m"])
        return updates, {"m": m}

    return optax.GradientTransformation(init, update)
