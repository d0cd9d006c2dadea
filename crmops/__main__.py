"""``python -m crmops``: the same as the ``crmops`` program."""

from crmops.cli import main

main()
