"""Rules are judged here: see `tests.literal`."""

from tests.literal import literal_bodies as literal_bodies
