"""Ids and names: what the models accept is legal wherever it is used further down."""

import random
import re
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain import naming
from models.azure_network_connection import AzureNetworkConnection
from models.cloud_pc import CloudPcReference, CloudPcRequest, User
from models.documents import load_service_plans
from models.provisioning_policy import CustomImage, ProvisioningPolicy
from tests.properties.strategies import ODD_TEXTS, TEXTS, examples, near_misses
from tests.properties.test_documents import CONNECTIONS, FIELDS, POLICIES, SUBSCRIPTION

USER_ID = "8c1b2f54-6a0e-4b53-9d55-1d5a0a0f8f11"
PLAN = load_service_plans().service_plans[0]
HOST_POOL_NAME = re.compile(r"[A-Za-z0-9@.\-_ ]{3,64}")
"""Of host pools, application groups and workspaces: Microsoft.DesktopVirtualization 2024-04-03, hostPoolName."""
RESOURCE_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,78}[A-Za-z0-9_])?")
"""Of most resources: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules."""
COMPUTER_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9]{0,13}[A-Za-z0-9])?")
TAG_VALUE = 256
MAX_WORKFLOW_ID = 1000
"""Of Temporal's server, `limit.maxIDLength`, bytes."""


def policy(**changes: Any) -> ProvisioningPolicy | None:
    """Return the policy, or None where it is refused."""
    fields = {
        "id": "engineering",
        "displayName": "Engineering",
        "domainJoinConfigurations": [{"regionName": "westeurope"}],
    }
    try:
        return ProvisioningPolicy.model_validate(fields | changes, extra="forbid", by_name=False)
    except ValidationError:
        return None


@given(
    policy_id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,50}", fullmatch=True) | TEXTS,
    region=st.from_regex(r"[a-z][a-z0-9]{0,45}", fullmatch=True) | TEXTS,
)
@examples(100)
@example(policy_id="x" * 40, region="y" * 20)
@example(policy_id="x" * 40, region="y" * 40)
@example(policy_id="x", region="yyy")
def test_what_is_named_after_policy_and_region(policy_id: str, region: str) -> None:
    made = policy(id=policy_id, domainJoinConfigurations=[{"regionName": region}])
    if made is None:
        return
    request = CloudPcRequest(
        id=f"{made.id}-{USER_ID}",
        policy=made,
        service_plan=PLAN,
        user=User(id=USER_ID, user_principal_name="ada@contoso.com", display_name="Ada"),
    )
    cloud_pc = CloudPcReference(
        cloud_pc_id=request.id, policy_id=made.id, user_id=USER_ID, computer_name="CPC-ADA-12345", region=region
    )
    for name in (naming.host_pool_name, naming.application_group_name, naming.workspace_name):
        assert HOST_POOL_NAME.fullmatch(name(made.id, region))
    for name in (naming.network_interface_name, naming.os_disk_name, naming.capacity_reservation_group_name):
        assert RESOURCE_NAME.fullmatch(name(cloud_pc.computer_name))
    assert RESOURCE_NAME.fullmatch(f"vnet-cloud-pc-{region}-9") and len(f"vnet-cloud-pc-{region}-999") <= 64
    assert all(0 < len(value) <= TAG_VALUE for value in naming.tags(cloud_pc).values())
    assert len(f"provision-{made.id}-{'x' * 320}".encode()) <= MAX_WORKFLOW_ID


def test_the_longest_policy_id_and_region_are_accepted() -> None:
    assert policy(id="x" * 40, domainJoinConfigurations=[{"regionName": "y" * 20}])
    # The longest names that Azure has.
    for region in ("germanywestcentral", "australiasoutheast", "southafricanorth", "northcentralusstage"):
        assert policy(domainJoinConfigurations=[{"regionName": region}])


TEMPLATES = st.lists(
    st.sampled_from(["CPC", "-", "%RAND:5%", "%RAND:7%", "%rand:05%", "%USERNAME:5%", "%USERNAME:1%", "%Username:3%"])
    | st.sampled_from(["%RAND:٥%", "%RAND:²%", "%RAND:99999999999999999999%", "%USERNAME:0%", "%", "1", "\n", "%RAND:"])
    | TEXTS,
    min_size=1,
    max_size=5,
).map("".join)


@given(template=TEMPLATES, user_name=TEXTS, seed=st.integers(0, 2**32))
@examples(150)
@example(template="%USERNAME:5%-%RAND:5%", user_name="___", seed=0)
@example(template="%RAND:5%-%USERNAME:9%", user_name="", seed=0)
@example(template="%RAND:10%%USERNAME:5%", user_name="12345", seed=0)
@example(template="%RAND:" + "9" * 5000 + "%", user_name="ada", seed=0)
@example(template="%RAND:٥%", user_name="ada", seed=0)
@example(template="%RAND:" + "0" * 4000 + "5%", user_name="ada", seed=0)
def test_computer_names(template: str, user_name: str, seed: int) -> None:
    made = policy(cloudPcNamingTemplate=template)
    if made is None:
        return
    name = made.computer_name(user_name, random.Random(seed))
    assert COMPUTER_NAME.fullmatch(name) and len(name) >= 5 and not name.isdigit()
    assert name == made.computer_name(user_name, random.Random(seed))
    assert template.isascii() and len(template) <= 40


def test_a_name_of_digits_alone_is_never_proposed() -> None:
    made = policy(cloudPcNamingTemplate="%RAND:5%")
    assert made is not None

    class Digits(random.Random):
        def choices(self, population: Any, *args: Any, k: int = 1, **kwargs: Any) -> list[Any]:
            return ["1"] * k

    assert made.computer_name("ada", Digits()) == "C1111"


IMAGE_PARTS = st.lists(
    st.sampled_from(["a", "win11-24h2", "..", ".", "/", "_", " ", "\n", "'", "?", "#", "%2f", "é", "x" * 200]) | TEXTS,
    min_size=1,
    max_size=6,
).map("".join)
ARM_PARTS = st.sampled_from(["rg", "..", ".", "a/b", "rg.", "a?b", "a#b", "a\nb", "rg\n", "a'b", "a b", "x" * 91, "é"])


@given(image_id=IMAGE_PARTS | st.lists(IMAGE_PARTS, min_size=3, max_size=3).map("_".join))
@examples(100)
@example(image_id=".._.._..")
@example(image_id="a_b_c\n")
@example(image_id="a/b_c_d")
def test_gallery_images(image_id: str) -> None:
    made = policy(imageId=image_id)
    if made is not None:
        parts = made.image.model_dump().values()
        assert "_".join(parts) == image_id
        assert all(is_one_segment(part) for part in parts)


@given(group=ARM_PARTS | TEXTS, image=ARM_PARTS | TEXTS, version=ARM_PARTS | st.sampled_from(["1.2.3", "latest", "1"]))
@examples(100)
@example(group="..", image="i", version="1.2.3")
@example(group="rg", image="i", version="..")
@example(group="rg", image="i\n", version="1.2.3")
@example(group="rg", image="\u0130", version="1.2.3")
@example(group="\u212a", image="i", version="1.2.3")
def test_custom_images(group: str, image: str, version: str) -> None:
    kinds = (f"images/{image}", f"galleries/g/images/{image}", f"galleries/g/images/{image}/versions/{version}")
    for kind in kinds:
        made = policy(
            imageType="custom", imageId=f"{SUBSCRIPTION}/resourceGroups/{group}/providers/Microsoft.Compute/{kind}"
        )
        if made is not None:
            assert isinstance(made.image, CustomImage)
            assert all(is_one_segment(segment) for segment in made.image.id.split("/")[1:])
            assert len(made.image.id.split("/")) == 7 + kind.count("/") + 1


def is_one_segment(text: str) -> bool:
    """Tell whether a name stays what it is in a URL's path and in an OData filter."""
    return text not in ("", ".", "..") and quote(text, safe="()") == text and len(text) <= 512


@given(near_misses(CONNECTIONS, FIELDS))
@examples(100)
@example(CONNECTIONS[0] | {"subnetId": CONNECTIONS[0]["subnetId"].replace("/rg/", "/../"), "resourceGroupId": None})
@example(CONNECTIONS[0] | {"subnetId": CONNECTIONS[0]["subnetId"].replace("/pcs", "/..")})
@example(CONNECTIONS[0] | {"adDomainUsername": "a\x00b@c"})
@example(CONNECTIONS[0] | {"adDomainPassword": {"keyVaultSecretId": "https://a@evil/secrets/x"}})
@example(CONNECTIONS[0] | {"adDomainPassword": {"keyVaultSecretId": "https://evil?x=#/secrets/x"}})
@example(CONNECTIONS[0] | {"organizationalUnit": "OU=a\u2028b,DC=c"})
@example(CONNECTIONS[0] | {"subnetId": CONNECTIONS[0]["subnetId"].replace("/pcs", "/\u212a"), "resourceGroupId": None})
def test_connections(content: dict[str, Any]) -> None:
    try:
        made = AzureNetworkConnection.model_validate(content, extra="forbid", by_name=False)
    except ValidationError:
        return
    for id in filter(None, (made.subnet_id, made.resource_group_id, made.virtual_network_id)):
        assert all(is_one_segment(segment) for segment in id.split("/")[1:])
    texts = (made.display_name, made.ad_domain_name, made.ad_domain_username, made.organizational_unit)
    for text in filter(None, texts):
        assert len(text.splitlines()) == 1 and "\x00" not in text and "\x1b" not in text and len(text) <= 1024
    vault = made.ad_domain_password and made.ad_domain_password.key_vault_secret_id
    if vault:
        url = urlsplit(vault)
        assert url.hostname and not url.username and not url.query and not url.fragment
        assert vault == f"https://{url.netloc}{url.path}"


@pytest.mark.parametrize("kind", [ProvisioningPolicy, AzureNetworkConnection])
@given(text=TEXTS | ODD_TEXTS)
@examples(40)
def test_what_people_read_is_one_line(kind: Any, text: str) -> None:
    content = (POLICIES if kind is ProvisioningPolicy else CONNECTIONS)[0]
    try:
        made = kind.model_validate(content | {"displayName": text})
    except ValidationError:
        return
    assert len(made.display_name.splitlines()) == 1 and not any(ord(c) < 32 for c in made.display_name)
