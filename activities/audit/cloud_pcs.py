"""What the Cloud PCs that there are say of themselves."""

from collections.abc import Mapping
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowQueryFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.audit.readers.devices import AT_ONCE
from cloud.concurrency import each
from contract import search_attributes
from domain.audit import Fleet
from models.cloud_pc import CloudPc

_ANSWER_WITHIN = timedelta(seconds=10)


async def ask_fleet(client: Client) -> Fleet:
    """Ask every Cloud PC how it is.

    Raises:
        RPCError: They cannot be listed, without which nothing can be judged.

    """
    names = {
        execution.id: execution.typed_search_attributes.get(search_attributes.COMPUTER_NAME) or ""
        async for execution in client.list_workflows(search_attributes.RUNNING)
    }
    return await ask(client, names, Fleet((), {}, activity.info().started_time))


async def ask(client: Client, names: Mapping[str, str], fleet: Fleet) -> Fleet:
    """Return the fleet with what these Cloud PCs say now in place of what they said.

    Args:
        client: The worker's client.
        names: Computer names by the Cloud PCs' ids.
        fleet: What was known before.

    """
    said = {pc.id: pc for pc in fleet.cloud_pcs if pc.id not in names}
    silent = {id: name for id, name in fleet.silent.items() if id not in names}

    async def ask_one(id: str) -> None:
        handle = client.get_workflow_handle(id)
        try:
            description = await handle.describe(rpc_timeout=_ANSWER_WITHIN)
            if description.status != WorkflowExecutionStatus.RUNNING:
                return
            # Where what is left of it is being removed right now, this fails.
            said[id] = await handle.query("cloud_pc", result_type=CloudPc, rpc_timeout=_ANSWER_WITHIN)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                silent[id] = names[id]
        except (WorkflowQueryFailedError, ApplicationError):
            silent[id] = names[id]

    await each(names, ask_one, at_once=AT_ONCE)
    return Fleet(tuple(said.values()), silent, fleet.since)
