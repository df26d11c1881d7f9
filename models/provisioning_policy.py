"""The provisioning policy: how Cloud PCs are to be made, in the field names of Microsoft Graph.

Source: https://learn.microsoft.com/graph/api/resources/cloudpcprovisioningpolicy and
https://learn.microsoft.com/windows-365/enterprise/create-provisioning-policy
"""

import random  # noqa: TID251 - the type of the source that a caller gives
import re
import string
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from models.base import GraphModel
from models.types import (
    CUSTOM_IMAGE_ID,
    ConnectionId,
    CustomImageId,
    DisplayName,
    GracePeriodInHours,
    Guid,
    Locale,
    PolicyId,
    RegionName,
    ServicePlanName,
)

MAX_COMPUTER_NAME = 15
"""Longest NetBIOS name of a computer, characters."""
_MACRO = re.compile(r"%(?P<name>[A-Za-z]+):(?P<length>[0-9]{1,2})%")
IMAGE_LOCALE = "en-US"
"""Language of the gallery images."""
_DEFAULT_IMAGE = "microsoftwindowsdesktop_windows-11_win11-24h2-ent"
_PART = "[0-9A-Za-z][-0-9A-Za-z.]*"
_GALLERY_IMAGE = f"^{_PART}_{_PART}_{_PART}$"
MAX_PLACES = 10
"""How many places, and so connections, a policy may name."""
MAX_ASSIGNMENTS = 50
"""How many groups a policy may be assigned to."""
_RANDOM_CHARACTERS = string.ascii_uppercase + string.digits


class UserAccountType(StrEnum):
    """What the user is on the Cloud PC."""

    STANDARD_USER = "standardUser"
    ADMINISTRATOR = "administrator"


class DomainJoinType(StrEnum):
    """How a Cloud PC joins, after Graph's `cloudPcDomainJoinType`."""

    AZURE_AD_JOIN = "azureADJoin"
    """Microsoft Entra join."""
    HYBRID_AZURE_AD_JOIN = "hybridAzureADJoin"
    """The Active Directory domain, and Microsoft Entra ID by its synchronisation."""


class DomainJoinConfiguration(GraphModel):
    """How and where the Cloud PC joins.

    With a `regionName` the Cloud PC sits in a Microsoft-hosted network: a virtual network of the worker's own
    subscription in that region, which is made when there is none. With an `onPremisesConnectionId` it sits
    in the subnet of that Azure network connection, and in its region.
    """

    domain_join_type: DomainJoinType = DomainJoinType.AZURE_AD_JOIN
    region_name: RegionName | None = None
    """Azure region, short name as Azure Resource Manager writes it."""
    on_premises_connection_id: ConnectionId | None = None
    """Id of an Azure network connection."""

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if self.domain_join_type == DomainJoinType.HYBRID_AZURE_AD_JOIN:
            if self.on_premises_connection_id is None or self.region_name is not None:
                raise ValueError("a hybridAzureADJoin needs onPremisesConnectionId, and no regionName")
        elif (self.region_name is None) == (self.on_premises_connection_id is None):
            raise ValueError("needs either regionName or onPremisesConnectionId; write one of them")
        return self

    @property
    def name(self) -> str:
        """The region or the connection."""
        return self.region_name or self.on_premises_connection_id or ""


class WindowsSetting(GraphModel):
    """Settings of Windows itself."""

    locale: Locale = IMAGE_LOCALE
    """Language tag of Windows, BCP 47; another than the image's own is installed when the Cloud PC is set up."""


class GalleryImage(GraphModel):
    """An Azure Marketplace image, named by Graph as `publisher_offer_sku`."""

    publisher: str
    offer: str
    sku: str


class CustomImage(GraphModel):
    """An image of the customer's own."""

    id: CustomImageId
    """ARM id of a managed image, of an image definition in a Compute Gallery (its newest version counts), or
    of a version of one."""


class Assignment(GraphModel):
    """A group whose members get Cloud PCs, after Graph's `cloudPcManagementGroupAssignmentTarget`."""

    group_id: Guid
    """Object id of an Entra security or Microsoft 365 group. Its own members count, not those of groups in it, as in
    Windows 365: https://learn.microsoft.com/windows-365/enterprise/create-provisioning-policy"""
    service_plan_id: ServicePlanName | None = None
    """Id of the service plan that every member gets; None: each member's licence says which."""


class ProvisioningPolicy(GraphModel):
    """How Cloud PCs are to be made, and for whom."""

    id: PolicyId
    """Stable identity of the policy; part of the id of every Cloud PC made from it, and with the region's name of the
    host pool's, which Azure limits to 64 characters."""
    display_name: DisplayName
    description: Annotated[str, Field(max_length=512)] = ""
    provisioning_type: Literal["dedicated"] = "dedicated"
    domain_join_configurations: Annotated[
        tuple[DomainJoinConfiguration, ...], Field(min_length=1, max_length=MAX_PLACES)
    ]
    """Where the Cloud PC may sit, in order of priority: the next one counts when a network cannot be used or
    a region has no capacity."""
    hybrid_join_timeout_in_minutes: Annotated[int, Field(ge=5, le=1440)] = 90
    """How long a hybrid-joined computer may take to be registered in Microsoft Entra ID.

    Source: https://learn.microsoft.com/windows-365/enterprise/provisioning-errors
    """
    capacity_reservation: bool = False
    """Whether Azure capacity is reserved before the VM is made, and kept for it as long as it lives."""
    image_type: Literal["gallery", "custom"] = "gallery"
    image_id: Annotated[str, Field(max_length=512, validate_default=True)] = _DEFAULT_IMAGE
    """Marketplace image as `publisher_offer_sku`; with the imageType `custom`, ARM id of an own image."""
    cloud_pc_naming_template: Annotated[str, Field(max_length=40)] = "CPC-%USERNAME:5%-%RAND:5%"
    """Template of the computer name: 5 to 15 characters of letters, digits and hyphens, a prefix of at
    most 10, `%USERNAME:x%` for the first x letters of the user name, `%RAND:y%` (required, y of at
    least 5) for random characters."""
    windows_setting: WindowsSetting = WindowsSetting()
    user_account_type: UserAccountType = UserAccountType.STANDARD_USER
    enable_single_sign_on: bool = False
    assignments: Annotated[tuple[Assignment, ...], Field(max_length=MAX_ASSIGNMENTS)] = ()
    """The groups whose members get a Cloud PC; for who is in several, the first one counts."""
    grace_period_in_hours: GracePeriodInHours = 168
    """How long a user keeps the Cloud PC after losing the licence or leaving the groups; 7 days, as in Windows 365."""
    grace_period_ceiling: Annotated[int, Field(ge=0)] = 10
    """How many Cloud PCs one reconciliation may put into their grace period without an admin's `proceed`."""
    reconcile_interval_in_minutes: Annotated[int, Field(ge=1, le=10080)] = 60
    """How often groups and licences are looked at, besides after `apply` and on demand."""

    @field_validator("cloud_pc_naming_template")
    @classmethod
    def _template_follows_the_rules(cls, template: str) -> str:
        macros = list(_MACRO.finditer(template))
        names = [macro["name"].upper() for macro in macros]
        if unknown := set(names) - {"USERNAME", "RAND"}:
            raise ValueError(f"%{min(unknown)}% is not a macro; use %USERNAME:x% and %RAND:y%")
        rest = _MACRO.sub("", template)
        if not re.fullmatch(r"[A-Za-z0-9-]*", rest):
            raise ValueError("only letters, digits, hyphens, %USERNAME:x% and %RAND:y% are allowed")
        if names.count("RAND") != 1 or names.count("USERNAME") > 1:
            raise ValueError("needs %RAND:y% once and may hold %USERNAME:x% once")
        lengths = {macro["name"].upper(): int(macro["length"]) for macro in macros}
        if lengths["RAND"] < 5:
            raise ValueError("%RAND:y% needs y of at least 5")
        if lengths.get("USERNAME", 1) < 1:
            raise ValueError("%USERNAME:x% needs x of at least 1")
        prefix = template[: macros[0].start()]
        if len(prefix) > 10:
            raise ValueError(f"the prefix {prefix} is longer than 10 characters")
        total = len(rest) + sum(lengths.values())
        if not 5 <= total <= MAX_COMPUTER_NAME:
            raise ValueError(f"makes names of {total} characters; 5 to {MAX_COMPUTER_NAME} are allowed")
        if template.startswith("-") or template.endswith("-"):
            raise ValueError("must not begin or end with a hyphen")
        return template

    @field_validator("domain_join_configurations")
    @classmethod
    def _joins_are_alike_and_different(
        cls, configurations: tuple[DomainJoinConfiguration, ...]
    ) -> tuple[DomainJoinConfiguration, ...]:
        if len({configuration.domain_join_type for configuration in configurations}) > 1:
            raise ValueError("a policy has one domainJoinType; write a second policy for the other")
        if len(set(configurations)) < len(configurations):
            raise ValueError("the same regionName or onPremisesConnectionId stands twice; keep one")
        return configurations

    @field_validator("assignments")
    @classmethod
    def _groups_are_different(cls, assignments: tuple[Assignment, ...]) -> tuple[Assignment, ...]:
        groups = [assignment.group_id.casefold() for assignment in assignments]
        for group in groups:
            if groups.count(group) > 1:
                raise ValueError(f"the groupId {group} stands twice; keep one")
        return assignments

    @field_validator("image_id")
    @classmethod
    def _image_id_is_of_its_type(cls, image_id: str, info: ValidationInfo) -> str:
        image_type = info.data.get("image_type")
        wanted, example = (
            (CUSTOM_IMAGE_ID, "the ARM id of a managed image or of an image (version) in a Compute Gallery")
            if image_type == "custom"
            else (_GALLERY_IMAGE, f"publisher_offer_sku such as {_DEFAULT_IMAGE}")
        )
        if not re.fullmatch(wanted, image_id, re.ASCII):
            raise ValueError(f"{image_id!r} is no {image_type or 'gallery'} image; write {example}")
        return image_id

    @property
    def domain_join_type(self) -> DomainJoinType:
        """How the policy's Cloud PCs join."""
        return self.domain_join_configurations[0].domain_join_type

    @property
    def image(self) -> GalleryImage | CustomImage:
        """The image that `image_id` names."""
        if self.image_type == "custom":
            return CustomImage(id=self.image_id)
        publisher, offer, sku = self.image_id.split("_")
        return GalleryImage(publisher=publisher, offer=offer, sku=sku)

    def computer_name(self, user_name: str, chance: random.Random) -> str:
        """Return a computer name after the template.

        Args:
            user_name: The user's name before the `@`; what is no letter or digit is left out.
            chance: Source of the random characters; a workflow passes its own, which replays.

        """
        letters = re.sub(r"[^A-Za-z0-9]", "", user_name)

        def expand(macro: re.Match[str]) -> str:
            length = int(macro["length"])
            if macro["name"].upper() == "USERNAME":
                return letters[:length]
            return "".join(chance.choices(_RANDOM_CHARACTERS, k=length))

        name = _MACRO.sub(expand, self.cloud_pc_naming_template).strip("-")
        # Windows refuses a name of digits alone.
        return name if not name.isdigit() else "C" + name[1:]

    def with_user_account_type(self, user_account_type: UserAccountType) -> Self:
        """Return the same policy with another account type, as Graph's `reprovision` takes one."""
        return self.model_copy(update={"user_account_type": user_account_type})
