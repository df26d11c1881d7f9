"""The Azure Virtual Desktop personal host pool by which users reach their Cloud PCs."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.mgmt.desktopvirtualization.models import (
    ApplicationGroup,
    HostPool,
    HostPoolPatch,
    RegistrationInfoPatch,
    Workspace,
    WorkspacePatch,
)

from cloud.arm.operations import found
from cloud.clients import CloudClients
from cloud.errors import not_yet
from cloud.execution.context import confide
from cloud.execution.shared import Shared
from domain import naming
from models.cloud_pc import CloudPcReference
from models.provisioning_policy import DomainJoinType
from models.types import ResourceId, same_id

_TOKEN_LIFETIME = timedelta(hours=24)
_TOKEN_RESERVE = timedelta(hours=2)
"""A registration token is renewed when it lives no longer than this: the agent uses it within minutes."""


@dataclass(frozen=True)
class RegistrationToken:
    """The secret by which a machine registers, and when it ends, which tells tokens apart."""

    token: str = field(repr=False)
    expiration_time: str


@dataclass(frozen=True)
class _Parts:
    """What a policy's Cloud PCs are reached by, as far as it exists; of the SDK's types."""

    pool: Any
    application_group: Any
    workspace: Any

    def are_complete(self, application_group_id: str) -> bool:
        """Tell whether all exist, and the workspace shows the application group."""
        return self.pool is not None and self.application_group is not None and self.shows(application_group_id)

    def shows(self, application_group_id: str) -> bool:
        """Tell whether the workspace exists and shows the application group."""
        references: list[str] = (self.workspace.application_group_references or []) if self.workspace else []
        return any(same_id(reference, application_group_id) for reference in references)


def session_host_name(host: Any) -> str:
    """Return the name by which operations know a session host; its `name` has the pool's before it."""
    return ResourceId.parse(host.id).name


class HostPools:
    """Host pools, one for each policy and region, with their application group and workspace.

    Sources: https://learn.microsoft.com/azure/virtual-desktop/add-session-hosts-host-pool and
    https://learn.microsoft.com/azure/virtual-desktop/configure-single-sign-on
    """

    def __init__(self, clients: CloudClients) -> None:
        self._client = clients.desktop_virtualization
        self._group = clients.settings.resource_group
        self._group_id = clients.settings.resource_group_id
        self._poll_interval = clients.settings.poll_interval
        self._parts = Shared(self._read_parts, seconds=60)

    async def ensure(self, cloud_pc: CloudPcReference, *, policy: str, single_sign_on: bool) -> None:
        """Make host pool, application group and workspace of the policy where they do not exist."""
        place = (cloud_pc.policy_id, cloud_pc.region)
        pool_name, workspace_name = naming.host_pool_name(*place), naming.workspace_name(*place)
        group_name, group_id = naming.application_group_name(*place), self.application_group_id(cloud_pc)
        names = (pool_name, group_name, workspace_name)
        is_entra_joined = cloud_pc.domain_join_type == DomainJoinType.AZURE_AD_JOIN

        def rdp(pool: Any) -> str:
            return _rdp_properties(pool.custom_rdp_property if pool else None, single_sign_on, is_entra_joined)

        parts = await self._parts(*names)
        if parts.are_complete(group_id) and parts.pool.custom_rdp_property == rdp(parts.pool):
            return
        parts = await self._parts(*names, fresh=True)
        tags = naming.shared_tags(cloud_pc.policy_id)
        pool: Any = parts.pool
        if pool is None:
            body = HostPool(
                location=cloud_pc.region,
                tags=tags,
                host_pool_type="Personal",
                personal_desktop_assignment_type="Direct",
                load_balancer_type="Persistent",
                preferred_app_group_type="Desktop",
                start_vm_on_connect=True,
                custom_rdp_property=rdp(pool),
                friendly_name=policy,
            )
            pool = await self._client.host_pools.create_or_update(self._group, pool_name, body)
        elif pool.custom_rdp_property != rdp(pool):
            await self._client.host_pools.update(self._group, pool_name, HostPoolPatch(custom_rdp_property=rdp(pool)))
        if parts.application_group is None:
            group = ApplicationGroup(
                location=cloud_pc.region,
                tags=tags,
                host_pool_arm_path=pool.id,
                application_group_type="Desktop",
                friendly_name=policy,
            )
            await self._client.application_groups.create_or_update(self._group, group_name, group)
        if parts.workspace is None:
            body = Workspace(
                location=cloud_pc.region, tags=tags, friendly_name=policy, application_group_references=[group_id]
            )
            await self._client.workspaces.create_or_update(self._group, workspace_name, body)
        elif not parts.shows(group_id):
            references: list[str] = [*(parts.workspace.application_group_references or []), group_id]
            patch = WorkspacePatch(application_group_references=references)
            await self._client.workspaces.update(self._group, workspace_name, patch)

    async def registration_token(self, cloud_pc: CloudPcReference) -> RegistrationToken:
        """Return the pool's registration token, which all its session hosts share.

        It is renewed only near its end, so that machines being registered at the same time share one.

        Raises:
            ApplicationError: `NotYet` while the pool shows none.

        """
        name = self.name_of(cloud_pc)
        current: Any = await self._client.host_pools.retrieve_registration_token(self._group, name)
        now = datetime.now(UTC)
        if not current.token or current.expiration_time is None or current.expiration_time < now + _TOKEN_RESERVE:
            renewal = RegistrationInfoPatch(
                expiration_time=now + _TOKEN_LIFETIME,
                registration_token_operation="Update",  # noqa: S106 - the name of an operation
            )
            await self._client.host_pools.update(self._group, name, HostPoolPatch(registration_info=renewal))
            current = await self._client.host_pools.retrieve_registration_token(self._group, name)
        if not current.token or current.expiration_time is None:
            raise not_yet(f"{name} shows no registration token", self._poll_interval)
        return RegistrationToken(confide(current.token), current.expiration_time.isoformat())

    async def session_host(self, cloud_pc: CloudPcReference, *, everywhere: bool = False) -> Any:
        """Return the session host of the Cloud PC's machine, or None.

        It has the computer's name, a domain's behind it; by that name it is asked for, since the list is long.

        Args:
            cloud_pc: Whose it is.
            everywhere: Look through all session hosts of the pool, whatever their names.

        """
        name, pool = cloud_pc.computer_name, self.name_of(cloud_pc)
        # Not found is also what there is while no host pool has been made yet.
        if not everywhere and cloud_pc.domain_join_type == DomainJoinType.AZURE_AD_JOIN:
            host = await found(self._client.session_hosts.get(self._group, pool, name))
            return host if host is not None and _is_of_machine(host, name) else None
        return await found(self._listed_session_host(pool, name))

    async def _listed_session_host(self, pool: str, computer_name: str) -> Any:
        async for host in self._client.session_hosts.list(self._group, pool):
            if _is_of_machine(host, computer_name):
                return host
        return None

    async def remove_session_host(self, cloud_pc: CloudPcReference, name: str) -> bool:
        """Remove a session host from the Cloud PC's pool and return whether it was there.

        By force: one with an assigned user is not removed otherwise.
        """
        hosts = self._client.session_hosts
        try:
            await hosts.delete(self._group, self.name_of(cloud_pc), name, force=True)
        except ResourceNotFoundError:
            return False
        return True

    @staticmethod
    def name_of(cloud_pc: CloudPcReference) -> str:
        """Return the name of the Cloud PC's host pool."""
        return naming.host_pool_name(cloud_pc.policy_id, cloud_pc.region)

    def application_group_id(self, cloud_pc: CloudPcReference) -> str:
        """Return the ARM id of the policy's application group."""
        return naming.application_group_id(self._group_id, cloud_pc.policy_id, cloud_pc.region)

    async def _read_parts(self, pool: str, application_group: str, workspace: str) -> _Parts:
        return _Parts(
            pool=await found(self._client.host_pools.get(self._group, pool)),
            application_group=await found(self._client.application_groups.get(self._group, application_group)),
            workspace=await found(self._client.workspaces.get(self._group, workspace)),
        )


def _is_of_machine(host: Any, computer_name: str) -> bool:
    return (host.resource_id or "").casefold().endswith(f"/virtualMachines/{computer_name}".casefold())


def _rdp_properties(existing: str | None, single_sign_on: bool, is_entra_joined: bool) -> str:
    """Return the RDP properties with ours among them; what an admin has added stays.

    Without single sign-on, clients that are not joined to Entra ID need to be told that the host is.
    """
    wanted = {
        "enablerdsaadauth": f"i:{int(single_sign_on)}",
        "targetisaadjoined": f"i:{int(is_entra_joined and not single_sign_on)}",
    }
    parts = [part for part in (existing or "").split(";") if part]
    kept = [part for part in parts if part.partition(":")[0].lower() not in wanted]
    return "".join(f"{part};" for part in [*kept, *(f"{name}:{value}" for name, value in wanted.items())])
