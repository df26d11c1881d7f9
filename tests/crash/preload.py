"""What a worker imports sooner or later, for the process that workers are forked from.

A worker that dies after a second would else spend most of it on imports.
"""

import asyncio
import importlib

from temporalio import workflow
from temporalio.worker._worker import load_default_build_id
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

import worker
from cloud import clients
from workflows import plugin

_LAZY = (
    "anyio._backends._asyncio",
    "azure.core.rest._aiohttp",
    "azure.identity.aio",
    "azure.mgmt.authorization.v2022_04_01.aio",
    "h2.connection",
    "httpcore",
    "msgraph.generated.device_management.managed_devices.item.managed_device_item_request_builder",
    "msgraph.generated.device_management.managed_devices.item.users.users_request_builder",
    "msgraph.generated.devices.item.device_item_request_builder",
    "msgraph.generated.users.item.user_item_request_builder",
)
"""What the SDKs import when they are first used."""

for _module in _LAZY:
    importlib.import_module(_module)
# What msgraph imports at its first answer.
clients._warm_up()


async def _prepare_workflows() -> None:
    runner = plugin._sandbox(SandboxedWorkflowRunner())
    for kind in worker.WORKFLOWS:
        runner.prepare_workflow(workflow._Definition.must_from_class(kind))


asyncio.run(_prepare_workflows())
# It hashes the code of every module that is loaded, and remembers the result.
load_default_build_id()
