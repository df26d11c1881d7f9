"""Every constrained string of the models, and the one parser of ARM ids.

Names of resources have the characters and the length that Azure Resource Manager allows.
Source: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
"""

import re
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import AfterValidator, Field

_GUID = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_ONE_LINE = r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]*"


def _ascii(text: str) -> str:
    if not text.isascii():
        raise ValueError("has a character that is not of ASCII; write its name in Azure")
    return text


_ASCII = AfterValidator(_ascii)
"""For a pattern that ignores case: it would take the Kelvin sign for a K, which Azure does not."""

Guid = Annotated[str, Field(pattern=f"^{_GUID}$")]
"""Object id of Entra ID, subscription id, or another GUID."""
LowerCaseGuid = Annotated[str, Field(pattern=f"^{_GUID}$"), AfterValidator(str.lower)]
"""A GUID as Microsoft Graph writes it in its answers, whatever case it was written in."""
UserName = Annotated[str, Field(pattern=rf"^([-A-Za-z0-9'._!#^~]+@[-A-Za-z0-9.]+|{_GUID})$", max_length=320)]
"""User principal name, or Entra object id.

Source of the characters: https://learn.microsoft.com/graph/api/resources/user
"""
CloudPcId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,99}$")]
CloudPcName = Annotated[str, Field(pattern=r"^[-A-Za-z0-9'._!#^~@]+$", max_length=320)]
"""What a Cloud PC can be called by: its id, its computer name, or its user's name or object id."""
StepName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")]
"""Name of a step, which is that of its activity."""
RolloutId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][-A-Za-z0-9]{0,99}$")]
Reason = Annotated[str, Field(pattern=f"^{_ONE_LINE}$", max_length=500)]
"""Why something was asked for, in one line."""
Requester = Annotated[str, Field(pattern=f"^{_ONE_LINE}$", max_length=200)]
"""Who asked for something, as they say themselves."""
PolicyId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,39}$", examples=["engineering"])]
RegionName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{2,19}$", examples=["westeurope"])]
ConnectionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,63}$", examples=["headquarters"])]
ServicePlanName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", examples=["CPC_E_2C_8GB_128GB"])]
VmSize = Annotated[str, Field(pattern=r"^(Standard|Basic)_[A-Za-z0-9_-]{1,60}$", examples=["Standard_D2as_v5"])]
GracePeriodInHours = Annotated[int, Field(ge=0, le=24 * 366)]
DisplayName = Annotated[str, Field(min_length=1, max_length=120, pattern=r'^[^<>&|"^\x00-\x1f\x7f-\x9f\u2028\u2029]*$')]
"""What people read, in one line: Graph refuses `<>&|"^`."""
Locale = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Z][a-z]{3})?-([A-Z]{2}|[0-9]{3})$", examples=["de-DE"])]
"""Language tag, BCP 47."""

_LABEL = r"[A-Za-z0-9-]{1,63}"
DomainName = Annotated[str, Field(pattern=rf"^{_LABEL}(\.{_LABEL})+$", max_length=64)]
"""Fully qualified name of an Active Directory domain, at most 64 characters.

Source: https://learn.microsoft.com/windows-server/identity/ad-ds/plan/active-directory-domain-services-maximum-limits
"""
JoinAccount = Annotated[str, Field(pattern=r"^[^@\s\\/\x00-\x1f\x7f-\x9f]{1,64}@[^@\s\x00-\x1f\x7f-\x9f]{1,255}$")]
"""User principal name of an account of Active Directory."""
_VALUE = r"[^,\x00-\x1f\x7f-\x9f\u2028\u2029]+"
OrganizationalUnit = Annotated[str, Field(pattern=rf"(?i)^(OU|CN)={_VALUE}(,(OU|CN|DC)={_VALUE})+$", max_length=1024)]
"""Distinguished name of a unit or container of Active Directory."""

_GROUP = rf"(?i)^/subscriptions/{_GUID}/resourceGroups/[-0-9A-Za-z_.()]{{0,89}}[-0-9A-Za-z_()]"
_NETWORK = _GROUP + r"/providers/Microsoft\.Network/virtualNetworks/[0-9A-Za-z][-0-9A-Za-z_.]{0,62}[0-9A-Za-z_]"
_IMAGE_NAME = "[0-9A-Za-z]([-0-9A-Za-z_.]{0,78}[0-9A-Za-z_])?"
_VERSION = r"[0-9]{1,10}(\.[0-9]{1,10}){2}"
_GALLERY_IMAGE = rf"galleries/{_IMAGE_NAME}/images/{_IMAGE_NAME}(/versions/{_VERSION})?"
ResourceGroupId = Annotated[str, Field(pattern=_GROUP + "$"), _ASCII]
"""ARM id of a resource group."""
VirtualNetworkId = Annotated[str, Field(pattern=_NETWORK + "$"), _ASCII]
"""ARM id of a virtual network."""
SubnetId = Annotated[str, Field(pattern=_NETWORK + r"/subnets/[0-9A-Za-z]([-0-9A-Za-z_.]{0,78}[0-9A-Za-z_])?$"), _ASCII]
"""ARM id of a subnet."""
CUSTOM_IMAGE_ID = rf"{_GROUP}/providers/Microsoft\.Compute/(images/{_IMAGE_NAME}|{_GALLERY_IMAGE})$"
"""Pattern of the ARM id of an image of the customer's own."""
CustomImageId = Annotated[str, Field(pattern=CUSTOM_IMAGE_ID), _ASCII]
VirtualMachineId = Annotated[str, Field(pattern=_GROUP + r"/providers/Microsoft\.Compute/virtualMachines/[^/]+$")]
"""ARM id of a virtual machine: a step that was completed by hand may give anything."""


@dataclass(frozen=True)
class ResourceId:
    """A parsed ARM id. Compare its parts without regard to case, as Azure does.

    Attributes:
        subscription: GUID of the subscription; empty for an id of the tenant.
        resource_group: Name of the resource group; empty for an id of the subscription.
        parts: Types and names from the outermost resource to the one that the id names, such as
            `(("virtualNetworks", "vnet"), ("subnets", "default"))`.
        provider: Namespace of the innermost resource, such as `Microsoft.Network`; empty for a group or subscription.

    Source: https://learn.microsoft.com/rest/api/resources/resources/get-by-id
    """

    subscription: str
    resource_group: str
    parts: tuple[tuple[str, str], ...] = ()
    provider: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an ARM id.

        Raises:
            ValueError: It is none.

        """
        words = text.split("/")
        if len(words) < 3 or words[0] or not all(words[1:]) or len(words) % 2 == 0:
            raise ValueError(f"{text[:200]!r} is no ARM id")
        subscription = resource_group = provider = ""
        parts: list[tuple[str, str]] = []
        for kind, name in zip(words[1::2], words[2::2], strict=True):
            match kind.casefold():
                case "subscriptions" if not provider and not subscription:
                    subscription = name
                case "resourcegroups" if not provider and subscription and not resource_group:
                    resource_group = name
                case "providers":
                    provider = name
                case _ if not provider:
                    raise ValueError(f"{text[:200]!r} is no ARM id: {kind} stands before its provider")
                case _:
                    parts.append((kind, name))
        if provider and not parts:
            raise ValueError(f"{text[:200]!r} is no ARM id: the provider is followed by no resource")
        return cls(subscription, resource_group, tuple(parts), provider)

    @property
    def name(self) -> str:
        """Name of the innermost resource, or of the resource group."""
        return self.parts[-1][1] if self.parts else self.resource_group

    @property
    def group_id(self) -> str:
        """ARM id of the resource group, in the case in which it was written."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"

    def of(self, kind: str) -> str:
        """Return the name of the resource of this type, such as `virtualNetworks`; empty where the id has none."""
        return next((name for each, name in self.parts if each.casefold() == kind.casefold()), "")


def parent_id(id: str) -> str:
    """Return the ARM id of the resource that a child resource, such as a subnet, belongs to."""
    return "/".join(id.split("/")[:-2])


def same_id(first: str | None, second: str | None) -> bool:
    """Tell whether two ARM ids or names of Azure are the same; Azure ignores their case."""
    return (first or "").casefold() == (second or "").casefold()


def is_guid(text: str) -> bool:
    """Tell whether a text is a GUID."""
    return re.fullmatch(_GUID, text) is not None


def is_cloud_pc_id(text: str) -> bool:
    """Tell whether a text can be the id of a Cloud PC or of a policy."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,99}", text) is not None
