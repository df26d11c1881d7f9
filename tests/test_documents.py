"""Policies and service plans in YAML, and what is said of a wrong one."""

import csv
from pathlib import Path

import pytest

from models.azure_network_connection import UnusableConnectionError, connections_of
from models.documents import DocumentError, load_connection, load_policy, load_service_plans

EXAMPLES = Path(__file__).parent.parent / "examples"
PLANS_CSV = EXAMPLES.parent.parent / "shared" / "contracts" / "graph" / "windows365-service-plans.csv"
GOOD = """\
id: engineering
displayName: Engineering
domainJoinConfigurations:
  - domainJoinType: azureADJoin
    regionName: westeurope
"""


def errors(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "policy.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DocumentError) as wrong:
        load_policy(file)
    return [line.removeprefix(f"{file}:") for line in str(wrong.value).splitlines()]


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("policy*.yaml")), ids=lambda file: file.name)
def test_examples_are_right_and_point_editors_at_their_schema(file: Path) -> None:
    assert load_policy(file).id
    schema = file.read_text(encoding="utf-8").splitlines()[0].partition("$schema=")[2]
    assert (file.parent / schema).is_file()


def test_unknown_field(tmp_path: Path) -> None:
    assert errors(tmp_path, GOOD + "displayNam: x\n") == ["6: displayNam: no such field; did you mean displayName?"]


def test_missing_field(tmp_path: Path) -> None:
    assert errors(tmp_path, GOOD.replace("displayName: Engineering\n", "")) == ["1: displayName: missing; add it"]


def test_wrong_enum(tmp_path: Path) -> None:
    [line] = errors(tmp_path, GOOD + "userAccountType: administator\n")
    assert line == "6: userAccountType: 'administator' is not supported; did you mean administrator?"


def test_wrong_field_inside_a_list(tmp_path: Path) -> None:
    [line] = errors(tmp_path, GOOD.replace("regionName: westeurope", "regionName: West Europe"))
    assert line.startswith("5: domainJoinConfigurations[0].regionName: 'West Europe' does not match")


HYBRID = GOOD.replace("azureADJoin", "hybridAzureADJoin").replace(
    "regionName: westeurope", "onPremisesConnectionId: hq"
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            GOOD.replace("    regionName: westeurope\n", ""),
            "4: domainJoinConfigurations[0]: needs either regionName or",
        ),
        (GOOD + "    onPremisesConnectionId: hq\n", "4: domainJoinConfigurations[0]: needs either regionName or"),
        (
            HYBRID + "    regionName: westeurope\n",
            "4: domainJoinConfigurations[0]: a hybridAzureADJoin needs onPremises",
        ),
        (
            GOOD + HYBRID.partition("Configurations:\n")[2],
            "3: domainJoinConfigurations: a policy has one domainJoinType",
        ),
        (GOOD + GOOD.partition("Configurations:\n")[2], "3: domainJoinConfigurations: the same regionName"),
        (GOOD + "imageType: custom\n", "1: imageId: 'microsoftwindowsdesktop_windows-11_win11-24h2-ent' is no custom"),
        (GOOD + "imageId: win11\n", "6: imageId: 'win11' is no gallery image; write publisher_offer_sku"),
        (GOOD + "windowsSetting: {locale: german}\n", "6: windowsSetting.locale: 'german' does not match"),
        (GOOD + "hybridJoinTimeoutInMinutes: 2\n", "6: hybridJoinTimeoutInMinutes: input should be greater than"),
    ],
)
def test_wrong_policy(tmp_path: Path, text: str, problem: str) -> None:
    [line] = errors(tmp_path, text)
    assert line.startswith(problem), line


CONNECTION = """\
id: hq
displayName: Headquarters
subnetId: /subscriptions/11111111-2222-4333-8444-555555555555/resourceGroups/rg/providers/Microsoft.Network/\
virtualNetworks/vnet/subnets/pcs
adDomainName: corp.contoso.com
adDomainUsername: join@corp.contoso.com
adDomainPassword: {environmentVariable: CLOUD_PC_JOIN_PASSWORD}
"""
_OTHER = "99999999-2222-4333-8444-555555555555"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (CONNECTION.replace("{environmentVariable: CLOUD_PC_JOIN_PASSWORD}", "hunter2"), "6: adDomainPassword: "),
        (
            CONNECTION.replace("CLOUD_PC_JOIN_PASSWORD", "AZURE_CLIENT_SECRET"),
            "6: adDomainPassword.environmentVariable",
        ),
        (
            CONNECTION.replace("{environmentVariable: CLOUD_PC_JOIN_PASSWORD}", "{}"),
            "6: adDomainPassword: needs either",
        ),
        (
            CONNECTION.replace("adDomainName: corp.contoso.com\n", ""),
            "1: document: a hybridAzureADJoin needs adDomainName",
        ),
        (CONNECTION + "connectionType: azureADJoin\n", "1: document: only a hybridAzureADJoin joins a domain"),
        (CONNECTION + f"subscriptionId: {_OTHER}\n", "1: document: subnetId is of another subscription"),
        (
            CONNECTION + f"resourceGroupId: /subscriptions/{_OTHER}/resourceGroups/rg\n",
            "1: document: resourceGroupId and",
        ),
        (CONNECTION + "organizationalUnit: Cloud PCs\n", "7: organizationalUnit: 'Cloud PCs' does not match"),
    ],
)
def test_wrong_connection(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "connection.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DocumentError) as wrong:
        load_connection(file)
    [line] = str(wrong.value).splitlines()
    assert line.removeprefix(f"{file}:").startswith(problem), line
    assert "hunter2" not in line


def test_a_policy_needs_the_connections_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(HYBRID)
    (tmp_path / "connection.yaml").write_text(CONNECTION)
    policy, connection = load_policy(tmp_path / "policy.yaml"), load_connection(tmp_path / "connection.yaml")

    assert connections_of(policy, [connection]) == (connection,)
    with pytest.raises(UnusableConnectionError, match="no Azure network connection hq was given; give its file"):
        connections_of(policy, [])
    other = connection.model_copy(update={"id": "branch"})
    with pytest.raises(UnusableConnectionError, match="use one of: branch"):
        connections_of(policy, [other])
    for_entra = connection.model_copy(update={"connection_type": "azureADJoin"})
    with pytest.raises(UnusableConnectionError, match="is for azureADJoin, the policy for hybridAzureADJoin"):
        connections_of(policy, [for_entra])
    with pytest.raises(UnusableConnectionError, match="one id"):
        connections_of(policy, [connection, connection])


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("CPC-%RAND:4%", "y of at least 5"),
        ("CPC-12345", "%RAND:y% once"),
        ("CPC_%RAND:5%", "only letters, digits, hyphens"),
        ("LONGPREFIX12%RAND:5%", "longer than 10"),
        ("CPC-%USERNAME:10%-%RAND:5%", "20 characters"),
        ("CPC-%SERIAL:5%", "not a macro"),
        ("%RAND:5%-", "end with a hyphen"),
        ("%USERNAME:0%%RAND:5%", "x of at least 1"),
    ],
)
def test_bad_naming_template(tmp_path: Path, template: str, problem: str) -> None:
    [line] = errors(tmp_path, GOOD + f"cloudPcNamingTemplate: '{template}'\n")
    assert line.startswith("6: cloudPcNamingTemplate: ") and problem in line


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("id: [1,\n", "write valid YAML"),
        ("- a\n", "not a mapping"),
        ("", "not a mapping"),
        ("id: a\nid: b\n", "duplicate key"),
    ],
)
def test_not_a_policy_at_all(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in errors(tmp_path, text)[0]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="readable file"):
        load_policy(tmp_path / "absent.yaml")


def test_own_plans_add_and_override() -> None:
    built_in, merged = load_service_plans(), load_service_plans(EXAMPLES / "service-plans.yaml")
    assert len(merged.service_plans) == len(built_in.service_plans) + 1
    own = merged.find("cpc_e_2c_8gb_128gb")
    assert own is not None and own.vm_sizes[0] == "Standard_D2s_v5"


def test_a_plan_that_stands_twice(tmp_path: Path) -> None:
    plan = "  - {id: A, displayName: A, vCpuCount: 2, ramInGB: 8, storageInGB: 128, vmSizes: [Standard_D2s_v5]}\n"
    (tmp_path / "plans.yaml").write_text("servicePlans:\n" + plan + plan)
    with pytest.raises(DocumentError, match="stands twice"):
        load_service_plans(tmp_path / "plans.yaml")


@pytest.mark.skipif(not PLANS_CSV.exists(), reason="the published list of service plans is not beside the project")
def test_every_published_enterprise_plan_is_in_the_catalogue() -> None:
    catalogue = load_service_plans()
    with PLANS_CSV.open(encoding="utf-8") as file:
        published = [row for row in csv.DictReader(file) if row["skuPartNumber"].startswith("CPC_E_")]
    assert len(published) >= 12
    for row in published:
        plan = catalogue.find(row["skuPartNumber"])
        assert plan is not None and plan.service_plan_id == row["servicePlanId"]
