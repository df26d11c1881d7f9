"""What the Web UI shows of a Cloud PC, in Markdown."""

from models.cloud_pc import CloudPc, StepState
from models.remote_actions import RemoteActionResult

_SHOWN_ACTIONS = 5
_NOT_IN_CODE = str.maketrans({"|": "¦", "`": "'", "\n": " "})
_MARKS = {
    StepState.PENDING: "· pending",
    StepState.RUNNING: "▶ running",
    StepState.SUCCEEDED: "✔ succeeded",
    StepState.WARNING: "**! warning**",
    StepState.FAILED: "**✘ failed**",
    StepState.NOT_APPLICABLE: "– not applicable",
}


def details(pc: CloudPc) -> str:
    """Return the checklist of the steps, the failure, the last actions and the refused signals."""
    where = f"connection {pc.on_premises_connection_name}" if pc.on_premises_connection_name else "hosted network"
    lines = [
        f"## {pc.computer_name}: {pc.status}",
        f"Policy **{pc.policy_display_name}**, plan {pc.service_plan}, region {pc.region or 'not known yet'}, {where}, "
        f"attempt {pc.attempt}",
        "",
        "| Step | State | Duration | Attempts | |",
        "|---|---|---|---|---|",
    ]
    for status in pc.steps:
        duration = "" if status.duration_in_seconds is None else f"{status.duration_in_seconds:.1f} s"
        detail = _code(status.detail)
        lines.append(
            f"| {status.display_name} | {_MARKS[status.state]} | {duration} | {status.attempts or ''} | {detail} |"
        )
    if pc.status_detail:
        failure = pc.status_detail
        lines += ["", f"**{failure.step} failed**: {failure.code}: {failure.message}", "", f"Remedy: {failure.remedy}"]
    if pc.remote_actions:
        lines += ["", "| Action | State | Asked for | By | |", "|---|---|---|---|---|"]
        lines += [_action(result) for result in reversed(pc.remote_actions[-_SHOWN_ACTIONS:])]
    lines += [f"\nRefused signal `{refused.signal}`: {refused.error}" for refused in pc.refused_signals]
    return "\n".join(lines)


def _action(result: RemoteActionResult) -> str:
    why = "; ".join(filter(None, [result.reason, result.status_detail.message if result.status_detail else ""]))
    asked = f"{result.start_date_time:%Y-%m-%d %H:%M} UTC"
    return f"| {result.action_name} | {result.action_state} | {asked} | {_code(result.requested_by)} | {_code(why)} |"


def _code(words: str) -> str:
    """Return words of others as code, or they would be taken for Markdown."""
    shown = words.translate(_NOT_IN_CODE)
    return f"`{shown}`" if shown else ""
