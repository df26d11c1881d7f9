"""What a worker imports, for the process that workers are forked from."""

import worker
from cloud import clients

# What msgraph imports at its first answer.
clients._warm_up()
__all__ = ["worker"]
