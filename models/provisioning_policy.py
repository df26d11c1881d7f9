"""The provisioning policy: how Cloud PCs are to be made, in the field names of Microsoft Graph.

Source: https://learn.microsoft.com/graph/api/resources/cloudpcprovisioningpolicy and
https://learn.microsoft.com/windows-365/enterprise/create-provisioning-policy
"""

import random
import re
import string
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator

from models.base import GraphModel

MAX_COMPUTER_NAME = 15
"""Longest NetBIOS name of a computer, characters."""
_MACRO = re.compile(r"%(?P<name>[A-Za-z]+):(?P<length>\d+)%")
_RANDOM_CHARACTERS = string.ascii_uppercase + string.digits


class UserAccountType(StrEnum):
    """What the user is on the Cloud PC."""

    STANDARD_USER = "standardUser"
    ADMINISTRATOR = "administrator"


class DomainJoinConfiguration(GraphModel):
    """How and where the Cloud PC joins.

    With `azureADJoin` and a `regionName` the Cloud PC sits in a Microsoft-hosted network: a virtual
    network of this subscription in that region, which is made when there is none.
    """

    domain_join_type: Literal["azureADJoin"] = "azureADJoin"
    region_name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{2,39}$", examples=["westeurope"])]
    """Azure region, short name as Azure Resource Manager writes it."""


class WindowsSetting(GraphModel):
    """Settings of Windows itself."""

    locale: Literal["en-US"] = "en-US"
    """Language tag of Windows, BCP 47; the gallery images speak this one."""


class GalleryImage(GraphModel):
    """An Azure Marketplace image, named by Graph as `publisher_offer_sku`."""

    publisher: str
    offer: str
    sku: str


class ProvisioningPolicy(GraphModel):
    """How Cloud PCs are to be made."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,39}$", examples=["engineering"])]
    """Stable identity of the policy; part of the id of every Cloud PC made from it."""
    display_name: Annotated[str, Field(min_length=1, max_length=120, pattern=r'^[^<>&|"^]*$')]
    description: Annotated[str, Field(max_length=512)] = ""
    provisioning_type: Literal["dedicated"] = "dedicated"
    domain_join_configurations: Annotated[tuple[DomainJoinConfiguration, ...], Field(min_length=1, max_length=1)]
    image_type: Literal["gallery"] = "gallery"
    image_id: Annotated[str, Field(pattern=r"^[^_\s]+_[^_\s]+_[^_\s]+$")] = (
        "microsoftwindowsdesktop_windows-11_win11-24h2-ent"
    )
    """Marketplace image as `publisher_offer_sku`."""
    cloud_pc_naming_template: str = "CPC-%USERNAME:5%-%RAND:5%"
    """Template of the computer name: 5 to 15 characters of letters, digits and hyphens, a prefix of at
    most 10, `%USERNAME:x%` for the first x letters of the user name, `%RAND:y%` (required, y of at
    least 5) for random characters."""
    windows_setting: WindowsSetting = WindowsSetting()
    user_account_type: UserAccountType = UserAccountType.STANDARD_USER
    enable_single_sign_on: bool = False

    @field_validator("cloud_pc_naming_template")
    @classmethod
    def _template_follows_the_rules(cls, template: str) -> str:
        macros = list(_MACRO.finditer(template))
        names = [macro["name"].upper() for macro in macros]
        if unknown := set(names) - {"USERNAME", "RAND"}:
            raise ValueError(f"%{unknown.pop()}% is not a macro; use %USERNAME:x% and %RAND:y%")
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

    @property
    def domain_join(self) -> DomainJoinConfiguration:
        """The domain join configuration in use."""
        return self.domain_join_configurations[0]

    @property
    def gallery_image(self) -> GalleryImage:
        """The Marketplace image that `image_id` names."""
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
