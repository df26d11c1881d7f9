"""How our processes end."""

import logging
import os
import sys
from typing import NoReturn


def end_process(code: int) -> NoReturn:
    """End the process with this exit code, everything written.

    The interpreter may abort or hang while it shuts down after a Temporal client was used
    (https://github.com/temporalio/sdk-python/issues/300), so it is not let to.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
