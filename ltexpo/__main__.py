"""`python -m ltexpo`: the command line."""

from ltexpo.cli import main

main()
