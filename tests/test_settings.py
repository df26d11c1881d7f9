"""The worker's configuration."""

import pytest

from cloud.clients import CloudClients, SignInError, cloud_clients
from cloud.settings import Settings, SettingsError

GOOD = {"AZURE_SUBSCRIPTION_ID": "11111111-2222-4333-8444-555555555555", "AZURE_RESOURCE_GROUP": "rg"}


def test_defaults_are_the_public_cloud() -> None:
    settings = Settings.from_environment(GOOD | {"HOME": "/root", "MICROSOFT_GRAPH_URL": ""})
    assert settings.resource_manager_url == "https://management.azure.com"
    assert settings.graph_url == "https://graph.microsoft.com"


@pytest.mark.parametrize(
    ("environment", "lines"),
    [
        ({}, ["AZURE_SUBSCRIPTION_ID: is not set", "AZURE_RESOURCE_GROUP: is not set"]),
        (GOOD | {"AZURE_SUBSCRIPTION_ID": "mine"}, ["AZURE_SUBSCRIPTION_ID: String should match"]),
        (GOOD | {"MICROSOFT_GRAPH_URL": "http://graph"}, ["MICROSOFT_GRAPH_URL: String should match"]),
        (
            GOOD | {"CLOUD_PC_DOMAIN_SECRETS": "hunter2-secret corp.net"},
            ["CLOUD_PC_DOMAIN_SECRETS: Value error, write"],
        ),
        (
            GOOD | {"CLOUD_PC_DOMAIN_SECRETS": "hunter2-secret corp.net a@corp.net"},
            ["CLOUD_PC_DOMAIN_SECRETS: String sh"],
        ),
        (
            GOOD | {"CLOUD_PC_ALLOWED_RESOURCES": "/subscriptions/a rg"},
            ["CLOUD_PC_ALLOWED_RESOURCES: Value error, 'rg'"],
        ),
        (GOOD | {"CLOUD_PC_POLL_INTERVAL": "soon"}, ["CLOUD_PC_POLL_INTERVAL: Input should be a valid number"]),
    ],
)
def test_errors_name_the_variable_one_line_each(environment: dict[str, str], lines: list[str]) -> None:
    with pytest.raises(SettingsError) as wrong:
        Settings.from_environment(environment)
    said = str(wrong.value).splitlines()
    assert len(said) == len(lines)
    assert all(actual.startswith(expected) for actual, expected in zip(said, lines, strict=True))
    assert "hunter2" not in str(wrong.value), "somebody may write the secret itself"


OWN = f"/subscriptions/{GOOD['AZURE_SUBSCRIPTION_ID']}/resourceGroups"


@pytest.mark.parametrize(
    ("id", "is_allowed"),
    [
        (f"{OWN}/rg", True),
        (f"{OWN}/RG/providers/Microsoft.Compute/images/golden".upper(), True),
        (f"{OWN}/rg-2", False),
        (f"{OWN}/net/providers/Microsoft.Network/virtualNetworks/v/subnets/a", True),
        (f"{OWN}/net/providers/Microsoft.Network/virtualNetworks/v2/subnets/a", False),
        (f"{OWN}/net", False),
    ],
)
def test_what_is_allowed_is_known_by_whole_parts_of_ids_in_any_case(id: str, is_allowed: bool) -> None:
    network = f"{OWN}/Net/providers/Microsoft.Network/virtualNetworks/V"
    settings = Settings.from_environment(GOOD | {"CLOUD_PC_ALLOWED_RESOURCES": network})
    assert settings.allows(id) == is_allowed


async def test_a_wrong_client_secret_is_said_at_start(clients: CloudClients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong-and-never-shown")
    with pytest.raises(SignInError) as wrong:
        async with cloud_clients(clients.settings):
            pass
    assert "AZURE_CLIENT_SECRET" in str(wrong.value) and "AADSTS7000215" in str(wrong.value)
    assert "wrong-and-never-shown" not in str(wrong.value) and "\n" not in str(wrong.value)
