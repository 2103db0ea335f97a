"""Synthetic clips: drawn faces and synthesised voices whose emotion shows only in the combination of both.

`affectgpt.synthetic.clips.generate` writes a folder that `affectgpt.data.mer2025` reads.
"""
