"""Policies and service plans in YAML, and what is said of a wrong one."""

import csv
import json
from pathlib import Path

import pytest

from models.documents import DOCUMENT_TYPES, DocumentError, json_schema, load_policy, load_service_plans

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


@pytest.mark.parametrize("name", DOCUMENT_TYPES)
def test_committed_schema_is_in_step(name: str) -> None:
    """Write it anew: python -m tests.test_documents."""
    committed = json.loads((EXAMPLES / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))
    assert committed == json_schema(DOCUMENT_TYPES[name])


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


if __name__ == "__main__":
    for schema_name, model in DOCUMENT_TYPES.items():
        text = json.dumps(json_schema(model), indent=2) + "\n"
        (EXAMPLES / "schemas" / f"{schema_name}.schema.json").write_text(text, encoding="utf-8")
