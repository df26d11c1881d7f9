"""The permissions are well-formed, and the commands that grant them too."""

import json
import re
import shlex

import pytest

from domain import permissions
from domain.permissions import AZURE_ACTIONS, GRAPH_PERMISSIONS, AzureScope, GraphPermission
from models.doctor import Identity
from models.types import is_guid

PERSON = Identity(object_id="object", client_id="client", is_managed=False)
MANAGED = PERSON.model_copy(update={"is_managed": True})


def test_graph_permissions_are_application_roles_each_once() -> None:
    ids = [permission.app_role_id for permission in GRAPH_PERMISSIONS]
    names = [permission.name for permission in GRAPH_PERMISSIONS]
    assert all(is_guid(id) and id == id.lower() for id in ids)
    assert len(set(ids)) == len(ids) and len(set(names)) == len(names)
    for permission in GRAPH_PERMISSIONS:
        assert re.fullmatch(r"[A-Z]\w+(\.[A-Z]\w+)+", permission.name)
        assert permission.name not in permission.stronger


@pytest.mark.parametrize("scope", AzureScope)
def test_actions_are_well_formed_each_once_and_have_a_purpose(scope: AzureScope) -> None:
    actions = AZURE_ACTIONS[scope]
    names = [action.name.casefold() for action in actions]
    assert len(set(names)) == len(names)
    for action in actions:
        assert re.fullmatch(r"Microsoft\.\w+(/\w+)+/(read|write|delete|action)", action.name)
        assert action.purpose and not action.purpose.startswith("Microsoft.")


def test_only_a_reservation_needs_what_is_for_reservations() -> None:
    for actions in AZURE_ACTIONS.values():
        for action in actions:
            assert (action.only_for == "capacityReservation") == ("capacityReservation" in action.name)
            assert action.only_for in ("", "capacityReservation")


def test_an_application_is_granted_it_and_then_consents() -> None:
    permission = GRAPH_PERMISSIONS[0]
    add, consent = (shlex.split(command) for command in permission.grant_command(PERSON).split("&&"))
    assert add[:5] == ["az", "ad", "app", "permission", "add"]
    assert dict(zip(add[5::2], add[6::2], strict=True)) == {
        "--id": "client",
        "--api": permissions.MICROSOFT_GRAPH,
        "--api-permissions": f"{permission.app_role_id}=Role",
    }
    assert consent == ["az", "ad", "app", "permission", "admin-consent", "--id", "client"]


@pytest.mark.parametrize("permission", GRAPH_PERMISSIONS, ids=lambda permission: permission.name)
def test_a_managed_identity_is_granted_it_by_a_request(permission: GraphPermission) -> None:
    # What the shell would ask the Azure CLI for.
    resource = f"$(az ad sp show --id {permissions.MICROSOFT_GRAPH} --query id -o tsv)"
    command = permission.grant_command(MANAGED)
    assert command.count(resource) == 1
    words = shlex.split(command.replace(resource, "graph"))
    options = dict(zip(words[2::2], words[3::2], strict=True))
    assert words[:2] == ["az", "rest"]
    assert set(options) == {"--method", "--url", "--body"}
    assert options["--method"] == "post"
    assert options["--url"] == "https://graph.microsoft.com/v1.0/servicePrincipals/object/appRoleAssignments"
    assert json.loads(options["--body"]) == {
        "principalId": "object",
        "resourceId": "graph",
        "appRoleId": permission.app_role_id,
    }
