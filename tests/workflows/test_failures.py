"""What happens when a step fails: for good, for a while, or after it took effect."""

import re
from typing import Any

import pytest
from aiohttp import web

from contract import steps
from contract.activity import AnyStep
from contract.steps import steps_of
from models.cloud_pc import CloudPc, CloudPcStatus, Stage, StepState
from models.provisioning_policy import ProvisioningPolicy
from simulator.server import SimulatorServer
from tests.workflows.conftest import Lab, policy, step
from tests.workflows.requests_of_steps import FATAL

VM = FATAL[steps.CREATE_VIRTUAL_MACHINE][1]

GUEST_DEFECTS: dict[AnyStep, str] = {
    steps.HIDE_START_MENU_POWER_ICONS: "start-policy-registry",
    steps.DISABLE_WINDOWS_RESET: "recovery-environment",
    steps.ASSIGN_USER_AS_ADMINISTRATOR: "local-groups",
    steps.SET_TEAMS_VDI_MODE: "teams-registry",
    steps.ENABLE_TIME_ZONE_REDIRECTION: "terminal-services-registry",
    steps.RESIZE_OS_DISK_PARTITION: "disk-partition",
    steps.DISABLE_PORT_3389: "firewall",
}
"""What breaks each post-provisioning step in the guest."""


@pytest.fixture(params=[1000], ids=["cached"])
def max_cached_workflows(request: pytest.FixtureRequest) -> int:
    """The same paths are replayed in test_life, and from their recorded histories."""
    return request.param


def test_every_step_is_made_to_fail() -> None:
    stages = (Stage.CORE_PROVISIONING, Stage.POST_PROVISIONING, Stage.ASSIGNMENT)
    listed = {name for stage in stages for name in steps_of(stage, policy())}
    assert set(FATAL) | set(GUEST_DEFECTS) | {steps.REMOVE_RUN_COMMANDS} == listed


@pytest.mark.parametrize("failing", FATAL)
async def test_a_fatal_step_fails_for_good(lab: Lab, failing: AnyStep) -> None:
    lab.fail(*FATAL[failing], code="AuthorizationFailed", status=403)

    pc = await lab.provisioned()

    assert pc.status == CloudPcStatus.FAILED
    assert pc.status_detail is not None
    assert (pc.status_detail.step, pc.status_detail.code) == (failing.name, "AuthorizationFailed")
    assert "roles" in pc.status_detail.remedy and pc.status_detail.leftovers == ()
    assert step(pc, failing).state == StepState.FAILED
    lab.nothing_left()


@pytest.mark.parametrize("failing", FATAL)
async def test_a_fatal_step_fails_for_a_while_and_its_answer_is_lost(lab: Lab, failing: AnyStep) -> None:
    lab.fail(*FATAL[failing], code="ServerTimeout", status=503, headers={"retry-after-ms": "10"})
    lab.fail(*FATAL[failing], code="GatewayTimeout", status=504, when="after", headers={"retry-after-ms": "10"})

    pc = await lab.provisioned()

    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail
    assert (step(pc, failing).attempts or 0) >= 3
    for kind in ("Microsoft.Compute/virtualMachines", "Microsoft.Compute/disks", "Microsoft.Network/networkInterfaces"):
        assert len(lab.exists(kind)) == 1
    assert len(lab.exists("Microsoft.Authorization/roleAssignments")) == 2
    assert len(lab.cloud.directory.devices) == len(lab.cloud.directory.managed_devices) == 1
    made = [
        entry for entry in lab.cloud.ledger.entries if entry.effect == "created" and "/virtualMachines/" in entry.path
    ]
    assert len({entry.path.lower() for entry in made}) == len(made), "something was made twice"


@pytest.mark.parametrize("failing", GUEST_DEFECTS)
async def test_a_post_provisioning_step_fails(lab: Lab, failing: AnyStep) -> None:
    lab.cloud.defects[GUEST_DEFECTS[failing]] = 1

    pc = await _administrators(lab)

    assert pc.status == CloudPcStatus.PROVISIONED_WITH_WARNINGS, pc.status_detail
    [warning] = pc.warnings
    assert (warning.step, warning.code, warning.attempts) == (failing.name, "GuestScriptFailed", 3)
    assert warning.message and len(warning.message) <= 1000
    assert step(pc, failing).state == StepState.WARNING
    assert step(pc, steps.ASSIGN_USER).state == StepState.SUCCEEDED


async def test_a_script_has_its_runs_however_often_azure_was_busy(lab: Lab) -> None:
    failing = steps.RESIZE_OS_DISK_PARTITION
    lab.cloud.defects[GUEST_DEFECTS[failing]] = 1
    lab.fail("PUT", r"/runCommands/resize-os-disk-partition$", "ServiceUnavailable", 503, times=2)

    pc = await _administrators(lab)

    [warning] = pc.warnings
    assert (warning.step, warning.code, warning.attempts) == (failing.name, "GuestScriptFailed", 5)


async def test_all_post_provisioning_steps_fail(lab: Lab) -> None:
    lab.cloud.defects.update(dict.fromkeys(GUEST_DEFECTS.values(), 1))

    pc = await _administrators(lab)

    assert pc.status == CloudPcStatus.PROVISIONED_WITH_WARNINGS, pc.status_detail
    assert {warning.step for warning in pc.warnings} == {failing.name for failing in GUEST_DEFECTS}
    assert step(pc, steps.ASSIGN_USER).state == StepState.SUCCEEDED


async def test_the_vm_operation_fails_for_good(lab: Lab) -> None:
    lab.fail("PUT", VM, "OSProvisioningClientError", when="operation", message="The image is not generalized.")

    pc = await lab.provisioned()

    assert pc.status == CloudPcStatus.FAILED and pc.status_detail is not None
    assert pc.status_detail.code == "OSProvisioningClientError"
    assert "not generalized" in pc.status_detail.message
    lab.nothing_left()


async def test_the_vm_was_made_by_another_attempt_at_the_same_moment(lab: Lab) -> None:
    lab.fail("PUT", r"virtualMachines/[^/]+$", "PropertyChangeNotAllowed", 409, when="after")

    pc = await lab.provisioned()

    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail
    assert len(lab.requests("PUT", f"/virtualMachines/{pc.computer_name}")) == 1


async def test_a_failed_vm_takes_its_interface_along_after_it_was_looked_at(
    lab: Lab, simulator: SimulatorServer
) -> None:
    interfaces: list[str] = []

    async def remove(moment: str, request: web.Request) -> None:
        if not interfaces and moment == "during" and request.method == "GET" and re.search(VM, request.path):
            interfaces.extend(lab.exists("Microsoft.Network/networkInterfaces"))
            lab.cloud.resources.remove(interfaces[0])

    simulator.watcher = remove
    pc = await lab.provisioned()

    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail
    assert lab.exists("Microsoft.Network/networkInterfaces") == interfaces


async def test_the_vm_operation_fails_once(lab: Lab) -> None:
    lab.fail("PUT", VM, "InternalOperationError", when="operation")

    pc = await lab.provisioned()

    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail
    assert len(lab.exists("Microsoft.Compute/virtualMachines")) == 1


@pytest.mark.parametrize("how", ["answer", "canceled"])
async def test_a_hosted_network_whose_making_failed_is_made_again(lab: Lab, how: str) -> None:
    lab.fail("PUT", r"virtualNetworks/[^/]+$", "InternalOperationError", when="operation", how=how)
    pc = await lab.provisioned()
    assert pc.status == CloudPcStatus.PROVISIONED and step(pc, steps.ATTACH_NETWORK).attempts == 2
    assert len(lab.exists("Microsoft.Network/virtualNetworks", "rg-cloud-pcs")) == 1


@pytest.mark.parametrize("path", [VM, r"runCommands/disable-windows-reset$"])
async def test_what_failed_is_made_again_though_azure_loses_sight_of_its_deletion(lab: Lab, path: str) -> None:
    lab.fail("PUT", path, "InternalOperationError", when="operation")
    lab.fail("DELETE", path, when="operation", how="gone")
    pc = await lab.provisioned()
    assert pc.status == CloudPcStatus.PROVISIONED, (pc.status_detail, pc.warnings)


@pytest.mark.parametrize("code", ["ExpiredAuthenticationToken", "InvalidAuthenticationToken"])
async def test_a_token_that_has_expired_fails_no_step_in_a_later_attempt(lab: Lab, code: str) -> None:
    said = "Lifetime validation failed, the token is expired."
    service = "virtualMachines/[^/]+$" if code.startswith("Expired") else "/managedDevices$"
    lab.fail("GET", service, "ServiceUnavailable", status=503)
    lab.fail("GET", service, code, status=401, message=said, times=2)
    assert (await lab.provisioned()).status == CloudPcStatus.PROVISIONED


async def test_a_foreign_device_owns_the_name(lab: Lab) -> None:
    original = lab.cloud.directory.join_device

    def join_device(**arguments: Any) -> Any:
        original(**{**arguments, "vm_id": "/subscriptions/other/virtualMachines/namesake"})
        return original(**arguments)

    lab.cloud.directory.join_device = join_device
    pc = await lab.provisioned()

    assert pc.status == CloudPcStatus.FAILED and pc.status_detail is not None
    assert pc.status_detail.code == "HostnameDuplicate"
    [foreign] = lab.cloud.directory.devices.values()
    assert "namesake" in str(foreign["physicalIds"]), "the foreign device must not be touched"
    assert lab.exists("Microsoft.Compute/virtualMachines") == []


async def test_a_clean_up_that_fails_is_a_warning(lab: Lab) -> None:
    lab.fail("DELETE", r"runCommands/[^/]+$", "AuthorizationFailed", 403)

    pc = await lab.provisioned()

    assert pc.status == CloudPcStatus.PROVISIONED_WITH_WARNINGS
    assert [warning.step for warning in pc.warnings] == [steps.REMOVE_RUN_COMMANDS.name]


async def test_another_cloud_pc_has_the_name(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    same = policy(cloudPcNamingTemplate="SAME-%RAND:5%")
    first_handle = await lab.start(same)
    first = await lab.settled(first_handle)
    monkeypatch.setattr(ProvisioningPolicy, "computer_name", lambda *_: first.computer_name)

    second = await lab.provisioned(same, user="grace@contoso.com")

    assert second.status == CloudPcStatus.FAILED and second.status_detail is not None
    assert second.status_detail.code == "NameTaken"
    assert lab.exists("Microsoft.Compute/virtualMachines") == [first.virtual_machine_id]
    assert len(lab.exists("Microsoft.DesktopVirtualization/hostPools/sessionHosts")) == 1
    assert [device["deviceId"] for device in lab.cloud.directory.devices.values()] == [first.entra_device_id]
    assert list(lab.cloud.directory.managed_devices) == [first.managed_device_id]


@pytest.mark.parametrize("status", [404, 503])
async def test_a_poll_that_fails_does_not_fail_the_step(lab: Lab, status: int) -> None:
    lab.fail("GET", r"/operations/[^/]+$", "OperationNotFound", status, times=6, headers={"retry-after-ms": "10"})

    pc = await lab.provisioned()

    assert pc.status == CloudPcStatus.PROVISIONED, pc.status_detail or pc.warnings
    assert len(lab.requests("PUT", pc.computer_name)) == 1


async def test_a_take_down_that_fails_is_shown_and_can_be_repeated(lab: Lab) -> None:
    lab.fail("PUT", r"extensions/AADLoginForWindows$", "BadRequest", 400)
    lab.fail("DELETE", VM, "ScopeLocked", 409)
    handle = await lab.start()
    pc = await lab.settled(handle)
    assert pc.status_detail is not None and pc.status_detail.leftovers == (steps.DELETE_VIRTUAL_MACHINE.name,)
    assert len(lab.exists("Microsoft.Compute/virtualMachines")) == 1

    await lab.signal(handle, "reprovision", b"{}")

    assert (await lab.settled(handle, attempt=2)).status == CloudPcStatus.PROVISIONED
    assert len(lab.exists("Microsoft.Compute/virtualMachines")) == 1


async def _administrators(lab: Lab) -> CloudPc:
    return await lab.provisioned(policy(userAccountType="administrator"))
