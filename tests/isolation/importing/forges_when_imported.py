"""Tells the host that it was made, and is what nobody can be."""

from tests.isolation.hostile.machine import forge
from tests.isolation.hostile.right import at

forge(
    result={"dict": [["thing", {"float": "inf"}], ["methods", {"list": []}], ["words", {"dict": []}], ["noted", False]]}
)
candidate = at(None, lambda given: None)
