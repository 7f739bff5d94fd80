"""The run of a verdict: candidates asked, outputs judged, counted, made smaller and reproduced."""
