"""Microsoft.Compute: virtual machines and their disks."""

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from simulator.arm.call import Call
from simulator.arm.capacity import CORES, IMAGE_DISK_GB, IMAGE_VERSIONS, VIRTUAL_MACHINES, Image, VirtualMachineSize
from simulator.arm.errors import ArmError, invalid_parameter, invalid_reference
from simulator.arm.ids import parent_of, part_of
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
from simulator.arm.resource_type import ResourceType, object_in
from simulator.arm.store import Resource
from simulator.cloud import TENANT_ID, Cloud
from simulator.windows.guest import Guest

MACHINES = "Microsoft.Compute/virtualMachines"
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


class ComputeResourceType(ResourceType):
    """What the types of Microsoft.Compute have in common."""

    def busy(self, resource: Resource, call: Call) -> ArmError:
        """Return the 409 for a request that comes during another operation."""
        what = {"PUT": "Create or update", "PATCH": "Update", "DELETE": "Delete"}.get(call.method, "Action")
        kind = "VM" if resource.type == MACHINES else "resource"
        if resource.properties["provisioningState"] == "Deleting":
            return ArmError(
                409,
                "OperationNotAllowed",
                f"Operation '{what}' is not allowed on {kind} '{resource.name}' since the {kind} is marked for "
                "deletion. You can only retry the Delete operation (or wait for an ongoing one to complete).",
            )
        return ArmError(
            409,
            "OperationNotAllowed",
            f"Operation '{what}' is not allowed on {kind} '{resource.name}' since another operation is in progress.",
        )


class VirtualMachines(ComputeResourceType):
    """Virtual machines.

    What a machine remembers in `private`: `power_state` as in `PowerState/running` once Windows ran, `password` as a
    hash, `size` that counts against the quota, Hyper-V `generation`, code of the last `error`, and `run_command`:
    whether a v1 run command executes.
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
        region, properties = resource.location, resource.properties
        if existing:
            storage: dict[str, Any] = properties.setdefault("storageProfile", {})
            storage.setdefault("imageReference", existing.properties["storageProfile"]["imageReference"])
        size = self._size(resource)
        image = _image_of(self, resource)
        _check_security(properties, size, image)
        license_type = properties.get("licenseType")
        if license_type not in (None, "None", "Windows_Client", "Windows_Server"):
            raise invalid_parameter("licenseType", f"The value '{license_type}' of parameter 'licenseType' is invalid.")
        if existing:
            self._check_change(resource, existing)
            properties["osProfile"] = existing.properties["osProfile"]
        else:
            _check_os_profile(resource)
        interfaces = self._interfaces(resource)
        old_size = self.store.capacity.sizes[existing.private["size"]] if existing else None
        self._check_quota(region, old_size, size)
        disk = self._update_disk(resource, existing) if existing else self._new_disk(resource, image)

        self._fill_in(resource, existing, image)
        self.store.capacity.move(region, old_size, size)
        resource.private["size"] = size.name.lower()
        for number, interface in enumerate(interfaces):
            if "virtualMachine" not in interface.properties:
                made = self.cloud.new_id("macAddress").replace("-", "").upper()
                mac_address = f"00-0D-3A-{made[0:2]}-{made[2:4]}-{made[4:6]}"
                attach_interface(interface, resource.id, primary=number == 0, mac_address=mac_address)
        if existing is None:
            self.store.add(disk)
        return True

    async def finish(self, resource: Resource) -> None:
        """Start Windows for the first time."""
        if resource.id.lower() in self.cloud.guests:
            return
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
        self.store.capacity.move(resource.location, self.store.capacity.sizes[resource.private["size"]], None)
        for reference in resource.properties["networkProfile"]["networkInterfaces"]:
            interface = self.store.get(reference["id"])
            if interface is None or not self._is_owned(interface, resource):
                continue
            detach_interface(interface, self.cloud.clock)
            if reference["properties"]["deleteOption"] == "Delete":
                self.store.remove(interface.id)
                release_addresses(self.store, interface)
        os_disk = resource.properties["storageProfile"]["osDisk"]
        if disk := self.store.get(os_disk["managedDisk"]["id"]):
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
            "hyperVGeneration": resource.private["generation"],
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

    def _size(self, resource: Resource) -> VirtualMachineSize:
        name = str(object_in(resource.properties, "hardwareProfile").get("vmSize", ""))
        region = resource.location
        capacity = self.store.capacity
        size = capacity.sizes.get(name.lower())
        if size is None:
            raise invalid_parameter(
                "vmSize",
                f"The requested VM size {name} is not available in the current region. The sizes available in the "
                f"current region are: {','.join(size.name for size in capacity.sizes.values())}. Find out more on the "
                "available VM sizes in each region at https://aka.ms/azure-regions.",
            )
        zones: list[str] = resource.body.get("zones") or []
        offered: list[str] = capacity.regions[region]["zones"]
        if len(zones) > 1 or any(zone not in offered for zone in zones):
            raise ArmError(
                400,
                "AvailabilityZoneNotSupported",
                f"The zone(s) '{','.join(zones)}' for resource '{resource.type}/{resource.name}' is not supported. The "
                f"supported zones for location '{region}' are '{','.join(offered)}'",
            )
        if not capacity.is_offered(size, region, zones[0] if zones else None):
            place = f"location '{region}'" + (f" zones '{zones[0]}'" if zones else "")
            raise ArmError(
                409,
                "SkuNotAvailable",
                "The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: "
                f"{size.name}' is currently not available in {place}. Please try another size or deploy to a different "
                "location or different zone. See https://aka.ms/azureskunotavailable for details.",
            )
        return size

    def _check_quota(self, region: str, old: VirtualMachineSize | None, new: VirtualMachineSize) -> None:
        capacity = self.store.capacity
        for usage, more in capacity.exceeded(region, old, new):
            what = {CORES: "Total Regional Cores", VIRTUAL_MACHINES: "Virtual Machines"}.get(usage, f"{usage} Cores")
            used = capacity.used[region, usage]
            raise ArmError(
                409,
                "OperationNotAllowed",
                f"Operation could not be completed as it results in exceeding approved {what} quota. Additional "
                f"details - Deployment Model: Resource Manager, Location: {region}, Current Limit: "
                f"{capacity.limit(region, usage)}, Current Usage: {used}, Additional Required: {more}, (Minimum) New "
                f"Limit Required: {used + more}. Please read more about quota limits at "
                "https://docs.microsoft.com/en-us/azure/azure-supportability/per-vm-quota-requests",
            )

    def _interfaces(self, resource: Resource) -> list[Resource]:
        network_profile = object_in(resource.properties, "networkProfile")
        references: list[dict[str, Any]] = network_profile.get("networkInterfaces") or []
        if not references:
            raise invalid_parameter("networkProfile", "Required parameter 'networkProfile' is missing (null).")
        interfaces: list[Resource] = []
        for reference in references:
            interface = find_referenced(self.store, reference, NETWORK_INTERFACES, resource, self.cloud.clock)
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
        wanted = object_in(new, "osProfile")
        password = wanted.get("adminPassword")
        changed = "adminPassword" if password and _hash(password) != existing.private["password"] else ""
        for name in ("computerName", "adminUsername", "customData"):
            if name in wanted and wanted[name] != old["osProfile"].get(name):
                changed = name
        new_image = object_in(new["storageProfile"], "imageReference")
        old_image = old["storageProfile"]["imageReference"]
        if any(str(new_image.get(name, old_image[name])).lower() != old_image[name].lower() for name in _IMAGE_NAMES):
            changed = "imageReference"
        new_disk = object_in(new["storageProfile"], "osDisk")
        old_disk = old["storageProfile"]["osDisk"]
        for name in ("name", "createOption", "osType"):
            if name in new_disk and str(new_disk[name]).lower() != old_disk[name].lower():
                changed = f"osDisk.{name}"
        if _security_type(new) != _security_type(old):
            changed = "securityProfile.securityType"
        if (resource.body.get("zones") or []) != (existing.body.get("zones") or []):
            changed = "zones"
        if changed:
            raise ArmError(
                409, "PropertyChangeNotAllowed", f"Changing property '{changed}' is not allowed.", target=changed
            )
        new_interfaces: list[dict[str, Any]] = object_in(new, "networkProfile").get("networkInterfaces") or []
        new_ids = {str(interface.get("id")).lower() for interface in new_interfaces}
        if new_ids != {reference["id"].lower() for reference in old["networkProfile"]["networkInterfaces"]}:
            raise ArmError(
                400,
                "AddingOrDeletingNetworkInterfacesOnARunningVirtualMachineNotSupported",
                f"Secondary network interfaces cannot be added or deleted from a running virtual machine "
                f"{existing.id}. To add or delete network interfaces stop and deallocate the virtual machine.",
            )

    def _new_disk(self, resource: Resource, image: Image) -> Resource:
        storage = resource.properties["storageProfile"]
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
        reference = storage["imageReference"]
        names = "Publishers/{publisher}/ArtifactTypes/VMImage/Offers/{offer}/Skus/{sku}/Versions/{exactVersion}"
        subscription = f"/Subscriptions/{part_of(resource.id, 'subscriptions')}"
        image_id = f"{subscription}/Providers/Microsoft.Compute/Locations/{resource.location}/{names}".format(
            **reference
        )
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
                "creationData": {"createOption": "FromImage", "imageReference": {"id": image_id}},
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
        storage, old = resource.properties["storageProfile"], existing.properties["storageProfile"]["osDisk"]
        wanted: dict[str, Any] = {**old, **object_in(storage, "osDisk")}
        wanted["managedDisk"] = {**old["managedDisk"], **object_in(wanted, "managedDisk")}
        disk = self.store.get(old["managedDisk"]["id"])
        if disk is None:
            raise ArmError(404, "DiskNotFound", f"Disk {old['name']} is not found.")
        if wanted["diskSizeGB"] != disk.properties["diskSizeGB"]:
            self.resize_disk(disk, wanted["diskSizeGB"])
        storage["osDisk"] = wanted
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

    def _fill_in(self, resource: Resource, existing: Resource | None, image: Image) -> None:
        properties, old = resource.properties, existing.properties if existing else {}
        properties["vmId"] = old.get("vmId") or self.cloud.new_id("vmId")
        properties["timeCreated"] = old.get("timeCreated") or self.cloud.clock.timestamp()
        version = int(existing.body["etag"].strip('"')) + 1 if existing else 1
        resource.body["etag"] = f'"{version}"'
        resource.private["generation"] = image.generation
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


_IMAGE_NAMES = ("publisher", "offer", "sku")


def instance_status(code: str, display: str, time: str) -> dict[str, Any]:
    """Return one status of an instance view."""
    level = "Error" if "/failed" in code else "Info"
    return {"code": code, "level": level, "displayStatus": display, "time": time}


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


def _image_of(rules: ResourceType, resource: Resource) -> Image:
    storage: dict[str, Any] = resource.properties.setdefault("storageProfile", {})
    reference: dict[str, Any] = storage.setdefault("imageReference", {})
    if image_id := reference.get("id"):
        raise ArmError(404, "ImageNotFound", f"The Image '{image_id}' cannot be found in '{resource.location}' region.")
    names = [str(reference.get(name, "")) for name in _IMAGE_NAMES]
    image = rules.store.capacity.image(*names)
    version = str(reference.get("version", ""))
    if image is None or version not in ("latest", *IMAGE_VERSIONS):
        raise ArmError(
            404,
            "PlatformImageNotFound",
            f"The platform image '{':'.join([*names, version])}' is not available. Verify that all fields in the "
            "storage profile are correct. For more details about storage profile information, please refer to "
            "https://aka.ms/storageprofile",
            target="imageReference",
        )
    reference["exactVersion"] = IMAGE_VERSIONS[-1] if version == "latest" else version
    return image


def _check_security(properties: dict[str, Any], size: VirtualMachineSize, image: Image) -> None:
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
    if security_type == "TrustedLaunch" and image.generation != "V2":
        raise ArmError(
            400,
            "BadRequest",
            "Use of TrustedLaunch setting is not supported for the provided image. Please select Trusted Launch "
            "Supported Gen2 OS Image. For more information, see https://aka.ms/TrustedLaunch-FAQ.",
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
