"""`python -m affectgpt`: the command line."""

from affectgpt.cli.main import run_process

run_process()
