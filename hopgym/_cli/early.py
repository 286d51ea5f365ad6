"""Prepares the process if it runs a command of hopgym; imported before all else.

Until the other modules of this package are imported, Ctrl-C ends the process without
a traceback.
"""

import signal
import sys

# A variable of `__main__` by which a script says that it is a command of hopgym.
MARK = "HOPGYM_COMMAND"


def is_command() -> bool:
    """Whether this process runs a command of hopgym."""
    if MARK in vars(sys.modules["__main__"]):
        return True
    # While `python -m` imports the package of its module, the program is called "-m".
    modules = [word.removeprefix("-m") for word in sys.orig_argv]
    return sys.argv[:1] == ["-m"] and any(
        name.startswith("hopgym.") for name in modules
    )


if is_command():
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    from hopgym._cli import process

    process.prepare()
