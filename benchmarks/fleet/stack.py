"""The product as `local_stack` runs it, with a simulated cloud of no delay, or of little, and a tenant of 10,000."""

import json
import math
import ssl
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.processes import cpu_seconds, resident_mib
from local_stack import ROOT, LocalStack

TENANT = 10_000
"""Users of the simulated tenant."""
REGION, SERVICE_PLAN = "westeurope", "CPC_E_2C_8GB_128GB"
POLICY = f"""
id: fleet
displayName: Fleet
domainJoinConfigurations:
  - domainJoinType: azureADJoin
    regionName: {REGION}
cloudPcNamingTemplate: FLT-%RAND:8%
userAccountType: standardUser
enableSingleSignOn: true
"""


class Stack(LocalStack):
    """The three processes, and what they and the cloud have done.

    Args:
        speed: How many times faster than Azure the simulated cloud is; `math.inf` is without any delay.
        poll_interval: Seconds between two looks at what Entra ID, Intune or the host pool has not shown yet.

    """

    def __init__(self, *, speed: float = math.inf, poll_interval: float = 0.5) -> None:
        super().__init__(speed=speed)
        self._poll_interval = poll_interval

    def start_simulator(self) -> None:
        """Start the simulated cloud, with room for any fleet."""
        super().start_simulator()
        self.environment["CLOUD_PC_POLL_INTERVAL"] = str(self._poll_interval)
        self.simulator("POST", "quota", {"region": REGION, "limit": 10**6})

    def add_users(self, number: int) -> str:
        """Make a group of licensed users in a tenant of 10,000, and return its id."""
        self.simulator("POST", "groups", {"displayName": "Everybody else", "users": TENANT - number, "licenses": []})
        wanted = {"displayName": "Fleet", "users": number, "licenses": [SERVICE_PLAN, "EMS"]}
        return str(self.simulator("POST", "groups", wanted)["id"])

    def write_policy(self, group_id: str | None = None) -> Path:
        """Write the policy, assigned to the group, and return its file."""
        assigned = f"assignments:\n  - groupId: {group_id}\n" if group_id else ""
        file = self.directory / "policy.yaml"
        file.write_text(POLICY + assigned, encoding="utf-8")
        return file

    def simulator(self, method: str, address: str, body: Any = None) -> Any:
        """Ask the simulator's own address and return its answer."""
        request = urllib.request.Request(  # noqa: S310 - our own https address
            f"{self.simulator_url}/simulator/{address}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
        )
        context = ssl.create_default_context(cafile=self.environment["SSL_CERT_FILE"])
        with urllib.request.urlopen(request, context=context) as answer:  # noqa: S310
            return json.load(answer)

    def requests(self) -> Counter[str]:
        """Return how many requests of each kind the cloud has had."""
        return Counter(self.simulator("GET", "requests"))

    def cpu(self, *names: str) -> dict[str, float]:
        """Return the CPU time that processes have used, seconds."""
        return {name: cpu_seconds(self.pid(name)) for name in names}

    def resident(self, name: str) -> int:
        """Return the memory that a process has resident, MiB."""
        return resident_mib(self.pid(name))

    def run(self, module: str, *arguments: str) -> dict[str, Any]:
        """Run a module of the benchmarks against the stack and return the document that it prints."""
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, check=True)  # noqa: S603
        return json.loads(done.stdout)

    def timed(self, *command: str) -> float:
        """Return the seconds that a command takes, which must succeed."""
        started = time.perf_counter()
        subprocess.run(command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, check=True)  # noqa: S603
        return time.perf_counter() - started
