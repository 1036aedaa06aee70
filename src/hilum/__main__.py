"""``python -m hilum``: the command line, for where ``hilum`` itself is not on the path."""

from hilum.cli import main

main()
