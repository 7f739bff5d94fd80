"""Tells the host that it was made, and is what nobody can be."""

from tests.isolation.hostile import at, forge

forge(
    result={"dict": [["thing", {"float": "inf"}], ["methods", {"list": []}], ["words", {"dict": []}], ["noted", False]]}
)
candidate = at(None, lambda given: None)
