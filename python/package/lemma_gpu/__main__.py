"""The command: `lemma-gpu`, or `python -m lemma_gpu`."""

import os
import signal
import sys

from lemma_gpu import _native


def main() -> None:
    """Runs the command of the process's arguments."""
    # The command catches signals itself, and says by its exit code which; Python's own handler would add an exception.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # A layer of Mesa's complains where there is no display; adapters are chosen without it.
    os.environ.setdefault("NODEVICE_SELECT", "1")
    sys.exit(_native.command(["lemma-gpu", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
