"""Optimizers as classes of torch."""

from __future__ import annotations

from refgrad import optimizers as o
from refgrad.rule import Rule
from tests.strength.edits.text import TORCH, Text

CLASS = """import torch

class Edited(torch.optim.Optimizer):
    def __init__(self, params, {signature}):
        super().__init__(params, dict({settings}))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            {unpacked}
            for p in group["params"]:
                if p.grad is None:
                    continue
                g, state = p.grad, self.state[p]
                if not state:
                    state["step"] = 0
{initial}
                state["step"] += 1
                t = state["step"]
{body}

candidate = Edited
"""


def _class(name: str, rule: Rule, numbers: str, slots: str, body: str) -> Text:
    """A class with settings as ``name=default`` and slots that begin with zeros."""
    settings = [part.split("=")[0].strip() for part in numbers.split(";")]
    names = slots.split()
    initial = "".join(f'                    state["{n}"] = torch.zeros_like(p)\n' for n in names)
    reading = [f'{n} = state["{n}"]' for n in names]
    lines = "".join(f"                {line}\n" for line in [*reading, *body.strip().splitlines()])
    source = CLASS.format(
        signature=numbers.replace(";", ","),
        settings=", ".join(f"{n}={n}" for n in settings),
        unpacked="; ".join(f'{n} = group["{n}"]' for n in settings).replace("betas =", "beta1, beta2 ="),
        initial=initial.rstrip("\n"),
        body=lines.rstrip("\n"),
    )
    return Text(name, TORCH, rule, source)


ADAM = "lr=1e-3; betas=(0.9, 0.999); eps=1e-8; weight_decay={}"

TEXTS = (
    _class(
        "torch AdamW",
        o.AdamW(),
        ADAM.format(0.01),
        "exp_avg exp_avg_sq",
        """
p.mul_(1 - lr * weight_decay)
exp_avg.mul_(beta1).add_(g, alpha=1 - beta1)
exp_avg_sq.mul_(beta2).addcmul_(g, g, value=1 - beta2)
m_hat = exp_avg / (1 - beta1**t)
v_hat = exp_avg_sq / (1 - beta2**t)
p.addcdiv_(m_hat, v_hat.sqrt().add_(eps), value=-lr)
""",
    ),
    _class(
        "torch Adam",
        o.Adam(weight_decay=0.1),
        ADAM.format(0.1),
        "exp_avg exp_avg_sq",
        """
g = g.add(p, alpha=weight_decay)
exp_avg.lerp_(g, 1 - beta1)
exp_avg_sq.mul_(beta2).addcmul_(g, g, value=1 - beta2)
denominator = (exp_avg_sq.sqrt() / (1 - beta2**t) ** 0.5).add_(eps)
p.addcdiv_(exp_avg, denominator, value=-lr / (1 - beta1**t))
""",
    ),
    _class(
        "torch RAdam",
        o.RAdam(),
        "lr=1e-3; betas=(0.9, 0.999); eps=1e-8",
        "exp_avg exp_avg_sq",
        """
exp_avg.mul_(beta1).add_(g, alpha=1 - beta1)
exp_avg_sq.mul_(beta2).addcmul_(g, g, value=1 - beta2)
longest = 2 / (1 - beta2) - 1
length = longest - 2 * t * beta2**t / (1 - beta2**t)
m_hat = exp_avg / (1 - beta1**t)
if length > 4:
    r = ((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)) ** 0.5
    v_hat = exp_avg_sq / (1 - beta2**t)
    p.addcdiv_(m_hat, v_hat.sqrt().add_(eps), value=-lr * r)
else:
    p.add_(m_hat, alpha=-lr)
""",
    ),
    _class(
        "torch SGD",
        o.SGD(lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
        "lr=0.1; momentum=0.9; weight_decay=0.1",
        "momentum_buffer",
        """
g = g.add(p, alpha=weight_decay)
momentum_buffer.mul_(momentum).add_(g)
p.add_(g.add(momentum_buffer, alpha=momentum), alpha=-lr)
""",
    ),
    _class(
        "torch Lion",
        o.Lion(weight_decay=0.1),
        "lr=1e-4; betas=(0.9, 0.99); weight_decay=0.1",
        "exp_avg",
        """
p.mul_(1 - lr * weight_decay)
c = exp_avg * beta1 + g * (1 - beta1)
p.add_(c.sign(), alpha=-lr)
exp_avg.mul_(beta2).add_(g, alpha=1 - beta2)
""",
    ),
    _class(
        "torch RMSprop",
        o.RMSprop(weight_decay=0.1, momentum=0.9, centered=True, variance="bare"),
        "lr=0.01; alpha=0.99; eps=1e-8; momentum=0.9; weight_decay=0.1",
        "square_avg grad_avg momentum_buffer",
        """
g = g.add(p, alpha=weight_decay)
square_avg.mul_(alpha).addcmul_(g, g, value=1 - alpha)
grad_avg.mul_(alpha).add_(g, alpha=1 - alpha)
root = (square_avg - grad_avg * grad_avg).sqrt().add_(eps)
momentum_buffer.mul_(momentum).addcdiv_(g, root)
p.add_(momentum_buffer, alpha=-lr)
""",
    ),
    _class(
        "torch Adagrad",
        o.Adagrad(lr_decay=0.1),
        "lr=0.01; lr_decay=0.1; eps=1e-10",
        "sum",
        """
rate = lr / (1 + (t - 1) * lr_decay)
sum.addcmul_(g, g, value=1)
p.addcdiv_(g, sum.sqrt().add_(eps), value=-rate)
""",
    ),
    _class(
        "torch LAMB",
        o.LAMB(weight_decay=0.1),
        "lr=1e-3; betas=(0.9, 0.999); eps=1e-6; weight_decay=0.1",
        "exp_avg exp_avg_sq",
        """
exp_avg.mul_(beta1).add_(g, alpha=1 - beta1)
exp_avg_sq.mul_(beta2).addcmul_(g, g, value=1 - beta2)
m_hat = exp_avg / (1 - beta1**t)
v_hat = exp_avg_sq / (1 - beta2**t)
u = m_hat / (v_hat.sqrt() + eps) + weight_decay * p
size, step = p.norm(), u.norm()
ratio = size / step if size > 0 and step > 0 else 1.0
p.sub_(lr * ratio * u)
""",
    ),
)
