"""The inputs that candidates are driven with, kind by kind."""
