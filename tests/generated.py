"""What is made from the code and committed: JSON Schemas, the page of errors, tables of README and docs.

Write it anew: `python -m tests.generated`.
"""

import json
from pathlib import Path

from contract.error_catalogue import CATALOGUE, Entry
from contract.steps import steps_of
from models.cloud_pc import Stage
from models.documents import DOCUMENT_TYPES, json_schema
from starter import ExitCode
from workflows.cloud_pc.actions import ACTIONS
from workflows.runner import RETRY_POLICY

ROOT = Path(__file__).parent.parent


def generated() -> dict[Path, str]:
    """Return what each generated file is to hold."""
    schemas = {
        ROOT / "examples" / "schemas" / f"{name}.schema.json": json.dumps(json_schema(model), indent=2) + "\n"
        for name, model in DOCUMENT_TYPES.items()
    }
    return {
        **schemas,
        ROOT / "docs" / "errors.md": _errors(),
        ROOT / "README.md": _with_tables("README.md", {"step policies": _step_policies(), "exit codes": _exit_codes()}),
        ROOT / "docs" / "operations.md": _with_tables("docs/operations.md", {"actions": _actions()}),
    }


def _with_tables(page: str, tables: dict[str, str]) -> str:
    """Return a page with its tables between their markers made again."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for name, table in tables.items():
        before, begin, rest = text.partition(f"<!-- generated: {name} -->\n")
        assert begin, f"{page} has no marker of {name}"
        after = rest.partition("<!-- end -->\n")[2]
        text = f"{before}{begin}{table}<!-- end -->\n{after}"
    return text


def _step_policies() -> str:
    first, most = RETRY_POLICY.initial_interval, RETRY_POLICY.maximum_interval
    assert most is not None
    lines = [
        "| core step | one attempt | in all | why |",
        "|---|---|---|---|",
        *(
            f"| {step.title} | {step.policy.attempt:g} min | {step.policy.in_all:g} min | {step.policy.reason} |"
            for step in steps_of(Stage.CORE_PROVISIONING)
        ),
        "",
        f"Attempts are not counted: the time in all ends them. Between two of them lie {first.seconds} s, doubled each "
        f"time up to {most.seconds} s,\nunless the service says otherwise in `Retry-After`.",
    ]
    return "\n".join(lines) + "\n"


def _exit_codes() -> str:
    return (
        "\n".join(["| code | meaning |", "|---|---|", *(f"| {code:d} | {code.meaning} |" for code in ExitCode)]) + "\n"
    )


def _actions() -> str:
    lines = ["| action | what it does | `starter.py` | of a Cloud PC that is |", "|---|---|---|---|"]
    for action in ACTIONS:
        command = f"`{action.command}`" if action.command else "sent by the policy"
        states = ", ".join(sorted(action.states))
        lines.append(f"| `{action.name}` | {action.summary} | {command} | {states} |")
    return "\n".join(lines) + "\n"


def _errors() -> str:
    lines = [
        "# Errors",
        "",
        "What a code in a Cloud PC's `statusDetail` or in a warning means. *capacity*: another VM size, zone or",
        "region is tried before the Cloud PC fails; *transient*: tried again until the step's time is up, and",
        "*terminal* ones need an admin. The page is made from `contract/error_catalogue.py`.",
        "",
        "| code | class | cause | remedy | steps |",
        "|---|---|---|---|---|",
        *map(_row, sorted(CATALOGUE, key=lambda entry: entry.code.casefold())),
    ]
    return "\n".join(lines) + "\n"


def _row(entry: Entry) -> str:
    told_by = entry.message or (f"HTTP {entry.status}" if entry.status else "")
    code = f"`{entry.code}`" + (f" ({told_by})" if told_by else "")
    steps = ", ".join(step.title for step in entry.steps) or "any"
    return f"| {code} | {entry.error_class} | {entry.cause} | {entry.remedy} | {steps} |"


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
