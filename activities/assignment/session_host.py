"""Stage 3: the machine becomes a session host, and its user's own."""

from typing import Any

from azure.mgmt.desktopvirtualization.models import SessionHostPatch
from temporalio import activity

from cloud.arm.host_pools import HostPools, session_host_name
from cloud.arm.role_assignments import (
    DESKTOP_VIRTUALIZATION_USER,
    VIRTUAL_MACHINE_ADMINISTRATOR_LOGIN,
    VIRTUAL_MACHINE_USER_LOGIN,
    RoleAssignment,
    RoleAssignments,
)
from cloud.arm.run_commands import GuestScripts, script_text
from cloud.clients import CloudClients
from cloud.errors import not_yet
from contract import steps
from contract.activity import CloudPcInput, StepResult
from contract.assignment import AssignUserInput, GrantSignInInput, RegisterSessionHostInput, SessionHost
from models.provisioning_policy import DomainJoinType
from models.types import same_id

_USABLE = frozenset({"Available", "NeedsAssistance"})
"""States of a session host that a user can connect to."""
_ATTEMPTS_PER_SEARCH = 10
"""How often a session host is asked for by its name before it is looked for among all."""


class Assignment:
    """Makes a Cloud PC reachable for its user, and for nobody else.

    Source: https://learn.microsoft.com/azure/virtual-desktop/configure-host-pool-personal-desktop-assignment-type
    """

    def __init__(self, clients: CloudClients) -> None:
        self._session_hosts = clients.desktop_virtualization.session_hosts
        self._group = clients.settings.resource_group
        self._poll_interval = clients.settings.poll_interval
        self._pools = HostPools(clients)
        self._scripts = GuestScripts(clients)
        self._roles = RoleAssignments(clients)

    @steps.REGISTER_SESSION_HOST.implemented_by
    async def register_session_host(self, request: RegisterSessionHostInput) -> SessionHost:
        """Return the machine's session host, once it is available.

        Raises:
            ApplicationError: `NotYet` until the host pool shows it available.

        """
        cloud_pc = request.cloud_pc
        host = await self._pools.session_host(cloud_pc)
        if host is None:
            await self._pools.ensure(
                cloud_pc, policy=request.policy_display_name, single_sign_on=request.enable_single_sign_on
            )
            token = await self._pools.registration_token(cloud_pc)
            await self._scripts.run(
                cloud_pc,
                "install-avd-agent",
                script_text("activities.assignment", "install_avd_agent.ps1"),
                secrets={"RegistrationToken": token.token},
                # A token that another machine's registration renewed at the same moment may be dead.
                revision=token.expiration_time,
            )
            everywhere = activity.info().attempt % _ATTEMPTS_PER_SEARCH == 0
            host = await self._pools.session_host(cloud_pc, everywhere=everywhere)
        self._require_usable(host, cloud_pc.computer_name)
        pool, name = self._pools.name_of(cloud_pc), session_host_name(host)
        return SessionHost(host_pool=pool, name=name, detail=f"{name} in {pool} is {host.status}")

    @steps.GRANT_SIGN_IN.implemented_by
    async def grant_sign_in(self, request: GrantSignInInput) -> StepResult:
        """Give the user the desktop, and the right to sign in to the machine, which a domain gives by itself."""
        user_id = request.cloud_pc.user_id
        login = VIRTUAL_MACHINE_ADMINISTRATOR_LOGIN if request.administrator else VIRTUAL_MACHINE_USER_LOGIN
        application_group = self._pools.application_group_id(request.cloud_pc)
        await self._roles.grant(RoleAssignment(application_group, DESKTOP_VIRTUALIZATION_USER, user_id))
        if request.cloud_pc.domain_join_type == DomainJoinType.HYBRID_AZURE_AD_JOIN:
            return StepResult(detail="Desktop Virtualization User; the domain lets its users sign in")
        await self._roles.grant(RoleAssignment(request.virtual_machine_id, login, user_id))
        kind = "Administrator" if request.administrator else "User"
        return StepResult(detail=f"Desktop Virtualization User, Virtual Machine {kind} Login")

    @steps.ASSIGN_USER.implemented_by
    async def assign_user(self, request: AssignUserInput) -> StepResult:
        """Assign the session host to the user and see that it is.

        Raises:
            ApplicationError: `NotYet` while the host is not available.

        """
        cloud_pc, user = request.cloud_pc, request.user_principal_name
        ids = (self._group, self._pools.name_of(cloud_pc), request.session_host)
        host: Any = await self._session_hosts.get(*ids)
        if not same_id(host.assigned_user, user):
            host = await self._session_hosts.update(*ids, session_host=SessionHostPatch(assigned_user=user))
        self._require_usable(host, cloud_pc.computer_name)
        return StepResult(detail=f"{request.session_host} is {host.status} and assigned to {user}")

    @steps.REMOVE_RUN_COMMANDS.implemented_by
    async def remove_run_commands(self, request: CloudPcInput) -> StepResult:
        """Remove the run commands from the VM."""
        return StepResult(detail=f"{await self._scripts.remove(request.cloud_pc)} removed")

    def _require_usable(self, host: Any, computer_name: str) -> None:
        if host is None or host.status not in _USABLE:
            status = "not registered" if host is None else host.status
            raise not_yet(f"the session host of {computer_name} is {status}", self._poll_interval)
