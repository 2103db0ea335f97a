"""The nine test sets of MER-UniBench: what they hold, and their folders as distributed.

`affectgpt.unibench.datasets.layouts` lists them, `affectgpt.unibench.datasets.reader` reads them.
"""
