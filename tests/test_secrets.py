"""No secret leaves the worker: not in histories, search attributes, heartbeats, failures, logs or the database."""

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import trustme

from models.cloud_pc import CloudPcStatus
from simulator.active_directory import JOIN_PASSWORD
from simulator.cloud import CLIENT_SECRET, Cloud
from simulator.faults import Fault
from simulator.server import Exchange
from tests.crash.harness import begun, running_stack
from tests.crash.scenario import CloudPcPlan, Scenario
from tests.crash.worker_process import prepare
from tests.workflows.conftest import connection, joining, policy


class Secrets:
    """Every secret that goes over the wire, by what it is."""

    def __init__(self) -> None:
        self.known: dict[str, set[str]] = {
            "client secret": {CLIENT_SECRET},
            "domain-join password": {JOIN_PASSWORD},
        }

    def observe(self, exchange: Exchange) -> None:
        """Take the secrets out of a request and its answer."""
        for body in (exchange.request_body, exchange.response_body):
            try:
                self._search(json.loads(body))
            except ValueError:
                for name, values in parse_qs(body.decode(errors="replace")).items():
                    if name == "client_secret":
                        self._note("client secret", values[0])
        kind, _, token = exchange.request_headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            self._note("access token", token)

    def _search(self, value: Any) -> None:
        match value:
            case dict():
                for name, inner in value.items():
                    if isinstance(inner, str) and (kind := _SECRET_FIELDS.get(name)):
                        self._note(kind, inner)
                    elif name in ("protectedSettings", "protectedParameters"):
                        self._note_all(inner)
                    self._search(inner)
            case list():
                for inner in value:
                    self._search(inner)
            case _:
                pass

    def _note_all(self, value: Any) -> None:
        match value:
            case {"name": str(), "value": str(secret)}:
                self._note("protected parameter", secret)
            case dict():
                for inner in value.values():
                    self._note_all(inner)
            case list():
                for inner in value:
                    self._note_all(inner)
            case str():
                self._note("protected setting", value)
            case _:
                pass

    def _note(self, kind: str, secret: str) -> None:
        self.known.setdefault(kind, set()).add(secret)


_SECRET_FIELDS = {
    "adminPassword": "administrator password",
    "access_token": "access token",
    "token": "registration token",
}


def in_all_spellings(secret: str) -> set[bytes]:
    """The secret as it is, and as it may be hidden in something else."""
    raw = secret.encode()
    # Of base64, what does not depend on where in the text the secret begins.
    shifted = {base64.b64encode(b"x" * shift + raw)[4 * bool(shift) : -4] for shift in range(3)}
    return {raw, quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode(), raw[::-1], *shifted}


_PUT_VM, _PUT_JOIN = r"virtualMachines/[^/]+$", r"extensions/JsonADDomainExtension$"
WORST = [
    Fault("PUT", _PUT_VM, "InvalidParameter", status=400),
    Fault("PUT", _PUT_VM, "OSProvisioningClientError", when="operation"),
    Fault("PUT", _PUT_JOIN, "InvalidParameter", status=400),
    Fault("PUT", _PUT_JOIN, "InvalidParameter", f"the password {JOIN_PASSWORD} is too short", status=400),
    Fault("PUT", r"runCommands/install-avd-agent$", "BadRequest", status=400),
    Fault("POST", r"/retrieveRegistrationToken$", "BadRequest", status=400),
]
"""Where a request that holds a secret, or gets one, fails for good."""


async def test_no_secret_leaves_the_worker(authority: trustme.CA, tmp_path: Path) -> None:
    prepare()
    secrets, cloud = Secrets(), Cloud(speed=2000)
    lives = [
        CloudPcPlan("grace@contoso.com", joining("hybridAzureADJoin", connection()), (connection(),), ()),
        CloudPcPlan("ada@contoso.com", policy(userAccountType="administrator"), (), ()),
    ]
    scenario = Scenario(seed=0, cloud_pcs=tuple(lives), strikes=(), workers=1, fault_requests=0)
    histories = b""
    async with (
        running_stack(tmp_path, authority) as stack,
        begun(stack, scenario, cloud, {"CLOUD_PC_LOG_LEVEL": "DEBUG"}) as run,
    ):
        run.server.observer = secrets.observe
        for life in lives:
            await run.live(life)
            await run.at_rest(life)
        for attempt, fault in enumerate(WORST, start=2):
            cloud.faults.add(fault)
            await run.handle_of(lives[0]).signal("reprovision", {"reason": "again"})
            ended = await run.attempted(lives[0], attempt)
            assert ended.status in (CloudPcStatus.FAILED, CloudPcStatus.PROVISIONED), fault
        for life in lives:
            async for described in stack.client.list_workflows(f'WorkflowId="{run.id_of(life)}"'):
                handle = stack.client.get_workflow_handle(described.id, run_id=described.run_id)
                histories += (await handle.fetch_history()).to_json().encode()
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"DEBUG azure" in written and b"DEBUG httpcore" in written and b"retrieveRegistrationToken" in written
    expected = {"client secret", "domain-join password", "administrator password", "registration token", "access token"}
    assert set(secrets.known) >= expected
    for kind, values in secrets.known.items():
        for spelling in {spelling for secret in values for spelling in in_all_spellings(secret)}:
            assert spelling not in written, kind
            assert spelling not in histories, kind
