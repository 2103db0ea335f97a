"""The nine test sets of MER-UniBench: what they hold, and their folders as distributed.

`affectgpt.data.unibench.layouts` lists them, `affectgpt.data.unibench.reading` reads them.
"""
