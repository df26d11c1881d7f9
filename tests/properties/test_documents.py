"""Files: a policy, a connection or a catalogue is right, or refused in lines that name file and field."""

import contextlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel
from ruamel.yaml import YAML

import starter
from models.azure_network_connection import AzureNetworkConnection
from models.documents import (
    DOCUMENT_TYPES,
    MAX_BYTES,
    MAX_DEPTH,
    DocumentError,
    load_connection,
    load_policy,
    load_service_plans,
)
from models.validation import MAX_MESSAGE, MAX_PROBLEMS
from tests.properties.strategies import TEXTS, examples, fit_to_print, near_misses

Load = Callable[[Path], BaseModel]
LOADERS: list[Load] = [load_policy, load_connection, load_service_plans]
SUBSCRIPTION = "/subscriptions/11111111-2222-4333-8444-555555555555"
POLICIES: list[dict[str, Any]] = [
    {
        "id": "engineering",
        "displayName": "Engineering",
        "description": "Two\nlines",
        "domainJoinConfigurations": [{"regionName": "westeurope"}, {"onPremisesConnectionId": "hq"}],
        "imageId": "microsoftwindowsdesktop_windows-11_win11-24h2-ent",
        "cloudPcNamingTemplate": "CPC-%USERNAME:5%-%RAND:5%",
        "windowsSetting": {"locale": "de-DE"},
        "userAccountType": "administrator",
        "enableSingleSignOn": True,
    },
    {
        "id": "x",
        "displayName": "X",
        "domainJoinConfigurations": [
            {"domainJoinType": "hybridAzureADJoin", "onPremisesConnectionId": "hq"},
        ],
        "hybridJoinTimeoutInMinutes": 5,
        "imageType": "custom",
        "imageId": f"{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Compute/galleries/g/images/i/versions/1.2.3",
    },
]
CONNECTIONS: list[dict[str, Any]] = [
    {
        "id": "hq",
        "displayName": "Headquarters",
        "resourceGroupId": f"{SUBSCRIPTION}/resourceGroups/rg",
        "subnetId": f"{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/vnet/subnets/pcs",
        "adDomainName": "corp.contoso.com",
        "adDomainUsername": "join@corp.contoso.com",
        "adDomainPassword": {"keyVaultSecretId": "https://contoso.vault.azure.net/secrets/join"},
        "organizationalUnit": "OU=Cloud PCs,DC=corp,DC=contoso,DC=com",
    }
]
PLANS: list[dict[str, Any]] = [
    {
        "servicePlans": [
            {
                "id": "A",
                "displayName": "A",
                "servicePlanId": "23a25099-1b2f-4e07-84bd-b84606109438",
                "vCpuCount": 2,
                "ramInGB": 8,
                "storageInGB": 128,
                "vmSizes": ["Standard_D2s_v5"],
            }
        ]
    }
]
FIELDS = st.sampled_from(
    [
        name
        for model in DOCUMENT_TYPES.values()
        for properties in [model.model_json_schema(), *model.model_json_schema().get("$defs", {}).values()]
        for name in properties.get("properties", {})
    ]
)
DOCUMENTS = (
    near_misses(POLICIES, FIELDS).map(lambda content: (load_policy, content))
    | near_misses(CONNECTIONS, FIELDS).map(lambda content: (load_connection, content))
    | near_misses(PLANS, FIELDS).map(lambda content: (load_service_plans, content))
)
PIECES = st.sampled_from(
    [
        "id: a\n",
        "displayName: b\n",
        "  - ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ": ",
        "? ",
        "*a",
        "&a ",
        "<<: ",
        "|\n",
        ">\n",
        "'",
        '"',
        "!!int ",
        "!!bool ",
        "!!float x",
        "!!timestamp ",
        "!!binary ",
        "!!set ",
        "!!omap ",
        "!foo ",
        "%YAML 1.1\n",
        "---\n",
        "...\n",
        "0x_",
        "2001-99-99",
        "9" * 5000,
        "0o9",
        ".inf",
        "~",
        "\t",
        "\n",
        " ",
        "#",
        "\\",
        "\ufeff",
        "domainJoinConfigurations:\n",
        "regionName: westeurope\n",
        '"\\ud800"',
        '"\\0"',
        "@",
        "`",
        "\x00",
        "\u2028",
    ]
)
ALIASES = "a: &a [x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("documents") / "document.yaml"


def written(content: Any) -> str:
    stream = io.StringIO()
    yaml = YAML()
    yaml.allow_unicode = True
    yaml.dump(content, stream)
    return stream.getvalue()


def outcome(load: Load, file: Path) -> BaseModel | list[str]:
    """Return the model, or what is said of the file, once that has been seen to be fit to print."""
    try:
        return load(file)
    except DocumentError as error:
        lines = str(error).split("\n")
        assert 1 <= len(lines) <= MAX_PROBLEMS + 1
        for line in lines:
            assert line.startswith(f"{file}:")
            assert len(line) <= len(str(file)) + 2 * MAX_MESSAGE + 20
            assert fit_to_print(line) and "Traceback" not in line and line.removeprefix(f"{file}:").strip()
        return lines


@given(load=st.sampled_from(LOADERS), content=st.binary(max_size=60) | st.lists(PIECES, max_size=12).map("".join))
@examples(80)
@example(load=load_policy, content="id: 2001-99-99")
@example(load=load_policy, content="id: " + "9" * 5000)
@example(load=load_policy, content="id: 0x_")
@example(load=load_policy, content="id: !!set")
@example(load=load_policy, content="id: !!bool x")
@example(load=load_policy, content="? [a, b]\n: c")
@example(load=load_policy, content='"a\\nb": c')
@example(load=load_policy, content='"\\ud800": c')
@example(load=load_policy, content="&a {? *a : 1}")
@example(load=load_policy, content="[" * 100_000)
@example(load=load_policy, content="- " * 100_000)
@example(load=load_policy, content="{a: " * 1000)
@example(load=load_policy, content="".join(f"k{number}: 1\n" for number in range(3000)))
@example(load=load_policy, content=ALIASES + "provisioningType: *j\n")
@example(load=load_policy, content=ALIASES + "? *j\n: 1\n")
@example(load=load_policy, content="provisioningType: 0x" + "f" * 5000)
def test_whatever_stands_in_a_file(file: Path, load: Load, content: bytes | str) -> None:
    file.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
    outcome(load, file)


@given(DOCUMENTS)
@examples(80)
def test_a_file_that_is_nearly_right(file: Path, document: tuple[Load, dict[str, Any]]) -> None:
    load, content = document
    file.write_text(written(content), encoding="utf-8", errors="surrogatepass")
    found = outcome(load, file)

    if isinstance(found, BaseModel):
        file.write_text(written(found.model_dump(mode="json", by_alias=True)), encoding="utf-8")
        assert load(file) == found
    elif not any(line.endswith("write valid YAML") for line in found):
        assert all(re.match(r":[0-9]+: [^ ].*: .", line.removeprefix(str(file))) for line in found), found


@given(near_misses(POLICIES[:1], FIELDS))
@examples(20)
@example({"id": "\x00"})
def test_check_ends_with_2_and_says_every_line_as_an_error(file: Path, content: dict[str, Any]) -> None:
    file.write_text(written(content), encoding="utf-8", errors="surrogatepass")
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        exit_code = starter.main(["check", str(file), "--connection", str(file)])

    # The policy is no connection, whether it is right or not.
    assert exit_code == starter.ExitCode.WRONG_INPUT
    assert all(line.startswith(f"error: {file}:") for line in said.getvalue().splitlines())


@given(TEXTS.filter(lambda secret: len(secret) > 3 and secret.isprintable() and secret.strip() == secret))
@examples(20)
@example("hunter2")
def test_a_secret_is_never_repeated(file: Path, secret: str) -> None:
    secret = f"5ecret{secret}"
    for place in (
        secret,
        {"keyVaultSecretId": secret},
        {"environmentVariable": secret},
        {"keyVaultSecretId": f"https://contoso.vault.azure.net/secrets/{secret}/"},
        [secret],
    ):
        file.write_text(written(CONNECTIONS[0] | {"adDomainPassword": place}), encoding="utf-8")
        found = outcome(load_connection, file)
        if not isinstance(found, AzureNetworkConnection):
            assert not any("5ecret" in line for line in found), place
    plain = written(CONNECTIONS[0]).rpartition("adDomainPassword")[0]
    for text in (f"adDomainPassword: *{secret}\n", f"adDomainPassword: '{secret}\nadDomainPassword: 5ecret-too\n"):
        file.write_text(plain + text, encoding="utf-8")
        found = outcome(load_connection, file)
        assert isinstance(found, list) and not any("5ecret" in line for line in found), text
    for password in (secret, "5ecret"):
        file.write_text(f"adDomainPassword: {json.dumps(password)}\nadDomainPassword: 5ecret-too\n", encoding="utf-8")
        found = outcome(load_connection, file)
        assert isinstance(found, list) and not any("5ecret" in line for line in found)


@pytest.mark.parametrize(
    ("size", "problem"), [(MAX_BYTES, "not a mapping"), (MAX_BYTES + 1, f"larger than {MAX_BYTES} bytes")]
)
def test_the_size_of_a_file_has_a_limit(file: Path, size: int, problem: str) -> None:
    file.write_bytes(b"x" * size)
    [line] = outcome(load_policy, file)
    assert problem in line


def test_the_depth_of_a_file_has_a_limit(file: Path) -> None:
    file.write_text("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))
    [line] = outcome(load_policy, file)
    assert f"nested deeper than {MAX_DEPTH} levels" in line


@pytest.mark.parametrize("path", ["/dev/zero", "/", "/nowhere/at\nall", "x" * 300])
def test_what_is_no_file(path: str) -> None:
    with pytest.raises(DocumentError) as wrong:
        load_policy(Path(path))
    assert len(str(wrong.value).splitlines()) == 1
