"""Virtual machine extensions: how a machine is joined to Microsoft Entra ID or to a domain."""

import uuid
from dataclasses import dataclass
from typing import Any

from simulator.active_directory import CREATE_ACCOUNT
from simulator.arm.call import Call
from simulator.arm.compute import EXTENSIONS, ComputeResourceType, hash_of, instance_status
from simulator.arm.errors import ArmError
from simulator.arm.ids import parent_of
from simulator.arm.network import has_outbound_access
from simulator.arm.resource_type import object_in
from simulator.arm.store import Resource, ResourceStore
from simulator.cloud import Cloud
from simulator.directory import MICROSOFT_INTUNE, HostnameDuplicate
from simulator.fault_plan import FOREIGN_GROUP
from simulator.faults import FaultKind
from simulator.windows.domain import DomainError
from simulator.windows.guest import Guest

_JOIN_AGAIN_SECONDS = 900.0
"""How long the guest waits until it tries again to join Entra ID."""


@dataclass(frozen=True)
class Handler:
    """One published extension: its full name and versions."""

    publisher: str
    type: str
    versions: tuple[str, ...]


ENTRA_JOIN = Handler("Microsoft.Azure.ActiveDirectory", "AADLoginForWindows", ("1.0", "2.0", "2.1", "2.2"))
"""Joins the machine to Microsoft Entra ID."""
DOMAIN_JOIN = Handler("Microsoft.Compute", "JsonADDomainExtension", ("1.3",))
"""Joins the machine to an Active Directory domain."""
HANDLERS = (
    ENTRA_JOIN,
    DOMAIN_JOIN,
    Handler("Microsoft.Compute", "CustomScriptExtension", ("1.9", "1.10")),
    Handler("Microsoft.Powershell", "DSC", ("2.73", "2.77", "2.83")),
)
"""What can be installed; the other handlers succeed and do nothing."""
_JOIN_FLAGS = {0x01: "NetSetupJoinDomain", 0x02: "NetSetupAcctCreate", 0x20: "NetSetupDomainJoinIfJoined"}
"""What JsonADDomainExtension calls the flags of NetJoinDomain.

Source: https://learn.microsoft.com/windows/win32/api/lmjoin/nf-lmjoin-netjoindomain
"""


class Extensions(ComputeResourceType):
    """Extensions of a machine; they are installed one after another.

    What an extension remembers in `private`: its `instance_view`, a hash of its `settings`, the `protected` ones until
    the handler has run, and the handler's `failure`: a status of the instance view, with `substatuses`.
    """

    type = EXTENSIONS
    create_seconds = 120
    update_seconds = 120
    delete_seconds = 30

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Check that the handler exists and the machine can take it; equal settings are nothing to do."""
        machine = self.machine(resource.id)
        properties = resource.properties
        handler = _handler(properties)
        protected = object_in(properties, "protectedSettings")
        properties.pop("protectedSettings", None)
        settings = {"settings": properties.get("settings"), "protected": protected}
        settings["force"] = properties.get("forceUpdateTag")
        wanted = hash_of(settings)
        if existing:
            was_done = existing.properties["provisioningState"] == "Succeeded"
            if was_done and existing.private["settings"] == wanted:
                return False
        for sibling in self.store.children(machine.id, EXTENSIONS):
            if sibling is not existing and _handler(sibling.properties) == handler:
                raise ArmError(
                    400,
                    "BadRequest",
                    "Multiple VMExtensions per handler not supported for OS type 'Windows'. VMExtension "
                    f"'{resource.name}' with handler '{handler.publisher}.{handler.type}' already added or specified "
                    "in input.",
                )
        check_machine_runs(machine)
        properties.setdefault("autoUpgradeMinorVersion", False)
        properties.pop("instanceView", None)
        resource.private |= {"settings": wanted, "protected": protected, "failure": {}}
        self._note(resource, "creating", "Provisioning in progress")
        return True

    async def finish(self, resource: Resource) -> None:
        """Run the handler in the guest."""
        machine = self.machine(resource.id)
        handler = _handler(resource.properties)
        protected = resource.private.pop("protected")
        message = ""
        if handler == ENTRA_JOIN:
            self._join_entra_id(resource, machine)
        elif handler == DOMAIN_JOIN:
            message = self._join_domain(resource, machine, protected)
        self._note(resource, "succeeded", "Provisioning succeeded", message)

    def failed(self, resource: Resource, error: ArmError) -> None:
        """Show the failure in the instance view."""
        resource.private.pop("protected", None)
        failure = resource.private["failure"]
        if not failure:
            self._note(resource, f"failed/{error.code}", "Provisioning failed", error.message)
            return
        self._note(resource, "failed/1", "Provisioning failed", failure["message"])
        resource.private["instance_view"]["substatuses"] = failure["substatuses"]

    def view(self, resource: Resource, call: Call | None = None) -> dict[str, Any]:
        """Return the extension, on demand with its instance view."""
        if call is None or "instanceview" not in call.query.get("$expand", "").lower():
            return resource.body
        properties = {**resource.properties, "instanceView": resource.private["instance_view"]}
        return {**resource.body, "properties": properties}

    def check_delete(self, resource: Resource, call: Call) -> None:
        """Refuse while the machine does not run."""
        check_machine_runs(self.machine(resource.id))

    def locks(self, resource_id: str) -> list[Resource]:
        """Return the machine and all of its extensions."""
        machine = self.store.get(parent_of(resource_id))
        return [machine, *self.store.children(machine.id, EXTENSIONS)] if machine else []

    def machine(self, resource_id: str) -> Resource:
        """Return the machine of an extension, which exists: the store removes them together."""
        machine = self.store.get(parent_of(resource_id))
        if machine is None:
            raise ArmError(404, "ParentResourceNotFound", f"The machine of '{resource_id}' could not be found.")
        return machine

    def _note(self, resource: Resource, state: str, display: str, message: str = "") -> None:
        status = instance_status(f"ProvisioningState/{state}", display, self.cloud.clock.timestamp())
        handler = _handler(resource.properties)
        resource.private["instance_view"] = {
            "name": resource.name,
            "type": f"{handler.publisher}.{handler.type}",
            "typeHandlerVersion": resource.properties["typeHandlerVersion"],
            "statuses": [{**status, "message": message} if message else status],
        }

    def _join_entra_id(self, resource: Resource, machine: Resource) -> None:
        identity = object_in(machine.body, "identity")
        guest = self.cloud.guests[machine.id.lower()]
        if "SystemAssigned" not in identity.get("type", ""):
            raise _terminal(resource, 1007, -2145648574, "DSREG_E_MSI_TENANTID_UNAVAILABLE")
        interfaces = machine.properties["networkProfile"]["networkInterfaces"]
        if not has_outbound_access(self.store, (interface["id"] for interface in interfaces)):
            raise _terminal(resource, 1007, -2145648607, "DSREG_AUTOJOIN_DISC_FAILED")
        if guest.entra_joined:
            return
        if self.cloud.faults.strikes(FaultKind.JOIN_LIES, machine.id):
            self.cloud.spawn(self._register_later(resource, machine, guest))
        else:
            self._register(resource, machine, guest)

    async def _register_later(self, resource: Resource, machine: Resource, guest: Guest) -> None:
        """Join as the guest's own task does, if the machine is still there and the extension has not run again."""
        await self.cloud.faults.until_stopped(self.cloud.clock.real_seconds(_JOIN_AGAIN_SECONDS))
        if self.cloud.guests.get(machine.id.lower()) is guest and not guest.entra_joined:
            self._register(resource, machine, guest)

    def _register(self, resource: Resource, machine: Resource, guest: Guest) -> None:
        directory, name = self.cloud.directory, guest.computer_name
        try:
            if self.cloud.faults.strikes(FaultKind.NAMESAKE, machine.id):
                directory.join_device(display_name=name, vm_id=_elsewhere(name), os_version="10.0.26100.1")
            device = directory.join_device(display_name=name, vm_id=machine.id, os_version=f"10.0.{guest.os_build}")
        except HostnameDuplicate:
            # The real extension reports success, too: only the directory and the guest know better.
            return
        guest.entra_joined = True
        guest.entra_device_id = device["deviceId"]
        guest.entra_tenant_id = object_in(machine.body, "identity")["tenantId"]
        settings = object_in(resource.properties, "settings")
        if settings.get("mdmId") == MICROSOFT_INTUNE:
            self.cloud.spawn(_enroll(self.cloud, guest, device))

    def _join_domain(self, resource: Resource, machine: Resource, protected: dict[str, Any]) -> str:
        """Join the machine to a domain and return what the handler says.

        Where the account cannot be made the handler tries to join with one that exists, as the real one does:
        github.com/DefensiveOrigins/APT-Lab-Terraform/issues/10. The statuses are those of
        github.com/Azure/azure-quickstart-templates/issues/9174.
        """
        settings = {name.lower(): str(value) for name, value in object_in(resource.properties, "settings").items()}
        password = next((str(value) for name, value in protected.items() if name.lower() == "password"), "")
        domain, unit, user = (settings.get(name, "") for name in ("name", "oupath", "user"))
        guest = self.cloud.guests[machine.id.lower()]
        if guest.domain and guest.domain.lower() == domain.lower():
            return f"Join completed for Domain '{domain}'"
        options = int(settings["options"]) if settings.get("options", "").isdecimal() else 0x01 | CREATE_ACCOUNT
        refusals: list[dict[str, Any]] = []
        for tried in dict.fromkeys((options, options & ~CREATE_ACCOUNT)):
            try:
                self.cloud.active_directory.join(
                    guest, domain, user, password, unit, tried, dns_servers(self.store, machine)
                )
            except DomainError as error:
                meaning = "User Specified" if tried == options else "User Specified without NetSetupAcctCreate"
                flags = ", ".join(name for flag, name in _JOIN_FLAGS.items() if tried & flag)
                code = f"ComponentStatus/JoinDomainException for Option {tried} meaning '{meaning}'/failed/1"
                message = (
                    f"ERROR - Failed to join domain='{domain}', ou='{unit}', user='{user}', option='{flags}' "
                    f"(#{tried} meaning '{meaning}'). Error code {error.win32_code}"
                )
                status = instance_status(code, "Provisioning failed", self.cloud.clock.timestamp())
                refusals.append({**status, "message": message})
                continue
            if settings.get("restart", "").lower() == "true":
                guest.restart()
            return f"Join completed for Domain '{domain}'"
        message = f"Exception(s) occurred while joining Domain '{domain}'"
        resource.private["failure"] = {"message": message, "substatuses": refusals}
        raise ArmError(
            409,
            "VMExtensionProvisioningError",
            f"VM has reported a failure when processing extension '{resource.name}' (publisher 'Microsoft.Compute' and "
            f"type 'JsonADDomainExtension'). Error message: '{message}'. More information on troubleshooting is "
            "available at https://aka.ms/vmextensionwindowstroubleshoot. ",
        )


def _elsewhere(name: str) -> str:
    """Return the ARM id of a machine of this name in a subscription that is not served."""
    group = f"/subscriptions/{uuid.UUID(int=0)}/resourceGroups/{FOREIGN_GROUP}"
    return f"{group}/providers/Microsoft.Compute/virtualMachines/{name}"


async def _enroll(cloud: Cloud, guest: Guest, device: dict[str, Any]) -> None:
    guest.mdm_enrolled = await cloud.directory.enroll_device(device) is not None


def start_enrollment(cloud: Cloud, guest: Guest) -> None:
    """Let a guest enrol in Intune by its device credential, if it has just asked for that."""
    if not guest.mdm_enrollment_requested:
        return
    guest.mdm_enrollment_requested = False
    for device in cloud.directory.devices.by("deviceId", guest.entra_device_id or ""):
        cloud.spawn(_enroll(cloud, guest, device))


def dns_servers(store: ResourceStore, machine: Resource) -> list[str]:
    """Return the addresses of a machine's own DNS servers: those of its interface, or else of its network."""
    for reference in machine.properties["networkProfile"]["networkInterfaces"]:
        interface = store.get(reference["id"])
        if interface is None:
            continue
        if own := object_in(interface.properties, "dnsSettings").get("dnsServers"):
            return own
        network = store.get(parent_of(interface.properties["ipConfigurations"][0]["properties"]["subnet"]["id"]))
        if network and (given := object_in(network.properties, "dhcpOptions").get("dnsServers")):
            return given
    return []


def check_machine_runs(machine: Resource) -> None:
    """Raise `ArmError` when a machine does not run, so that nothing can be done in its guest."""
    if machine.private.get("power_state") != "running":
        raise ArmError(
            409,
            "OperationNotAllowed",
            "Cannot modify extensions in the VM when the VM is not running.",
            target=machine.id,
        )


def _handler(properties: dict[str, Any]) -> Handler:
    publisher, kind = str(properties.get("publisher", "")), str(properties.get("type", ""))
    version = str(properties.get("typeHandlerVersion", ""))
    for handler in HANDLERS:
        if (handler.publisher.lower(), handler.type.lower()) == (publisher.lower(), kind.lower()):
            if version in handler.versions:
                return handler
            raise ArmError(
                404,
                "ArtifactVersionNotFound",
                f"Artifact: VMExtension, Publisher: {publisher}, Name: {kind}, Version: {version} could not be found.",
            )
    raise ArmError(
        404,
        "ArtifactNotFound",
        f"The VM extension with publisher '{publisher}' and type '{kind}' could not be found.",
    )


def _terminal(resource: Resource, terminal_code: int, exit_code: int, name: str) -> ArmError:
    handler = f"{resource.properties['publisher']}.{resource.properties['type']}"
    version = resource.properties["typeHandlerVersion"]
    return ArmError(
        409,
        "VMExtensionHandlerNonTransientError",
        f"The handler for VM extension type '{handler}' has reported terminal failure for VM extension "
        f"'{resource.name}' with terminal error code '{terminal_code}' and error message: 'Enable failed for plugin "
        f"(name: {handler}, version {version}) with exception Command exited with exit code {exit_code} ({name}).'.",
    )
