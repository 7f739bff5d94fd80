"""Audits of recorded steps of training: from a checkpoint before a step, the gradients and a checkpoint after it.

`refgrad.audits.formats` reads files, `refgrad.audits.naming` tells which of their arrays are what, `refgrad.audits.judging`
judges chunks of tensors as `refgrad.verify` judges, and `refgrad.audits.audit` puts this together (docs/audit.md).
"""
