"""The picture of an acceptance set in docs/enclosure.md, drawn from a run.

``python -m refgrad.report.set_picture > docs/set.svg`` draws it anew: the numbers of float32 around the truth of one element of
AdamW, those of its acceptance set, what right programs give, and what one with eps under the root gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape

import numpy as np

import refgrad
from refgrad.oracle.acceptance.findings import Finding

TARGET = "refgrad.examples.numpy_adamw:adamw_eps_inside"
WIDTH, HEIGHT, MIDDLE = 720, 250, 92
#: of a run whose first finding is near its set, and in which right programs give two numbers
SEED = 9
#: numbers of float32 on either side of the truth
AROUND = 6
STYLE = """text{font:13px system-ui,sans-serif;fill:#24292f}.small{font-size:11px;fill:#57606a}.axis{stroke:#57606a}
.set{fill:#2da44e;opacity:.18}.in{fill:#1a7f37}.out{fill:none;stroke:#57606a}.truth{stroke:#24292f;stroke-dasharray:3 3}
.right{fill:#1a7f37}.wrong{fill:#cf222e}@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}
.axis,.out{stroke:#9198a1}.set{fill:#3fb950;opacity:.25}.in,.right{fill:#3fb950}.truth{stroke:#e6edf3}.wrong{fill:#ff7b72}}"""

Number = np.float32
Program = Callable[[Mapping[str, float], refgrad.optimizers.AdamW], Number]


def as_printed(x: Mapping[str, float], rule: refgrad.optimizers.AdamW) -> Number:
    """The moments corrected, then the quotient."""
    p, lr, eps, m, v = _moments(x, rule)
    m_hat, v_hat = m / Number(1 - rule.beta1 ** x["t"]), v / Number(1 - rule.beta2 ** x["t"])
    return p - lr * (m_hat / (np.sqrt(v_hat) + eps) + Number(rule.weight_decay) * p)


def decayed_first(x: Mapping[str, float], rule: refgrad.optimizers.AdamW) -> Number:
    """The parameter decayed first, and both corrections in scalars, as torch's for-loop."""
    p, _, eps, m, v = _moments(x, rule)
    step = Number(rule.lr / (1 - rule.beta1 ** x["t"]))
    root = np.sqrt(v) / Number((1 - rule.beta2 ** x["t"]) ** 0.5) + eps
    return p * Number(1 - rule.lr * rule.weight_decay) - step * (m / root)


def with_reciprocals(x: Mapping[str, float], rule: refgrad.optimizers.AdamW) -> Number:
    """Reciprocals in place of quotients."""
    p, lr, eps, m, v = _moments(x, rule)
    one = Number(1)
    m_hat = m * Number(1 / (1 - rule.beta1 ** x["t"]))
    v_hat = v * Number(1 / (1 - rule.beta2 ** x["t"]))
    return p - lr * (m_hat * (one / (np.sqrt(v_hat) + eps))) - lr * Number(rule.weight_decay) * p


def _moments(x: Mapping[str, float], rule: refgrad.optimizers.AdamW) -> tuple[Number, ...]:
    p, g, m, v = (Number(x[name]) for name in "pgmv")
    m = Number(rule.beta1) * m + Number(1 - rule.beta1) * g
    v = Number(rule.beta2) * v + Number(1 - rule.beta2) * (g * g)
    return p, Number(rule.lr), Number(rule.eps), m, v


PROGRAMS: Mapping[str, Program] = {
    "as printed": as_printed,
    "decayed first": decayed_first,
    "with reciprocals": with_reciprocals,
}


def finding(rule: refgrad.optimizers.AdamW) -> Finding:
    """The element that is drawn: the first that is outside of a program with eps under the root."""
    found = refgrad.verify(TARGET, rule, seed=SEED, steps=4, shrink=False, explain=False).first
    assert found is not None
    return found


def picture() -> str:
    """The picture as SVG; it loads nothing and follows the colours of the reader's system."""
    rule = refgrad.optimizers.AdamW()
    return draw(finding(rule), rule)


def draw(found: Finding, rule: refgrad.optimizers.AdamW) -> str:
    """The set of one element.

    Args:
        found: the element, with its truth, its set's ends, and a value that is outside.
        rule: which rule it is of.
    """
    truth = float(found.truth)
    unit = float(np.spacing(Number(abs(truth))))
    nearest = float(Number(truth))
    numbers = [nearest + k * unit for k in range(-AROUND, AROUND + 1)]
    room = (WIDTH - 80) / (2 * AROUND)

    def at(value: float) -> float:
        return WIDTH / 2 + (value - nearest) / unit * room

    low, high = at(found.low), at(found.high)
    parts = [
        f'<rect class="set" x="{low:.1f}" y="{MIDDLE - 22}" width="{high - low:.1f}" height="44" rx="4"/>',
        f'<line class="axis" x1="20" x2="{WIDTH - 20}" y1="{MIDDLE}" y2="{MIDDLE}"/>',
        f'<line class="truth" x1="{at(truth):.1f}" x2="{at(truth):.1f}" y1="{MIDDLE - 40}" y2="{MIDDLE + 30}"/>',
        _text(at(truth), MIDDLE - 46, "truth, a real number"),
        _text((low + high) / 2, MIDDLE + 42, "its acceptance set: what a right program may return", "small"),
    ]
    for number in numbers:
        inside = found.low <= number <= found.high
        parts.append(f'<circle class="{"in" if inside else "out"}" cx="{at(number):.1f}" cy="{MIDDLE}" r="5"/>')
    given: dict[float, list[str]] = {}
    for name, program in PROGRAMS.items():
        given.setdefault(float(program(found.inputs, rule)), []).append(name)
    marks = [(value, ", ".join(names), "right") for value, names in given.items()]
    for place, (value, name, kind) in enumerate([*marks, (float(found.value), "eps under the root", "wrong")]):
        x, y = at(value), MIDDLE + 68 + 22 * place
        parts.append(f'<path class="{kind}" d="M{x:.1f} {y - 12} l5 9 h-10 z"/>')
        near_edge = x > WIDTH - 160
        parts.append(_text(x - 10 if near_edge else x + 10, y - 3, name, anchor="end" if near_edge else "start"))
    title = f"One element of {rule} in float32: {len([n for n in numbers if found.low <= n <= found.high])} numbers are right"
    parts.append(_text(20, 22, title, anchor="start"))
    parts.append(
        _text(
            20,
            HEIGHT - 10,
            "Each circle is a number of float32; a unit in the last place lies between two.",
            "small",
            "start",
        )
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{escape(title)}</title>'
    return "\n".join([head, f"<style>{STYLE}</style>", *parts, "</svg>"])


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "middle") -> str:
    mark = f' class="{kind}"' if kind else ""
    return f'<text{mark} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


if __name__ == "__main__":
    print(picture())
