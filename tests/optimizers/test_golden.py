"""Trajectories worked out beforehand with other code, in float64; agreement to the digits that were written down."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad import optimizers as o

GRADIENTS = (0.5, -0.25, 1.0, 0.0, -2.0, 0.125)

SCALAR: list[tuple[Any, str, str, str]] = [
    (o.SGD(lr=0.1, momentum=0.9), "0.95", "0.93", "0.891698"),
    (o.SGD(lr=0.1, momentum=0.9, dampening=0.5, first_step="undamped"), "0.95", "0.9175", "0.82870925"),
    (o.SGD(lr=0.1, momentum=0.9, nesterov=True), "0.905", "0.912", "0.9650282"),
    (o.SGD(lr=0.1, momentum=0.9, weight_decay=0.1), "0.94", "0.9016", "0.736077460456"),
    (o.Adam(lr=0.1), "0.900000002", "0.873366298708", "0.796811318378"),
    (o.Adam(lr=0.1, weight_decay=0.1), "0.900000001667", "0.854441367462", "0.744700314740"),
    (o.AdamW(lr=0.1, weight_decay=0.1), "0.890000002", "0.854466298688", "0.747022171961"),
    (o.AMSGrad(lr=0.1, order="torch"), "0.900000002", "0.873366298708", "0.796838279368"),
    (o.AMSGrad(lr=0.1, order="optax"), "0.900000002", "0.878947370842", "0.808039946935"),
    (o.AMSGrad(lr=0.1), "0.683772433983", "0.570590131039", "0.206624843336"),
    (o.Adagrad(lr=0.1), "0.90000000002", "0.944721359562", "0.938791082988"),
    (
        o.Adagrad(lr=0.1, initial_accumulator_value=0.1, eps=1e-7, eps_placement="inside"),
        "0.915484586601",
        "0.954409529091",
        "0.950870564530",
    ),
    (o.Adadelta(), "0.996837785583", "0.998922872611", "0.999610976744"),
    (o.RMSprop(lr=0.1), "0.0000002", "0.449013374422", "0.390001270122"),
    (o.RMSprop(lr=0.1, momentum=0.9, centered=True), "-0.005037613239", "-0.460122948565", "-3.294867738362"),
    (o.RMSprop(lr=0.1, alpha=0.9, eps_placement="inside"), "0.683772297229", "0.831214227742", "0.813081193647"),
    (o.Adamax(lr=0.1, eps_placement="inside_max"), "0.900000002", "0.878926297137", "0.825924496329"),
    (o.RAdam(lr=0.1, threshold="torch", eps_placement="uncorrected"), "0.95", "0.939473684211", "0.891025204339"),
    (o.Lion(lr=0.1), "0.9", "1.0", "0.8"),
    (o.Lion(lr=0.1, weight_decay=0.1), "0.89", "0.9811", "0.746400845411"),
    (o.AdaBelief(lr=0.1), "0.888888888889", "0.860518809596", "0.773234572585"),
    (o.DiffGrad(lr=0.1, eps_placement="uncorrected"), "0.937754106248", "0.919665072070", "0.867349921288"),
    (o.AdaBelief(lr=0.1, rectify="author"), "0.95", "0.939473684211", "0.891055993237"),
    (o.EXAdam(lr=0.1), "-0.595219326718", "-0.140355609181", "-0.398724611938"),
    (o.EXAdam(lr=0.1, version="first"), "-0.105721778689", "0.301781407863", "0.179151503495"),
    (o.RM3(lr=0.1), "1.0", "1.0", "0.95"),
    (
        o.RMSprop(lr=0.1, alpha=0.9, initial_scale=1.0, eps=1e-10, eps_placement="inside"),
        "0.948012475512",
        "0.975310030032",
        "1.045908635143",
    ),
]


def agrees(value: float, digits: str) -> bool:
    """Equal to within one unit of the last digit that was written down, and float64's own rounding."""
    last = len(digits.partition(".")[2])
    return abs(value - float(digits)) <= max(10.0**-last, 1e-12)


@pytest.mark.sample(quick=100)
@pytest.mark.parametrize(("rule", "first", "second", "sixth"), SCALAR, ids=lambda x: str(x))
def test_scalar_trajectories(rule: Any, first: str, second: str, sixth: str) -> None:
    p = np.ones(1)
    state, seen = rule.init(p), []
    for g in GRADIENTS:
        p, state = rule.step(p, np.asarray([g]), state, backend="numpy")
        seen.append(float(p[0]))
    assert agrees(seen[0], first)
    assert agrees(seen[1], second)
    assert agrees(seen[5], sixth)


MATRIX = np.asarray([[3, -1, 2, 0.5], [1, 1, -1, 2]])
MATRIX_GRADIENTS = (
    np.asarray([[1, 2, -0.5, 0.25], [0.5, -0.25, 1, 0]]),
    np.asarray([[-1, 0.5, 0.75, 2], [0, 1, -1, 0.5]]),
)


@pytest.mark.parametrize(
    ("rule", "first_row", "second_row"),
    [
        (
            o.AdamP(lr=0.1, delta=2.0),
            "2.910526317 -1.103508771 2.107017542 0.401754390",
            "0.853049111 1.071858920 -1.122546114 1.973450525",
        ),
        (
            o.LAMB(lr=0.1, weight_decay=0.1),
            "2.775295269 -1.155564847 2.138279595 0.318508269",
            "0.624630866 0.989070043 -1.114083467 1.733424593",
        ),
        (
            o.SGDP(lr=0.1, momentum=0.9, delta=2.0),
            "2.902631579 -1.200877193 2.051754386 0.475438596",
            "0.925187016 0.970154420 -1.115121824 1.993663904",
        ),
        (
            o.SGDP(lr=0.1, momentum=0.9, delta=2.0, kept="projected"),
            "2.902631579 -1.200877193 2.051754386 0.475438596",
            "0.924585642 0.970274989 -1.115964337 1.993423747",
        ),
    ],
    ids=["AdamP", "LAMB", "SGDP", "SGDP projected"],
)
def test_matrix_trajectories(rule: Any, first_row: str, second_row: str) -> None:
    p, state = MATRIX, rule.init(MATRIX)
    p, state = rule.step(p, MATRIX_GRADIENTS[0], state)
    assert all(agrees(x, digits) for x, digits in zip(p[0], first_row.split(), strict=True))
    p, state = rule.step(p, MATRIX_GRADIENTS[1], state)
    assert all(agrees(x, digits) for x, digits in zip(p[1], second_row.split(), strict=True))
