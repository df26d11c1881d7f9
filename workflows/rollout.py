"""A rollout: a policy's Cloud PCs are reprovisioned in waves, and it stops by itself when too many fail."""

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from contract import steps
from contract.errors import ActivityFailedError
from contract.fleet import AwaitWaveInput, ChooseInput, StartWaveInput
from models.azure_network_connection import Connections
from models.base import GraphModel, WorkflowInput
from models.provisioning_policy import ProvisioningPolicy
from models.remote_actions import RefusedSignal, Reprovision
from models.types import Reason, RolloutId
from models.validation import bounded
from workflows import messages, runner

_SIGNALS = ("pause", "resume", "abort")
_FAILED_SHOWN = 50


class RolloutState(StrEnum):
    """What a rollout is doing."""

    RUNNING = "running"
    PAUSED = "paused"
    """No wave begins until an admin says `resume`; what has begun goes on."""
    ABORTED = "aborted"
    COMPLETED = "completed"


class RolloutStatus(GraphModel):
    """How far a rollout is: its result, and the answer to the query `rollout`."""

    rollout_id: str
    policy_id: str
    state: RolloutState
    waves: int = 0
    """How many waves have begun."""
    reprovisioned: int = 0
    failed: int = 0
    gone: int = 0
    """How many were deprovisioned in the meantime."""
    in_wave: int = 0
    """How many are being reprovisioned now."""
    remaining: int = 0
    """How many have not begun."""
    failed_cloud_pcs: tuple[str, ...] = ()
    """Ids of the last ones that failed."""
    problem: str = ""
    """Why it is paused."""
    refused_signals: tuple[RefusedSignal, ...] = ()


class RolloutRequest(WorkflowInput):
    """Which Cloud PCs are reprovisioned, from what, and how fast."""

    rollout_id: RolloutId
    """Tells rollouts apart: each reprovisions a Cloud PC once, however often it is interrupted."""
    policy: ProvisioningPolicy
    connections: Connections = ()
    reason: Reason = ""
    canary_size: Annotated[int, Field(ge=0, le=1000)] = 1
    """How many the first wave has; 0 begins with a whole wave."""
    wave_size: Annotated[int, Field(ge=1, le=1000)] = 20
    max_failure_rate: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of the Cloud PCs that were reprovisioned since the begin, or the last `resume`, above which it pauses."""
    everyone: bool = False
    """Reprovision those too that have the policy's settings already."""
    cloud_pc_ids: tuple[str, ...] | None = None
    """Those that have not begun, where this run goes on with a rollout."""
    known: RolloutStatus | None = None
    """How far it is, where this run goes on with a rollout."""
    finished_since_resume: int = 0
    """How many have ended since the begin, or the last `resume`, in earlier runs."""
    failed_since_resume: int = 0
    """How many of those failed."""


class NoParticulars(GraphModel):
    """What a signal may hold that needs no particulars."""


@workflow.defn
class RolloutWorkflow:
    """Reprovisions a policy's Cloud PCs: first a few, then a wave at a time."""

    @workflow.init
    def __init__(self, request: RolloutRequest = messages.NO_INPUT) -> None:
        self._request = messages.required(request, RolloutRequest)
        self._status = self._request.known or RolloutStatus(
            rollout_id=self._request.rollout_id, policy_id=self._request.policy.id, state=RolloutState.RUNNING
        )
        self._finished_since_resume = self._request.finished_since_resume
        self._failed_since_resume = self._request.failed_since_resume

    @workflow.run
    async def run(self, request: RolloutRequest = messages.NO_INPUT) -> RolloutStatus:
        """Reprovision wave after wave, and return what came of it.

        Args:
            request: The rollout, as `__init__` got it.

        Raises:
            ApplicationError: The policy names a connection that is missing or does not fit.

        """
        connections = messages.usable_connections(self._request.policy, self._request.connections)
        wanted = Reprovision(
            reason=self._request.reason,
            # Whom else the policy is assigned to is nothing that each of its Cloud PCs must carry along.
            policy=self._request.policy.model_copy(update={"assignments": ()}),
            connections=connections,
            rollout_id=self._request.rollout_id,
        )
        ids = list(self._request.cloud_pc_ids or ()) if self._status.waves else list(await self._chosen(connections))
        self._update(remaining=len(ids))
        while ids:
            await workflow.wait_condition(lambda: self._status.state != RolloutState.PAUSED)
            if self._is_aborted:
                return self._status
            is_canary = self._status.waves == 0 and self._request.canary_size > 0
            size = self._request.canary_size if is_canary else self._request.wave_size
            wave, ids = ids[:size], ids[size:]
            self._update(waves=self._status.waves + 1, in_wave=len(wave), remaining=len(ids))
            if not await self._reprovision(wave, wanted):
                # Those that were asked already do not begin again.
                ids = wave + ids
                self._update(remaining=len(ids), waves=self._status.waves - 1)
            if self._is_aborted:
                return self._status
            if ids and workflow.info().is_continue_as_new_suggested():
                changes = {
                    "cloud_pc_ids": tuple(ids),
                    "known": self._status,
                    "finished_since_resume": self._finished_since_resume,
                    "failed_since_resume": self._failed_since_resume,
                }
                workflow.continue_as_new(self._request.model_copy(update=changes))
        self._update(state=RolloutState.COMPLETED, problem="")
        return self._status

    async def _chosen(self, connections: Connections) -> tuple[str, ...]:
        policy = self._request.policy
        wanted = ChooseInput(policy=policy, connections=connections, everyone=self._request.everyone)
        chosen = await runner.run(steps.CHOOSE_CLOUD_PCS, wanted, about=policy.display_name)
        return chosen.cloud_pc_ids

    async def _reprovision(self, wave: list[str], wanted: Reprovision) -> bool:
        """Reprovision a wave and wait for its end, or for an abort; return whether it could begin."""
        what = f"wave {self._status.waves} of {len(wave)}"
        start = StartWaveInput(cloud_pc_ids=tuple(wave), wish=wanted)
        try:
            await runner.run(steps.START_WAVE, start, about=what, priority=runner.REGULAR)
        except ActivityFailedError as error:
            self._pause(
                f"the wave could not begin: {error.why.code}: {error.why.message}; send the signal resume or abort"
            )
            return False
        look = AwaitWaveInput(cloud_pc_ids=tuple(wave), rollout_id=self._request.rollout_id)
        ended = asyncio.ensure_future(runner.run(steps.AWAIT_WAVE, look, about=what, priority=runner.REGULAR))
        aborted = asyncio.ensure_future(workflow.wait_condition(lambda: self._is_aborted))
        try:
            await workflow.wait([ended, aborted], return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                # What was asked for goes on; only nobody waits for it.
                ended.cancel()
                await asyncio.gather(ended, return_exceptions=True)
                return True
            result = await ended
        except ActivityFailedError as error:
            self._pause(f"the wave has not ended: {error.why.code}: {error.why.message}; {error.why.remedy}")
            return True
        finally:
            aborted.cancel()
        self._finished_since_resume += result.reprovisioned + len(result.failed)
        self._failed_since_resume += len(result.failed)
        self._update(
            in_wave=0,
            reprovisioned=self._status.reprovisioned + result.reprovisioned,
            failed=self._status.failed + len(result.failed),
            gone=self._status.gone + result.gone,
            failed_cloud_pcs=(*self._status.failed_cloud_pcs, *result.failed)[-_FAILED_SHOWN:],
        )
        limit = self._request.max_failure_rate
        if self._failed_since_resume > limit * self._finished_since_resume:
            failed = f"{self._failed_since_resume} of {self._finished_since_resume} failed, more than {limit:.0%}"
            self._pause(f"{failed}: look at them, then send the signal resume or abort")
        return True

    @property
    def _is_aborted(self) -> bool:
        return self._status.state == RolloutState.ABORTED

    def _pause(self, problem: str) -> None:
        self._update(state=RolloutState.PAUSED, problem=problem, in_wave=0)

    @workflow.query(description="How far the rollout is")
    def rollout(self) -> RolloutStatus:
        """Return how far the rollout is."""
        return self._status

    @workflow.signal(description="Let no more waves begin")
    def pause(self, payload: RawValue = messages.NOTHING) -> None:
        """Let no more waves begin, or note why the signal was refused."""
        if self._understood("pause", payload) and self._status.state == RolloutState.RUNNING:
            self._update(state=RolloutState.PAUSED, problem="paused by an admin: send the signal resume or abort")

    @workflow.signal(description="Go on with the next wave")
    def resume(self, payload: RawValue = messages.NOTHING) -> None:
        """Go on with the next wave, or note why the signal was refused."""
        if self._understood("resume", payload) and self._status.state == RolloutState.PAUSED:
            self._finished_since_resume = self._failed_since_resume = 0
            self._update(state=RolloutState.RUNNING, problem="")

    @workflow.signal(description="End the rollout; what has begun goes on")
    def abort(self, payload: RawValue = messages.NOTHING) -> None:
        """End the rollout, or note why the signal was refused."""
        if self._understood("abort", payload):
            self._update(state=RolloutState.ABORTED, problem="")

    @workflow.signal(dynamic=True)
    def unknown_signal(self, name: str, _payloads: Sequence[RawValue]) -> None:
        """Note that there is no such signal: it would be lost without a trace."""
        self._refuse(bounded(name)[:100], messages.no_such_signal(name, _SIGNALS))

    def _understood(self, signal: str, payload: RawValue) -> bool:
        try:
            messages.decoded(payload, NoParticulars)
        except ApplicationError as error:
            self._refuse(signal, error)
            return False
        return True

    def _refuse(self, signal: str, error: ApplicationError) -> None:
        self._update(refused_signals=messages.with_refused(self._status.refused_signals, signal, error))

    def _update(self, **changes: Any) -> None:
        self._status = RolloutStatus.model_validate(dict(self._status) | changes)
        workflow.set_current_details(_details(self._status))


def _details(status: RolloutStatus) -> str:
    """Return what the Web UI shows, in Markdown."""
    lines = [
        f"## Rollout {status.rollout_id}: {status.state}",
        *(["", f"**{status.problem}**"] if status.problem else []),
        "",
        "| Cloud PCs | |",
        "|---|---|",
        f"| reprovisioned | {status.reprovisioned} |",
        f"| failed | {status.failed} |",
        f"| gone | {status.gone} |",
        f"| in wave {status.waves} | {status.in_wave} |",
        f"| remaining | {status.remaining} |",
        "",
        *(f"Failed: `{id}`" for id in status.failed_cloud_pcs),
    ]
    lines += [f"\nRefused signal `{refused.signal}`: {refused.error}" for refused in status.refused_signals]
    return "\n".join(lines)
