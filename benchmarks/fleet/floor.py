"""The engine's floor: workflows with as many activities as a Cloud PC has, of the same shape, that do nothing.

`python -m benchmarks.fleet.floor --workflows 500`, against a Temporal server without the product's worker: this process
is the worker, with the same queues, rates and converter, and starts the workflows too.
"""

import argparse
import asyncio
import json
import os
import time
from datetime import timedelta

from temporalio import workflow
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from benchmarks.engines.measure import step_input
    from benchmarks.engines.temporal import step
    from cloud.concurrency import each
    from cloud.settings import Settings
    from contract.activity import Service, service_queue
    from workflows.connection import connect
    from workflows.plugin import TASK_QUEUE
    from workflows.process import end_process

SHAPE = (
    (Service.AZURE,),
    (Service.AZURE, Service.AZURE),
    (Service.AZURE,),
    (Service.AZURE,),
    (Service.GRAPH,),
    (Service.GRAPH,),
    (Service.AZURE,) * 6,
    (Service.AZURE,),
    (Service.AZURE,),
    (Service.AZURE,),
    (Service.AZURE,),
)
"""A Cloud PC's activities; those of one group run side by side."""
_AT_ONCE = 20
"""Starts at the same time, as the product's."""


@workflow.defn
class Steps:
    """A Cloud PC's activities, of which each does nothing."""

    @workflow.run
    async def run(self, workflow_id: str) -> int:
        """Return how many results there are."""
        queue, done = workflow.info().task_queue, 0
        for group in SHAPE:
            done += len(
                await asyncio.gather(
                    *(
                        workflow.execute_activity(
                            step,
                            step_input(workflow_id, done),
                            task_queue=service_queue(queue, service),
                            start_to_close_timeout=timedelta(minutes=15),
                        )
                        for service in group
                    )
                )
            )
        return done


async def _main(workflows: int) -> int:
    client, settings = await connect(), Settings.from_environment(os.environ)
    rates = {Service.AZURE: settings.azure_activities_per_second, Service.GRAPH: settings.graph_activities_per_second}

    async def start(number: int) -> None:
        await client.start_workflow(Steps.run, f"floor-{number}", id=f"floor-{number}", task_queue=TASK_QUEUE)

    async def end(number: int) -> None:
        if await client.get_workflow_handle(f"floor-{number}").result() != sum(map(len, SHAPE)):
            raise RuntimeError(f"floor-{number} has not all results")

    def serve(service: Service) -> Worker:
        queue = service_queue(TASK_QUEUE, service)
        return Worker(client, task_queue=queue, activities=[step], max_task_queue_activities_per_second=rates[service])

    async with (
        Worker(client, task_queue=TASK_QUEUE, workflows=[Steps], max_cached_workflows=2000),
        serve(Service.AZURE),
        serve(Service.GRAPH),
    ):
        started, cpu = time.perf_counter(), time.process_time()
        await each(range(workflows), start, at_once=_AT_ONCE)
        await each(range(workflows), end, at_once=_AT_ONCE)
        print(json.dumps({"wall_s": time.perf_counter() - started, "cpu_s": time.process_time() - cpu}), flush=True)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet.floor", description=__doc__)
    parser.add_argument("--workflows", type=int, default=500, help="how many are started")
    end_process(asyncio.run(_main(parser.parse_args().workflows)))
