"""The actions that were asked of a Cloud PC and wait for their turn, and what became of those that had it."""

from dataclasses import dataclass, replace
from typing import Any

from temporalio import workflow

from models.remote_actions import KEPT, UNDER_WAY, ActionRequest, ActionState, ActionStatusDetail, RemoteActionResult
from workflows.cloud_pc.actions import RemoteAction
from workflows.cloud_pc.record import CloudPcRecord


@dataclass(frozen=True)
class Requested:
    """An action that was asked for, with what it was asked with, and the id of its result."""

    action: RemoteAction[Any]
    request: ActionRequest
    id: int


class RequestedActions:
    """One ordered queue: the highest rank first, equal ranks in the order in which they came.

    The results are part of what is known of the Cloud PC, and outlive a reprovision.
    """

    def __init__(self, record: CloudPcRecord) -> None:
        self._record = record
        self._waiting: list[Requested] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def first(self) -> Requested | None:
        """The one that begins next."""
        return self._waiting[0] if self._waiting else None

    def of(self, action: RemoteAction[Any]) -> Requested | None:
        """Return the one of this kind that waits."""
        return next((each for each in self._waiting if each.action is action), None)

    def add(self, action: RemoteAction[Any], request: ActionRequest) -> Requested:
        """Let an action wait, merged with an equal one that waits; those that it outranks are canceled."""
        for outranked in [each for each in self._waiting if each.action.rank < action.rank]:
            self._waiting.remove(outranked)
            self._close(outranked.id, ActionState.CANCELED, f"{action.name} came, which outranks it")
        equal = self.of(action) if action.merges else None
        if equal is None:
            added = Requested(action, request, self._note(action, request, ActionState.PENDING))
            self._waiting.append(added)
        else:
            added = replace(equal, request=equal.request.merged_with(request))
            self._waiting[self._waiting.index(equal)] = added
            self._update(equal.id, reason=added.request.reason, requested_by=added.request.requested_by)
        # Stable: of equal ranks the one that came first stays first.
        self._waiting.sort(key=lambda each: -each.action.rank)
        return added

    def begin(self) -> Requested:
        """Take the next one out of the queue, as active."""
        requested = self._waiting.pop(0)
        self._update(requested.id, action_state=ActionState.ACTIVE)
        return requested

    def join(self, action: RemoteAction[Any]) -> ActionRequest | None:
        """Take the one of this kind that waits out of the queue, to be carried out with the active one."""
        requested = self.of(action)
        if requested is None:
            return None
        self._waiting.remove(requested)
        self._update(requested.id, action_state=ActionState.ACTIVE)
        return requested.request

    def done_at_once(self, action: RemoteAction[Any], request: ActionRequest) -> int:
        """Note an action that was done when it was asked for, and return the id of its result."""
        return self._note(action, request, ActionState.DONE)

    def end(self, state: ActionState, code: str = "", message: str = "") -> None:
        """Note how the active actions ended."""
        for result in self._record.cloud_pc.remote_actions:
            if result.action_state == ActionState.ACTIVE:
                self._close(result.id, state, message, code)

    def _note(self, action: RemoteAction[Any], request: ActionRequest, state: ActionState) -> int:
        results, now = self._record.cloud_pc.remote_actions, workflow.now()
        result = RemoteActionResult(
            id=results[-1].id + 1 if results else 1,
            action_name=action.name,
            action_state=state,
            start_date_time=now,
            last_updated_date_time=now,
            requested_by=request.requested_by,
            reason=request.reason,
        )
        ended = [each for each in results if each.action_state not in UNDER_WAY]
        left_out = ended[0] if len(results) >= KEPT and ended else None
        self._record.update(remote_actions=(*(each for each in results if each is not left_out), result))
        return result.id

    def _close(self, id: int, state: ActionState, message: str, code: str = "") -> None:
        detail = ActionStatusDetail(code=code or state.value, message=message) if message else None
        self._update(id, action_state=state, status_detail=detail)

    def _update(self, id: int, **changes: Any) -> None:
        changes["last_updated_date_time"] = workflow.now()
        results = self._record.cloud_pc.remote_actions
        self._record.update(
            remote_actions=tuple(each.model_copy(update=changes) if each.id == id else each for each in results)
        )
