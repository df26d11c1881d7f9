"""The tenant Contoso: its Microsoft Entra ID objects and its Microsoft Intune devices.

Objects are plain JSON in the words of Microsoft Graph (beta where v1.0 has no word), by their id.
"""

import base64
import json
import time
import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Protocol

from simulator.clock import Clock
from simulator.faults import FaultKind
from simulator.faults_in_force import Faults
from simulator.objects import Objects
from simulator.windows.guest import Guest

Json = dict[str, Any]

MICROSOFT_INTUNE = "0000000a-0000-0000-c000-000000000000"
"""Application id of Microsoft Intune, the MDM authority."""
INTUNE_PLANS = frozenset(
    {
        "c1ec4a95-1f05-45b3-a911-aa3fa01094f5",
        "3e170737-c728-4eae-bbb9-3f3360f7184c",
        "2dc63b8a-df3d-448f-b683-8655877c9360",
    }
)
"""Service plans that license a user for Intune: INTUNE_A, INTUNE_A_VL, INTUNE_B.

Source: https://learn.microsoft.com/entra/identity/users/licensing-service-plan-reference
"""

REPLICATION_SECONDS = 5.0
"""How long Graph goes on reading a device as it was before a change."""
BEHIND_SECONDS = 300.0
"""How much longer Graph does so on a bad day."""
ENROLLMENT_SECONDS = 300.0
"""From the join to the managed device in Intune."""
MANAGED_SECONDS = 30.0
"""From the managed device to Entra ID's `isManaged`."""
PRIMARY_USER_SECONDS = 30.0
"""From a change of the primary user until Intune names the new one; it can be 10 minutes.

Source: https://learn.microsoft.com/mem/intune/remote-actions/find-primary-user
"""
RETIREMENT_SECONDS = 300.0
"""From retire or wipe until a device that is on-line is gone; under 15 minutes.

Source: https://learn.microsoft.com/mem/intune/remote-actions/devices-wipe
"""
SYNCHRONIZATION_SECONDS = 1800.0
"""Between two runs of Microsoft Entra Connect.

Source: https://learn.microsoft.com/entra/identity/hybrid/connect/how-to-connect-sync-feature-scheduler
"""
DEVICE_JOIN_TASK_SECONDS = 1800.0
"""From there to the next run of the Automatic-Device-Join task of a domain-joined Windows, which comes every hour.

Source: https://learn.microsoft.com/entra/identity/devices/device-registration-how-it-works
"""


class HostnameDuplicate(Exception):
    """The join is refused because a device object owns the host name; `device_id` is that device's `deviceId`."""

    def __init__(self, display_name: str, device_id: str) -> None:
        super().__init__("Another object with the same value for property hostnames already exists.")
        self.display_name = display_name
        self.device_id = device_id


class SynchronizedComputer(Protocol):
    """What Microsoft Entra Connect takes over of a computer account."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def sid(self) -> str:
        """Its security identifier."""
        ...

    @property
    def operating_system_version(self) -> str:
        """Version of its Windows, such as `10.0.26100.2314`."""
        ...


class Directory:
    """Everything that Entra ID and Intune know.

    Args:
        clock: Time and delays.
        faults: What makes it misbehave.
        guests: The Windows inside each virtual machine, by the machine's ARM id in lower case.
        new_id: Returns the next GUID for an object of a kind.
        spawn: Lets work go on in the background.
        computer_missed: Told when a device was deleted whose computer Entra Connect may bring again.

    Attributes:
        domains: Verified domain names of the tenant.
        users: Users; what their licences grant is derived, see `assigned_plans` and `license_details`.
        groups: Groups.
        members: The ids of each group's direct members, by the group's id.
        service_principals: Service principals, with their `remoteDesktopSecurityConfiguration` where they have one.
        graph_permissions: The Graph application permissions that the tenant's application has been granted.
        skus: What is bought, as `subscribedSku` without its `id` and `consumedUnits`.
        devices: Entra devices as the device registration service sees them.
        visible_devices: Entra devices as Graph reads them, `REPLICATION_SECONDS` behind `devices`.
        managed_devices: Intune devices.
        primary_users: The id of each managed device's primary user, by the managed device's id.

    """

    def __init__(
        self,
        *,
        clock: Clock,
        faults: Faults,
        guests: Mapping[str, Guest],
        new_id: Callable[[str], str],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        computer_missed: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._faults = faults
        self._guests = guests
        self._new_id = new_id
        self._spawn = spawn
        self._computer_missed = computer_missed
        seed: Json = json.loads(Path(__file__).with_name("contoso.json").read_text(encoding="utf-8"))
        self.domains: list[str] = seed["domains"]
        self._services: dict[str, str] = seed["services"]
        self.users = Objects(seed["users"], indexed=["userPrincipalName"])
        self.groups = _by_id(seed["groups"])
        self.members: dict[str, list[str]] = {id: group.pop("members") for id, group in self.groups.items()}
        self.service_principals = _by_id(seed["servicePrincipals"])
        self.graph_permissions: list[str] = seed["graphPermissions"]
        self.skus: dict[str, Json] = {sku["skuId"]: sku for sku in seed["subscribedSkus"]}
        self.devices = Objects(indexed=["displayName", "deviceId", "physicalIds"])
        self.visible_devices = Objects(indexed=["displayName", "deviceId"])
        self._behind_until: dict[str, float] = {}
        self.managed_devices = Objects(indexed=["azureADDeviceId", "deviceName"])
        self.primary_users: dict[str, str] = {}

    def inventory(self) -> dict[str, object]:
        """Return the `devices` and the `managedDevices`, these with the ids of their primary `users`."""
        managed = [
            {**device, "users": [self.primary_users[id]] if id in self.primary_users else []}
            for id, device in self.managed_devices.items()
        ]
        return {"devices": list(self.devices.values()), "managedDevices": managed}

    # Licences

    def license_details(self, user: Json) -> list[Json]:
        """Return what `GET /users/{id}/licenseDetails` lists.

        Source: https://learn.microsoft.com/graph/api/user-list-licensedetails
        """
        details: list[Json] = []
        for assigned in user.get("assignedLicenses", []):
            sku = self.skus[assigned["skuId"]]
            plans = [
                {**plan, "provisioningStatus": "Disabled"}
                if plan["servicePlanId"] in assigned["disabledPlans"]
                else plan
                for plan in sku["servicePlans"]
            ]
            key = uuid.UUID(user["id"]).bytes_le + uuid.UUID(sku["skuId"]).bytes_le
            details.append(
                {
                    "id": base64.urlsafe_b64encode(key).decode().rstrip("="),
                    "skuId": sku["skuId"],
                    "skuPartNumber": sku["skuPartNumber"],
                    "servicePlans": plans,
                }
            )
        return details

    def assigned_plans(self, user: Json) -> list[Json]:
        """Return a user's `assignedPlans`: every service plan that a licence grants."""
        granted = {
            plan["servicePlanId"]: plan
            for license in self.license_details(user)
            for plan in license["servicePlans"]
            if plan["provisioningStatus"] == "Success"
        }
        return [
            {
                "assignedDateTime": user.get("createdDateTime"),
                "capabilityStatus": "Enabled",
                "service": self._services[id],
                "servicePlanId": id,
            }
            for id in granted
        ]

    def has_intune_license(self, user: Json) -> bool:
        """Return whether a licence of the user grants Intune."""
        return any(plan["servicePlanId"] in INTUNE_PLANS for plan in self.assigned_plans(user))

    # Groups

    def add_group(self, display_name: str, users: int, licenses: Iterable[str]) -> str:
        """Make a group of new users, with licences that are bought for them.

        Args:
            display_name: The group's name; the users are numbered after it.
            users: How many members it has.
            licenses: `skuPartNumber` of what each of them is licensed for.

        Returns:
            The group's id.

        Raises:
            ValueError: The tenant does not know a licence.

        """
        by_part_number = {sku["skuPartNumber"]: sku for sku in self.skus.values()}
        if unknown := set(licenses) - by_part_number.keys():
            raise ValueError(f"licenses: {sorted(unknown)} are not among {sorted(by_part_number)}")
        skus = [by_part_number[name] for name in licenses]
        for sku in skus:
            sku["prepaidUnits"]["enabled"] += users
        user_template, group_template = next(iter(self.users.values())), next(iter(self.groups.values()))
        group_id, nickname = self._new_id("group"), display_name.lower().replace(" ", "-")
        self.groups[group_id] = {
            **group_template,
            "id": group_id,
            "displayName": display_name,
            "description": None,
            "mailNickname": nickname,
        }
        members = self.members[group_id] = []
        for number in range(1, users + 1):
            id, name = self._new_id("user"), f"{nickname}-{number}"
            self.users[id] = {
                **user_template,
                "id": id,
                "displayName": f"{display_name} {number}",
                "givenName": display_name,
                "surname": str(number),
                "userPrincipalName": f"{name}@{self.domains[0]}",
                "mail": f"{name}@{self.domains[0]}",
                "mailNickname": name,
                "proxyAddresses": [f"SMTP:{name}@{self.domains[0]}"],
                "assignedLicenses": [{"skuId": sku["skuId"], "disabledPlans": []} for sku in skus],
            }
            members.append(id)
        return group_id

    def transitive_members(self, group_id: str) -> list[str]:
        """Return the ids of all members of a group and of the groups in it, each once."""
        found: dict[str, None] = {}
        pending = list(self.members[group_id])
        while pending:
            id = pending.pop(0)
            if id not in found:
                found[id] = None
                pending.extend(self.members.get(id, []))
        return list(found)

    # Entra devices

    def device_of(self, vm_id: str) -> Json | None:
        """Return the Entra device of a virtual machine by its ARM id in any case, or None."""
        return next(iter(self.devices.by("physicalIds", f"[AzureResourceId]:{vm_id}")), None)

    def join_device(self, *, display_name: str, vm_id: str, os_version: str) -> Json:
        """Register a virtual machine that the AADLoginForWindows extension joins.

        Graph shows the device `REPLICATION_SECONDS` later.

        Args:
            display_name: Host name.
            vm_id: ARM id of the virtual machine.
            os_version: Windows version, such as `10.0.26100.2314`.

        Returns:
            The device.

        Raises:
            HostnameDuplicate: A device object owns the name.

        """
        for owner in self.devices.by("displayName", display_name):
            raise HostnameDuplicate(display_name, owner["deviceId"])
        device = self._new_device(display_name, os_version)
        device |= {
            "trustType": "AzureAd",
            "profileType": "SecureVM",
            "physicalIds": [*device["physicalIds"], f"[AzureResourceId]:{vm_id}"],
        }
        self._register(device)
        return device

    def synchronize(self, computers: Iterable[SynchronizedComputer]) -> None:
        """Take over what Microsoft Entra Connect has seen in Active Directory.

        A computer without a device gets a pending one, which names no virtual machine; a device without a computer
        is deleted.

        Source: https://learn.microsoft.com/entra/identity/devices/manage-stale-devices

        Args:
            computers: Every computer account that is synchronised.

        """
        seen = {computer.sid: computer for computer in computers}
        known = {
            device["onPremisesSecurityIdentifier"]: id
            for id, device in self.devices.items()
            if device["onPremisesSyncEnabled"]
        }
        for sid in known.keys() - seen.keys():
            self._delete_device(known[sid])
        for sid, computer in seen.items():
            if sid in known:
                continue
            device = self._new_device(computer.name, computer.operating_system_version)
            device |= {
                "trustType": "ServerAd",
                "onPremisesSyncEnabled": True,
                "onPremisesSecurityIdentifier": sid,
                "onPremisesLastSyncDateTime": self._clock.timestamp(),
            }
            self.devices[device["id"]] = device
            self._replicate(device["id"])

    def register_computer(self, sid: str) -> Json | None:
        """Register the device of a computer that has joined Active Directory.

        Args:
            sid: The computer's security identifier.

        Returns:
            The device, or None where Entra Connect has brought none.

        """
        for device in self.devices.values():
            if device["onPremisesSecurityIdentifier"] == sid:
                self._register(device)
                return device
        return None

    def update_device(self, id: str, changes: Json) -> None:
        """Change properties of a device. Graph shows them `REPLICATION_SECONDS` later."""
        self.devices[id] |= changes
        self._replicate(id)

    def delete_device(self, id: str) -> None:
        """Delete a device: its name is free at once, but Graph shows it for `REPLICATION_SECONDS` more.

        One that was synchronised comes back as long as the computer is in Active Directory.
        """
        is_synchronized = self.devices[id]["onPremisesSyncEnabled"]
        self._delete_device(id)
        if is_synchronized:
            self._computer_missed()

    def _delete_device(self, id: str) -> None:
        del self.devices[id]
        for members in self.members.values():
            if id in members:
                members.remove(id)
        self._replicate(id)

    def _new_device(self, display_name: str, os_version: str) -> Json:
        new_id, now = self._new_id, self._clock.timestamp()
        return {
            "id": new_id("device"),
            "deletedDateTime": None,
            "accountEnabled": True,
            "alternativeSecurityIds": [],
            "approximateLastSignInDateTime": now,
            "complianceExpirationDateTime": None,
            "deviceCategory": None,
            "deviceId": new_id("deviceId"),
            "deviceMetadata": None,
            "deviceOwnership": None,
            "deviceVersion": 2,
            "displayName": display_name,
            "enrollmentProfileName": None,
            "enrollmentType": None,
            "isCompliant": None,
            "isManaged": None,
            "isRooted": None,
            "managementType": None,
            "manufacturer": None,
            "mdmAppId": None,
            "model": None,
            "onPremisesLastSyncDateTime": None,
            "onPremisesSecurityIdentifier": None,
            "onPremisesSyncEnabled": None,
            "operatingSystem": "Windows",
            "operatingSystemVersion": os_version,
            "physicalIds": [f"[HWID]:h:{uuid.UUID(new_id('hardware')).int % 10**16}"],
            "profileType": "RegisteredDevice",
            "registrationDateTime": None,
            "systemLabels": [],
            "trustType": None,
        }

    def _register(self, device: Json) -> None:
        key = base64.b64encode(uuid.UUID(device["deviceId"]).bytes_le).decode()
        device["alternativeSecurityIds"] = [{"type": 2, "identityProvider": None, "key": key}]
        # The real service writes whole seconds; a fast simulated machine may be younger than that.
        device["registrationDateTime"] = self._clock.timestamp()
        self.devices[device["id"]] = device
        self._replicate(device["id"])

    def _replicate(self, id: str) -> None:
        kind = FaultKind.STALE_CREATED if id in self.devices else FaultKind.STALE_DELETED
        device = self.devices.get(id) or self.visible_devices.get(id)
        if device and self._faults.strikes(kind, device["displayName"]):
            self._behind_until[id] = time.monotonic() + self._clock.real_seconds(BEHIND_SECONDS)

        async def copy_later() -> None:
            await self._clock.sleep(REPLICATION_SECONDS)
            # Whatever else changes the device meanwhile shows no sooner.
            if (left := self._behind_until.get(id, 0.0) - time.monotonic()) > 0:
                await self._faults.until_stopped(left)
            if id in self.devices:
                self.visible_devices[id] = deepcopy(self.devices[id])
            elif id in self.visible_devices:
                del self.visible_devices[id]

        self._spawn(copy_later())

    # Intune devices

    async def enroll_device(self, device: Json) -> Json | None:
        """Enrol an Entra device with its own credential, and return when Intune manages it.

        Entra ID's `isManaged` follows `MANAGED_SECONDS` later.

        Args:
            device: What `join_device` or `register_computer` returned.

        Returns:
            The managed device, or None when the device or its machine was deleted meanwhile.

        """
        guest = self._guest_of(device)
        await self._clock.sleep(ENROLLMENT_SECONDS)
        if self._faults.strikes(FaultKind.STALE_CREATED, f"managed {device['displayName']}"):
            await self._faults.until_stopped(self._clock.real_seconds(BEHIND_SECONDS))
        # A machine made again under the same ARM id is another guest.
        if device["id"] not in self.devices or self._guest_of(device) is not guest:
            return None
        for managed in self.managed_devices.by("azureADDeviceId", device["deviceId"]):
            return managed
        managed = self._new_managed_device(device)
        self.managed_devices[managed["id"]] = managed
        self._spawn(self._show_as_managed(device["id"]))
        return managed

    def delete_managed_device(self, id: str) -> None:
        """Delete an Intune device; its record goes at once."""
        del self.managed_devices[id]
        self.primary_users.pop(id, None)

    def set_primary_user(self, id: str, user_id: str | None) -> None:
        """Make a user the only primary user of a managed device, or nobody.

        Intune names the user `PRIMARY_USER_SECONDS` later.
        """

        async def name_later() -> None:
            await self._clock.sleep(PRIMARY_USER_SECONDS)
            if user_id is None:
                self.primary_users.pop(id, None)
            elif id in self.managed_devices:
                self.primary_users[id] = user_id

        self._spawn(name_later())

    def retire_managed_device(self, id: str) -> None:
        """Retire a device: after `RETIREMENT_SECONDS` its Intune and its Entra object are gone."""
        self.managed_devices[id]["managementState"] = "retirePending"
        self._spawn(self._remove_managed_device(id, and_entra_device=True))

    def wipe_managed_device(self, id: str) -> None:
        """Wipe a device: after `RETIREMENT_SECONDS` its Intune object is gone."""
        self.managed_devices[id]["managementState"] = "wipePending"
        self._spawn(self._remove_managed_device(id, and_entra_device=False))

    async def _remove_managed_device(self, id: str, *, and_entra_device: bool) -> None:
        device_id = self.managed_devices[id]["azureADDeviceId"]
        await self._clock.sleep(RETIREMENT_SECONDS)
        if id in self.managed_devices:
            self.delete_managed_device(id)
        if and_entra_device:
            for device in self.devices.by("deviceId", device_id):
                self.delete_device(device["id"])

    async def _show_as_managed(self, id: str) -> None:
        await self._clock.sleep(MANAGED_SECONDS)
        if id in self.devices:
            changes = {
                "isManaged": True,
                "isCompliant": True,
                "managementType": "MDM",
                "mdmAppId": MICROSOFT_INTUNE,
                "deviceOwnership": "Company",
                "enrollmentType": "AzureDomainJoined",
                "manufacturer": "Microsoft Corporation",
                "model": "Virtual Machine",
            }
            self.update_device(id, changes)

    def _guest_of(self, device: Json) -> Guest | None:
        guests = self._guests.values()
        return next((guest for guest in guests if guest.entra_device_id == device["deviceId"]), None)

    def _new_managed_device(self, device: Json) -> Json:
        now = self._clock.timestamp()
        is_hybrid = device["trustType"] == "ServerAd"
        return {
            "id": self._new_id("managedDevice"),
            # Nobody's: a device that enrols by its own credential has neither an enrolling nor a primary user.
            "userId": "",
            "userDisplayName": "",
            "userPrincipalName": "",
            "emailAddress": "",
            "deviceName": device["displayName"],
            "managedDeviceName": f"{device['displayName']}_Windows_{now[:10]}",
            "managedDeviceOwnerType": "company",
            "enrolledDateTime": now,
            "lastSyncDateTime": now,
            "operatingSystem": "Windows",
            "osVersion": device["operatingSystemVersion"],
            "complianceState": "compliant",
            "complianceGracePeriodExpirationDateTime": "9999-12-31T23:59:59Z",
            "jailBroken": "Unknown",
            "managementAgent": "mdm",
            "managementState": "managed",
            "managementCertificateExpirationDate": "9999-12-31T23:59:59Z",
            "azureADRegistered": True,
            "azureADDeviceId": device["deviceId"],
            "deviceEnrollmentType": "windowsAutoEnrollment" if is_hybrid else "azureAdJoinUsingAzureVmExtension",
            "joinType": "hybridAzureADJoined" if is_hybrid else "azureADJoined",
            "deviceRegistrationState": "registered",
            "deviceCategoryDisplayName": "",
            "deviceActionResults": [],
            "enrollmentProfileName": "",
            "isEncrypted": False,
            "isSupervised": False,
            "manufacturer": "Microsoft Corporation",
            "model": "Virtual Machine",
            "serialNumber": self._new_id("serialNumber"),
            "partnerReportedThreatState": "unknown",
            "notes": None,
        }


def _by_id(objects: Iterable[Json]) -> dict[str, Json]:
    return {item["id"]: item for item in objects}
