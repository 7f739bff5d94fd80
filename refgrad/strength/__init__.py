"""How strong the oracle is, in figures: legal programs and mutants of every rule, judged by refgrad and by others."""
