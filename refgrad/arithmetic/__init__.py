"""The arithmetics that a rule is run under: float, graph, enclosure and exact; they know no rule."""
