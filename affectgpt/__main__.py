"""`python -m affectgpt`: the command line."""

from affectgpt.cli.main import program

program()
