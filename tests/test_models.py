"""Computer names, and how plans are found."""

import random
import re

import pytest

from models.documents import load_service_plans
from models.provisioning_policy import ProvisioningPolicy


def named(template: str, user: str = "ada.lovelace") -> str:
    policy = ProvisioningPolicy.model_validate(
        {
            "id": "p",
            "displayName": "P",
            "domainJoinConfigurations": [{"regionName": "westeurope"}],
            "cloudPcNamingTemplate": template,
        }
    )
    return policy.computer_name(user, random.Random(7))


@pytest.mark.parametrize(
    ("template", "pattern"),
    [
        ("CPC-%USERNAME:5%-%RAND:5%", r"CPC-adalo-[A-Z0-9]{5}"),
        ("%RAND:15%", r"[A-Z0-9]{15}"),
        ("pc%rand:5%%username:3%", r"pc[A-Z0-9]{5}ada"),
    ],
)
def test_computer_name_follows_the_template(template: str, pattern: str) -> None:
    assert re.fullmatch(pattern, named(template))


def test_a_user_name_without_letters_leaves_no_hyphen_at_the_end() -> None:
    assert not named("%RAND:5%-%USERNAME:3%", user="---").endswith("-")


def test_the_same_chance_gives_the_same_name() -> None:
    assert named("CPC-%RAND:8%") == named("CPC-%RAND:8%")


def test_plans_are_found_by_id_and_by_guid() -> None:
    catalogue = load_service_plans()
    assert catalogue.find("cpc_e_4c_16gb_256gb") == catalogue.find("9ecf691d-8b82-46cb-b254-cd061b2c02fb")
    assert catalogue.find("nothing") is None
