"""Microsoft.Compute: virtual machines and their disks."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from simulator.arm.allocation import allocation_failure, check_quota, refused_later, size_of
from simulator.arm.call import Call
from simulator.arm.capacity import ALLOCATION_FAILURES, IMAGE_DISK_GB, VIRTUAL_MACHINES, VirtualMachineSize
from simulator.arm.capacity_reservations import (
    cores_to_join,
    find_reservation,
    has_room,
    is_allocated,
    join,
    leave,
)
from simulator.arm.compute_resource_type import (
    MACHINES,
    ComputeResourceType,
    instance_status,
    other_subscription,
    property_change_not_allowed,
)
from simulator.arm.errors import ArmError, invalid_parameter, invalid_reference
from simulator.arm.ids import parent_of, part_of
from simulator.arm.images import IMAGE_NAMES, SourceImage, find_image
from simulator.arm.network import (
    NETWORK_INTERFACES,
    attach_interface,
    check_reservation,
    detach_interface,
    find_referenced,
    interface_in_use,
    release_addresses,
)
from simulator.arm.operations import Operations
from simulator.arm.resource_type import object_in
from simulator.arm.store import Resource
from simulator.cloud import TENANT_ID, Cloud
from simulator.windows.guest import Guest

EXTENSIONS = "Microsoft.Compute/virtualMachines/extensions"
DISKS = "Microsoft.Compute/disks"

_FORBIDDEN_USERNAMES = frozenset(
    [
        "1",
        "123",
        "a",
        "actuser",
        "adm",
        "admin",
        "admin1",
        "admin2",
        "administrator",
        "aspnet",
        "backup",
        "console",
        "david",
        "guest",
        "john",
        "owner",
        "root",
        "server",
        "sql",
        "support",
        "support_388945a0",
        "sys",
        "test",
        "test1",
        "test2",
        "test3",
        "user",
        "user1",
        "user2",
        "user3",
        "user4",
        "user5",
    ]
)
_FORBIDDEN_PASSWORDS = frozenset(
    [
        "abc@123",
        "P@$$w0rd",
        "P@ssw0rd",
        "P@ssword123",
        "Pa$$word",
        "pass@word1",
        "Password!",
        "Password1",
        "Password22",
        "iloveyou!",
    ]
)
_COMPUTER_NAME_CHARACTERS = re.compile(r"[A-Za-z0-9-]+")


class VirtualMachines(ComputeResourceType):
    """Virtual machines.

    What a machine remembers in `private`: `power_state` as in `PowerState/running` once Windows ran, `password` as a
    hash, the `image` that it was made from, what it `uses` of the quota, the id of its capacity `reservation`, the code
    with which its allocation was `refused`, code of the last `error`, and `run_command`: whether a v1 run command
    executes.
    """

    type = MACHINES
    create_seconds = 120
    update_seconds = 20
    delete_seconds = 60

    def __init__(self, cloud: Cloud, operations: Operations) -> None:
        super().__init__(cloud, operations)
        self.actions = {
            "start": self._start,
            "restart": self._restart,
            "poweroff": self._power_off,
            "deallocate": self._deallocate,
        }

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Check everything that the real service checks before it answers a PUT."""
        _check_match(existing, call.headers)
        capacity, properties = self.store.capacity, resource.properties
        if existing:
            self._check_change(resource, existing)
            properties["osProfile"] = existing.properties["osProfile"]
            if kept := existing.properties.get("capacityReservation"):
                properties.setdefault("capacityReservation", kept)
        size = size_of(capacity, resource, str(object_in(properties, "hardwareProfile").get("vmSize", "")))
        image: SourceImage = existing.private["image"] if existing else find_image(self.store, resource)
        _check_security(properties, size, image)
        license_type = properties.get("licenseType")
        if license_type not in (None, "None", "Windows_Client", "Windows_Server"):
            raise invalid_parameter("licenseType", f"The value '{license_type}' of parameter 'licenseType' is invalid.")
        if existing is None:
            _check_os_profile(resource)
        interfaces = self._interfaces(resource)
        was_allocated = existing is not None and "id" in existing.properties["storageProfile"]["osDisk"]["managedDisk"]
        reservation = self._reservation(resource, existing, size)
        more = self._more_used(resource, reservation, size)
        joined = reservation if reservation and reservation.id != resource.private.get("reservation") else None
        check_quota(capacity, resource, more + cores_to_join(capacity, joined) if joined else more)
        resource.private["refused"] = None
        if not was_allocated and not (reservation and has_room(self.store, reservation)):
            resource.private["refused"] = refused_later(self.cloud.faults, capacity, resource, size)
        if existing and not was_allocated:
            properties["storageProfile"]["osDisk"] = _merged_disk(resource, existing)
        disk = self._update_disk(resource, existing) if existing and was_allocated else self._new_disk(resource, image)

        self._fill_in(resource, existing, image)
        capacity.use(part_of(resource.id, "subscriptions"), resource.location, more)
        if joined or reservation is None:
            self._leave_reservation(resource)
        if joined:
            join(capacity, joined, resource.id)
            resource.private["reservation"] = joined.id
        for number, interface in enumerate(interfaces):
            if "virtualMachine" not in interface.properties:
                made = self.cloud.new_id("macAddress").replace("-", "").upper()
                mac_address = f"00-0D-3A-{made[0:2]}-{made[2:4]}-{made[4:6]}"
                attach_interface(interface, resource.id, primary=number == 0, mac_address=mac_address)
        if not was_allocated:
            self.store.add(disk)
        return True

    async def finish(self, resource: Resource) -> None:
        """Start Windows for the first time."""
        if resource.id.lower() in self.cloud.guests:
            return
        if code := resource.private["refused"]:
            raise allocation_failure(code)
        profile = resource.properties["osProfile"]
        disk = self.store.get(resource.properties["storageProfile"]["osDisk"]["managedDisk"]["id"])
        defects = [name for name, count in self.cloud.defects.items() if count > 0]
        for name in defects:
            self.cloud.defects[name] -= 1
        self.cloud.guests[resource.id.lower()] = Guest.create(
            computer_name=profile["computerName"],
            vm_id=resource.id,
            disk_size_gib=disk.properties["diskSizeGB"] if disk else IMAGE_DISK_GB,
            admin_username=profile["adminUsername"],
            defects=set(defects),
        )
        resource.private["power_state"] = "running"

    def failed(self, resource: Resource, error: ArmError) -> None:
        """Leave a machine that was never allocated, its interfaces reserved for it."""
        resource.private["error"] = error.code
        if resource.id.lower() not in self.cloud.guests:
            for interface in self._owned_interfaces(resource):
                detach_interface(interface, self.cloud.clock)
            if error.code in ALLOCATION_FAILURES:
                self.store.remove(resource.properties["storageProfile"]["osDisk"]["managedDisk"].pop("id"))

    async def delete(self, call: Call, resource_id: str) -> web.Response:
        """Delete a machine; whatever else is under way on it ends, and deleting twice is deleting once."""
        resource = self.store.get(resource_id)
        if resource and resource.operation and resource.properties["provisioningState"] == "Deleting":
            call.entry.operation = resource.operation.status
            return web.Response(status=202, headers=self.operations.headers(resource.operation, monitor=True))
        if resource:
            for busy in (resource, *self.store.children(resource.id)):
                self.operations.preempt(busy)
        return await super().delete(call, resource_id)

    def locks(self, resource_id: str) -> list[Resource]:
        """Return the machine and its extensions."""
        return [*super().locks(resource_id), *self.store.children(resource_id, EXTENSIONS)]

    def removed(self, resource: Resource) -> None:
        """Take Windows away, and of interfaces and disk what was to go with the machine."""
        self.cloud.guests.pop(resource.id.lower(), None)
        less = {usage: -count for usage, count in resource.private["uses"].items()}
        self.store.capacity.use(part_of(resource.id, "subscriptions"), resource.location, less)
        self._leave_reservation(resource)
        for reference in resource.properties["networkProfile"]["networkInterfaces"]:
            interface = self.store.get(reference["id"])
            if interface is None or not self._is_owned(interface, resource):
                continue
            detach_interface(interface, self.cloud.clock)
            if reference["properties"]["deleteOption"] == "Delete":
                self.store.remove(interface.id)
                release_addresses(self.store, interface)
        os_disk = resource.properties["storageProfile"]["osDisk"]
        if disk := self.store.get(os_disk["managedDisk"].get("id", "")):
            disk.body.pop("managedBy", None)
            disk.properties["diskState"] = "Unattached"
            if os_disk["deleteOption"] == "Delete":
                self.store.remove(disk.id)

    def view(self, resource: Resource, call: Call | None = None) -> dict[str, Any]:
        """Return the machine, with its extensions and on demand its instance view."""
        body = dict(resource.body)
        if extensions := self.store.children(resource.id, EXTENSIONS):
            body["resources"] = [extension.body for extension in extensions]
        if call and "instanceview" in call.query.get("$expand", "").lower():
            body["properties"] = {**resource.properties, "instanceView": self.instance_view(resource)}
        return body

    def instance_view(self, resource: Resource) -> dict[str, Any]:
        """Return how the machine is at this moment."""
        now = self.cloud.clock.timestamp()
        state = resource.properties["provisioningState"].lower()
        failure = f"/{resource.private['error']}" if state == "failed" and "error" in resource.private else ""
        power = resource.private.get("power_state")
        view: dict[str, Any] = {
            "hyperVGeneration": resource.private["image"].generation,
            "statuses": [instance_status(f"ProvisioningState/{state}{failure}", f"Provisioning {state}", now)],
        }
        if power:
            view["statuses"].append({"code": f"PowerState/{power}", "level": "Info", "displayStatus": f"VM {power}"})
        guest = self.cloud.guests.get(resource.id.lower())
        if guest is None:
            return view
        if power == "running":
            ready = instance_status("ProvisioningState/succeeded", "Ready", now)
            ready["message"] = "GuestAgent is running and processing the extensions."
            extensions = self.store.children(resource.id, EXTENSIONS)
            view |= {
                "computerName": guest.computer_name,
                "osName": "Windows 11 Enterprise",
                "osVersion": f"10.0.{guest.os_build}",
                "vmAgent": {"vmAgentVersion": "2.7.41491.1176", "statuses": [ready], "extensionHandlers": []},
                "extensions": [extension.private["instance_view"] for extension in extensions],
            }
        disk_name = resource.properties["storageProfile"]["osDisk"]["name"]
        succeeded = instance_status("ProvisioningState/succeeded", "Provisioning succeeded", now)
        view["disks"] = [{"name": disk_name, "statuses": [succeeded]}]
        return view

    def _more_used(self, resource: Resource, reservation: Resource | None, size: VirtualMachineSize) -> Counter[str]:
        """Note what the machine itself takes of each usage, and return how much more that is than before.

        The cores of a machine in a reservation are counted there.
        """
        uses = Counter({VIRTUAL_MACHINES: 1})
        if reservation is None:
            uses += self.store.capacity.cores(size)
        more = Counter(uses)
        more.subtract(resource.private.get("uses", {}))
        resource.private["uses"] = uses
        return more

    def _reservation(self, resource: Resource, existing: Resource | None, size: VirtualMachineSize) -> Resource | None:
        """Return the reservation that the machine is to be in, or None.

        A machine that has its room cannot go into a reservation that holds room, or out of one.
        Source: learn.microsoft.com/azure/virtual-machines/capacity-reservation-remove-vm
        """
        wanted = find_reservation(self.store, resource, size.name)
        if wanted is None:
            resource.properties.pop("capacityReservation", None)
        if existing is None or not is_allocated(existing):
            return wanted
        present = self.store.get(existing.private.get("reservation", ""))
        if wanted is not present and any(r and r.private["quantity"] for r in (wanted, present)):
            raise ArmError(
                409,
                "OperationNotAllowed",
                f"The capacity reservation group of VM '{existing.name}' can be changed only while the VM is "
                "deallocated or the reserved quantity is zero. See https://aka.ms/CapacityReservation.",
            )
        return wanted

    def _leave_reservation(self, resource: Resource) -> None:
        if present := self.store.get(resource.private.pop("reservation", "")):
            leave(self.store.capacity, present, resource.id)

    def _interfaces(self, resource: Resource) -> list[Resource]:
        network_profile = object_in(resource.properties, "networkProfile")
        references: list[dict[str, Any]] = network_profile.get("networkInterfaces") or []
        if not references:
            raise invalid_parameter("networkProfile", "Required parameter 'networkProfile' is missing (null).")
        interfaces: list[Resource] = []
        for reference in references:
            interface = find_referenced(self.store, reference, NETWORK_INTERFACES, resource, self.cloud.clock)
            if part_of(interface.id, "subscriptions") != part_of(resource.id, "subscriptions"):
                raise other_subscription(interface.id)
            if interface.location != resource.location:
                raise invalid_reference(interface.id, resource.id)
            owner = interface.properties.get("virtualMachine")
            if owner and owner["id"].lower() != resource.id.lower():
                raise interface_in_use(interface, owner["id"])
            check_reservation(interface, resource.id)
            reference["id"] = interface.id
            properties = reference.setdefault("properties", {})
            properties.setdefault("primary", len(references) == 1)
            properties.setdefault("deleteOption", "Detach")
            interfaces.append(interface)
        return interfaces

    def _check_change(self, resource: Resource, existing: Resource) -> None:
        new, old = resource.properties, existing.properties
        storage: dict[str, Any] = new.setdefault("storageProfile", {})
        wanted = object_in(new, "osProfile")
        password = wanted.get("adminPassword")
        changed = "adminPassword" if password and _hash(password) != existing.private["password"] else ""
        for name in ("computerName", "adminUsername", "customData"):
            if name in wanted and wanted[name] != old["osProfile"].get(name):
                changed = name
        old_image: dict[str, str] = old["storageProfile"]["imageReference"]
        new_image = {**old_image, **object_in(storage, "imageReference")}
        if any(str(new_image.get(name)).lower() != str(old_image.get(name)).lower() for name in ("id", *IMAGE_NAMES)):
            changed = "imageReference"
        new_disk = object_in(storage, "osDisk")
        old_disk = old["storageProfile"]["osDisk"]
        for name in ("name", "createOption", "osType"):
            if name in new_disk and str(new_disk[name]).lower() != old_disk[name].lower():
                changed = f"osDisk.{name}"
        if _security_type(new) != _security_type(old):
            changed = "securityProfile.securityType"
        if (resource.body.get("zones") or []) != (existing.body.get("zones") or []):
            changed = "zones"
        if changed:
            raise property_change_not_allowed(changed)
        storage["imageReference"] = old_image
        new_interfaces: list[dict[str, Any]] = object_in(new, "networkProfile").get("networkInterfaces") or []
        new_ids = {str(interface.get("id")).lower() for interface in new_interfaces}
        if new_ids != {reference["id"].lower() for reference in old["networkProfile"]["networkInterfaces"]}:
            raise ArmError(
                400,
                "AddingOrDeletingNetworkInterfacesOnARunningVirtualMachineNotSupported",
                f"Secondary network interfaces cannot be added or deleted from a running virtual machine "
                f"{existing.id}. To add or delete network interfaces stop and deallocate the virtual machine.",
            )

    def _new_disk(self, resource: Resource, image: SourceImage) -> Resource:
        storage: dict[str, Any] = resource.properties["storageProfile"]
        wanted: dict[str, Any] = storage.setdefault("osDisk", {"createOption": "FromImage"})
        if wanted.get("createOption") != "FromImage":
            raise invalid_parameter("osDisk.createOption", "The value of parameter 'osDisk.createOption' is invalid.")
        size_gb: int = wanted.setdefault("diskSizeGB", image.size_gb)
        if size_gb < image.size_gb:
            raise ArmError(
                409,
                "OperationNotAllowed",
                f"The specified disk size {size_gb} GB is smaller than the size of the corresponding disk in the VM "
                f"image: {image.size_gb} GB. This is not allowed. Please choose equal or greater size or do not "
                "specify an explicit size.",
                target="osDisk.diskSizeGB",
            )
        made = self.cloud.new_id("disk").replace("-", "")
        wanted.setdefault("name", f"{resource.name}_OsDisk_1_{made}")
        wanted.setdefault("caching", "ReadWrite")
        wanted.setdefault("deleteOption", "Detach")
        wanted["osType"] = "Windows"
        managed: dict[str, Any] = wanted.setdefault("managedDisk", {})
        managed.setdefault("storageAccountType", "Standard_LRS")
        managed["id"] = f"{parent_of(resource.id)}/providers/{DISKS}/{wanted['name']}"
        if self.store.get(managed["id"]):
            group = part_of(resource.id, "resourceGroups")
            raise ArmError(
                409,
                "ConflictingUserInput",
                f"Disk {wanted['name']} already exists in resource group {group.upper()}. Only CreateOption.Attach is "
                "supported.",
                target=managed["id"],
            )
        reference = "galleryImageReference" if "/galleries/" in image.id.lower() else "imageReference"
        disk = Resource(managed["id"], DISKS, {}, {})
        disk.body = {
            "id": disk.id,
            "name": disk.name,
            "type": DISKS,
            "location": resource.location,
            "tags": resource.body.get("tags", {}),
            "sku": {"name": managed["storageAccountType"], "tier": managed["storageAccountType"].split("_")[0]},
            "managedBy": resource.id,
            "properties": {
                "osType": "Windows",
                "hyperVGeneration": image.generation,
                "creationData": {"createOption": "FromImage", reference: {"id": image.id}},
                "diskSizeGB": size_gb,
                "diskSizeBytes": size_gb * 1024**3,
                "encryption": {"type": "EncryptionAtRestWithPlatformKey"},
                "timeCreated": self.cloud.clock.timestamp(),
                "uniqueId": self.cloud.new_id("uniqueId"),
                "diskState": "Attached",
                "networkAccessPolicy": "AllowAll",
                "publicNetworkAccess": "Enabled",
                "provisioningState": "Succeeded",
            },
        }
        if zones := resource.body.get("zones"):
            disk.body["zones"] = zones
        return disk

    def _update_disk(self, resource: Resource, existing: Resource) -> Resource:
        wanted = _merged_disk(resource, existing)
        disk = self.store.get(wanted["managedDisk"]["id"])
        if disk is None:
            raise ArmError(404, "DiskNotFound", f"Disk {wanted['name']} is not found.")
        if wanted["diskSizeGB"] != disk.properties["diskSizeGB"]:
            self.resize_disk(disk, wanted["diskSizeGB"])
        resource.properties["storageProfile"]["osDisk"] = wanted
        return disk

    def resize_disk(self, disk: Resource, size_gb: int) -> None:
        """Make an OS disk larger.

        Raises:
            ArmError: It would become smaller, or its machine is not deallocated.

        """
        if size_gb < disk.properties["diskSizeGB"]:
            raise invalid_parameter("diskSizeGB", f"Disk '{disk.name}' cannot be made smaller.")
        machine = self.store.get(disk.body.get("managedBy", ""))
        if machine and machine.private.get("power_state") != "deallocated":
            raise ArmError(
                409,
                "OperationNotAllowed",
                f"Resizing of disk '{disk.name}' is allowed only when creating a VM or when the VM is deallocated.",
                target="osDisk.diskSizeGB",
            )
        disk.properties.update({"diskSizeGB": size_gb, "diskSizeBytes": size_gb * 1024**3})
        if machine:
            machine.properties["storageProfile"]["osDisk"]["diskSizeGB"] = size_gb
            if guest := self.cloud.guests.get(machine.id.lower()):
                guest.disk.size = size_gb * 1024**3

    def _fill_in(self, resource: Resource, existing: Resource | None, image: SourceImage) -> None:
        properties, old = resource.properties, existing.properties if existing else {}
        properties["vmId"] = old.get("vmId") or self.cloud.new_id("vmId")
        properties["timeCreated"] = old.get("timeCreated") or self.cloud.clock.timestamp()
        version = int(existing.body["etag"].strip('"')) + 1 if existing else 1
        resource.body["etag"] = f'"{version}"'
        resource.private["image"] = image
        resource.private.pop("error", None)
        for unreadable in ("instanceView", "resources"):
            properties.pop(unreadable, None)
        if identity := resource.body.get("identity"):
            known: dict[str, Any] = existing.body.get("identity", {}) if existing else {}
            if "SystemAssigned" in identity["type"]:
                identity["principalId"] = known.get("principalId") or self.cloud.new_id("principal")
                identity["tenantId"] = TENANT_ID

    def _owned_interfaces(self, resource: Resource) -> Iterable[Resource]:
        for reference in resource.properties["networkProfile"]["networkInterfaces"]:
            interface = self.store.get(reference["id"])
            if interface and self._is_owned(interface, resource):
                yield interface

    def _is_owned(self, interface: Resource, resource: Resource) -> bool:
        owner = str(object_in(interface.properties, "virtualMachine").get("id", ""))
        reserved_for, _ = interface.private.get("reserved", ("", 0))
        return resource.id.lower() in (owner.lower(), reserved_for.lower())

    async def _start(self, resource: Resource, call: Call) -> web.Response:
        return self._power(resource, call, 60, "starting", "running")

    async def _restart(self, resource: Resource, call: Call) -> web.Response:
        return self._power(resource, call, 60, "running", "running")

    async def _power_off(self, resource: Resource, call: Call) -> web.Response:
        return self._power(resource, call, 30, "stopping", "stopped")

    async def _deallocate(self, resource: Resource, call: Call) -> web.Response:
        return self._power(resource, call, 60, "deallocating", "deallocated")

    def _power(self, resource: Resource, call: Call, seconds: float, meanwhile: str, then: str) -> web.Response:
        self.refuse_while_busy(resource.id, call)
        before = resource.private.get("power_state")
        if before is None or (call.path.lower().endswith("/restart") and before != "running"):
            raise ArmError(
                409, "OperationNotAllowed", f"The action is not allowed in the power state of VM '{resource.name}'."
            )

        async def work() -> None:
            resource.private["power_state"] = then
            if then == "running":
                self.cloud.guests[resource.id.lower()].restart()
            resource.properties["provisioningState"] = "Succeeded"

        def failed(error: ArmError) -> None:
            resource.private["power_state"] = before
            resource.properties["provisioningState"] = "Failed"

        resource.private["power_state"] = meanwhile
        resource.properties["provisioningState"] = "Updating"
        path = self.operations_path(resource)
        operation = self.operations.begin(call, resource, seconds, work, failed, path=path)
        return web.Response(status=202, headers=self.operations.headers(operation, monitor=True))


class Disks(ComputeResourceType):
    """Managed disks; here they come with their machines and can be read, grown, tagged and deleted."""

    type = DISKS
    update_seconds = 5
    delete_seconds = 5
    updated_status = 202

    def __init__(self, cloud: Cloud, operations: Operations, machines: VirtualMachines) -> None:
        super().__init__(cloud, operations)
        self._machines = machines

    def write(self, resource: Resource, existing: Resource | None, call: Call) -> bool:
        """Check a disk's change."""
        if existing is None:
            raise invalid_parameter("creationData", "The simulated cloud makes disks only with virtual machines.")
        size_gb: int = resource.properties.get("diskSizeGB", existing.properties["diskSizeGB"])
        if size_gb != existing.properties["diskSizeGB"]:
            self._machines.resize_disk(existing, size_gb)
        resource.body["properties"] = {**existing.properties, **resource.properties}
        return True

    def check_delete(self, resource: Resource, call: Call) -> None:
        """Refuse while the disk is attached."""
        if machine := resource.body.get("managedBy"):
            raise ArmError(409, "OperationNotAllowed", f"Disk {resource.name} is attached to VM {machine}.")


def hash_of(value: Any) -> str:
    """Return a hash by which two JSON values are told apart without keeping them."""
    return _hash(json.dumps(value, sort_keys=True))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _check_match(existing: Resource | None, headers: dict[str, str]) -> None:
    etag = existing.body["etag"] if existing else None
    wanted, unwanted = headers.get("if-match"), headers.get("if-none-match")
    if (wanted and wanted not in ("*", etag)) or (wanted and etag is None) or (unwanted in ("*", etag) and etag):
        raise ArmError(
            412,
            "PreconditionFailed",
            f"The condition '{wanted or unwanted}' specified using HTTP conditional header(s) is not met.",
        )


def _merged_disk(resource: Resource, existing: Resource) -> dict[str, Any]:
    """Return the OS disk of a machine's body with what the body leaves out as it is."""
    old: dict[str, Any] = existing.properties["storageProfile"]["osDisk"]
    wanted = {**old, **object_in(resource.properties["storageProfile"], "osDisk")}
    wanted["managedDisk"] = {**old["managedDisk"], **object_in(wanted, "managedDisk")}
    return wanted


def _check_security(properties: dict[str, Any], size: VirtualMachineSize, image: SourceImage) -> None:
    if image.generation not in size.generations.split(","):
        raise ArmError(
            400,
            "BadRequest",
            f"The selected VM size '{size.name}' cannot boot Hypervisor Generation '{image.generation[1:]}'. If this "
            "was a Create operation please check that the Hypervisor Generation of the Image matches the Hypervisor "
            "Generation of the selected VM Size.",
        )
    security_type = _security_type(properties)
    if security_type not in ("Standard", "TrustedLaunch", "ConfidentialVM"):
        raise invalid_parameter("securityProfile.securityType", f"The value '{security_type}' is invalid.")
    if security_type not in image.security_types:
        raise ArmError(
            400,
            "BadRequest",
            "Use of TrustedLaunch setting is not supported for the provided image. Please select Trusted Launch "
            "Supported Gen2 OS Image. For more information, see https://aka.ms/TrustedLaunch-FAQ."
            if security_type == "TrustedLaunch"
            else "Security type of VM is not compatible with the security type of attached OS Disk.",
        )


def _security_type(properties: dict[str, Any]) -> str:
    return object_in(properties, "securityProfile").get("securityType") or "Standard"


def _check_os_profile(resource: Resource) -> None:
    profile = dict(object_in(resource.properties, "osProfile"))
    computer_name = str(profile.setdefault("computerName", resource.name))
    if (
        len(computer_name) > 15
        or computer_name.isdigit()
        or computer_name.endswith("-")
        or not _COMPUTER_NAME_CHARACTERS.fullmatch(computer_name)
    ):
        raise invalid_parameter(
            "computerName",
            "Windows computer name cannot be more than 15 characters long, be entirely numeric, or contain the "
            "following characters: ` ~ ! @ # $ % ^ & * ( ) = + _ [ ] { } \\ | ; : . ' \" , < > / ?.",
        )
    username, password = (str(profile.get(name) or "") for name in ("adminUsername", "adminPassword"))
    for name, value in (("adminUsername", username), ("adminPassword", password)):
        if not value:
            raise invalid_parameter(name, f"Required parameter '{name}' is missing (null).")
    if username.lower() in _FORBIDDEN_USERNAMES or len(username) > 20 or username.endswith("."):
        raise invalid_parameter(
            "adminUsername", "The Admin Username specified is not allowed. For more information see aka.ms/vmusername"
        )
    if password in _FORBIDDEN_PASSWORDS:
        raise invalid_parameter("adminPassword", "The supplied password is not allowed.")
    kinds = (r"[a-z]", r"[A-Z]", r"[0-9]", r"[^a-zA-Z0-9_]")
    if not 8 <= len(password) <= 123 or sum(bool(re.search(kind, password)) for kind in kinds) < 3:
        raise invalid_parameter(
            "adminPassword",
            "The supplied password must be between 8-123 characters long and must satisfy at least 3 of password "
            "complexity requirements from the following:\r\n1) Contains an uppercase character\r\n2) Contains a "
            "lowercase character\r\n3) Contains a numeric digit\r\n4) Contains a special character\r\n5) Control "
            "characters are not allowed",
        )
    resource.private["password"] = _hash(password)
    windows: dict[str, Any] = profile.setdefault("windowsConfiguration", {})
    windows.setdefault("provisionVMAgent", True)
    windows.setdefault("enableAutomaticUpdates", True)
    windows.setdefault("patchSettings", {"patchMode": "AutomaticByOS", "assessmentMode": "ImageDefault"})
    kept = {name: value for name, value in profile.items() if name != "adminPassword"}
    resource.properties["osProfile"] = {"secrets": [], "allowExtensionOperations": True, **kept}
    resource.properties["osProfile"]["requireGuestProvisionSignal"] = True
