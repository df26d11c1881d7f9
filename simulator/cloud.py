"""The simulated cloud: one tenant, its subscription and its machines, and everything they share."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit

from simulator.active_directory import JOIN_PASSWORD, ActiveDirectory
from simulator.arm.store import ResourceStore
from simulator.clock import Clock
from simulator.directory import Directory
from simulator.faults_in_force import Faults
from simulator.ledger import Ledger
from simulator.vault import Vault
from simulator.windows.guest import Guest

TENANT_ID = "0f1e2d3c-4b5a-4697-8879-6a5b4c3d2e1f"
"""The tenant that this cloud serves."""
SUBSCRIPTION_ID = "11111111-2222-4333-8444-555555555555"
"""The subscription that this cloud serves."""
SECOND_SUBSCRIPTION_ID = "22222222-3333-4444-8555-666666666666"
"""The other subscription that this cloud serves, of the same customer."""
CLIENT_ID = "c10dc10d-0000-4000-8000-00000000c1d0"
"""The application (service principal) that may sign in."""
CLIENT_SECRET = "simulator-client-secret"  # noqa: S105 - of the simulator, worth nothing elsewhere
"""That application's client secret."""
RESOURCE_GROUP = "rg-cloud-pcs"
"""The resource group that exists from the start."""


class Cloud:
    """Everything that the parts of the simulator share.

    Attributes:
        tenant_id: The tenant that it serves.
        clock: Time and delays.
        ledger: Every mutating request.
        faults: Rules that make requests fail.
        defects: For each named guest defect, how many of the next virtual machines are born with it.
        resources: Everything in Azure Resource Manager.
        directory: Entra ID and Intune objects.
        active_directory: The customer's Active Directory domain.
        key_vault: The secrets of the customer's key vault.
        guests: The Windows inside each virtual machine, by the machine's ARM id in lower case.
        base_url: Where this cloud answers, such as `https://localhost:8443`; set by the server.

    """

    def __init__(self, *, speed: float = 1.0, seed: int = 0) -> None:
        self.tenant_id = TENANT_ID
        self.clock = Clock(speed)
        self.ledger = Ledger()
        self.faults = Faults()
        self.defects: Counter[str] = Counter()
        self.base_url = ""
        self._namespace = uuid.uuid5(uuid.NAMESPACE_URL, f"simulator:{seed}")
        self._made: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self.guests: dict[str, Guest] = {}
        self.resources = ResourceStore()
        self.directory = Directory(
            clock=self.clock,
            faults=self.faults,
            guests=self.guests,
            new_id=self.new_id,
            spawn=self.spawn,
            # The domain, which knows the directory, is made after it.
            computer_missed=lambda: self.active_directory.changed(),
        )
        self.active_directory = ActiveDirectory(
            self.directory, self.tenant_id, clock=self.clock, guests=self.guests, spawn=self.spawn
        )
        self.key_vault = Vault({"domain-join": JOIN_PASSWORD})

    @property
    def key_vault_url(self) -> str:
        """Where the key vault answers: an address with dots, since clients want its resource to be a part of it."""
        return f"https://127.0.0.1:{urlsplit(self.base_url).port}"

    @property
    def key_vault_resource(self) -> str:
        """For which clients of the key vault ask for tokens: its host name less the first label."""
        return f"https://{self.key_vault_url.partition('.')[2]}"

    def new_id(self, kind: str) -> str:
        """Return the next GUID for an object of `kind`: the same ones in the same order for one seed."""
        self._made[kind] += 1
        return str(uuid.uuid5(self._namespace, f"{kind}/{self._made[kind]}"))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Let `work` go on in the background until it ends or the cloud closes."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "background work of the simulated cloud failed", "exception": error, "task": task}
            )

    async def close(self) -> None:
        """Stop all background work."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
