"""The command line: arguments that cannot be right end in one line and the exit code 2 or 3, and start nothing."""

import asyncio
import contextlib
import io
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console
from temporalio.client import Client

import starter
from models.cloud_pc import CloudPcStatus, Stage, StepState, StepStatus
from models.validation import MAX_MESSAGE
from tests.properties.strategies import TEXTS, examples, fit_to_print

EXAMPLES = Path(__file__).parents[2] / "examples"
ADA = "ada@contoso.com"
# No process can be given a NUL; what is no UTF-8 comes as surrogates.
ARGUMENTS = (TEXTS | st.text(st.characters(codec=None), max_size=20)).filter(lambda text: "\x00" not in text)
NAMES = ARGUMENTS | st.sampled_from(
    ['x" OR "1"="1', "x' OR '1'='1", 'x\\" OR WorkflowId!="', "a" * 1000, "%", "engineering-x", "CPC-ADA-00000", ADA]
)


def run(*arguments: str) -> tuple[int, str, str]:
    """Run one command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        exit_code = starter.main(list(arguments))
    return exit_code, out.getvalue(), err.getvalue()


def refused(said: tuple[int, str, str], codes: tuple[int, ...]) -> None:
    """Assert that a command has ended in one line and one of these exit codes."""
    exit_code, out, err = said
    assert exit_code in codes, said
    assert out == "" and err.startswith("error: ") and err.endswith("\n")
    assert len(err.splitlines()) == 1 and len(err) <= MAX_MESSAGE + 20 and fit_to_print(err[:-1]), err


@pytest.fixture(scope="module")
def server(temporal_client: Client) -> object:
    """The environment in which the starter finds the test's server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEMPORAL_ADDRESS", temporal_client.service_client.config.target_host)
        yield temporal_client


@pytest.fixture(scope="module")
def no_server() -> object:
    """The environment in which the starter finds no server, and so can start nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
        yield


@given(
    st.lists(ARGUMENTS | st.sampled_from(["check", "provision", "--user", "--json", "--reason", "-", "--"]), max_size=4)
)
@examples(60)
@example(["check", "a\nb"])
@example(["a\nb"])
@example(["check", "--\n"])
@example(["check", "[/x].yaml"])
def test_any_arguments(no_server: None, arguments: list[str]) -> None:
    said = run(*arguments)
    if any(argument in ("-h", "--help") for argument in arguments) or not arguments:
        return
    assert said[0] in (starter.ExitCode.WRONG_INPUT, starter.ExitCode.NO_ANSWER), said
    lines = said[2].splitlines()
    assert lines and all(line.startswith("error: ") and fit_to_print(line) and len(line) < 2100 for line in lines)


@pytest.mark.parametrize("option", ["--user", "--reason", "--policy", "--region"])
@given(ARGUMENTS)
@examples(25)
@example("x" * 501)
@example("a\nb")
@example("\udcff@x")
@example("")
def test_an_option_that_is_too_long_or_unprintable(no_server: None, option: str, value: str) -> None:
    commands = {
        "--user": ["provision", str(EXAMPLES / "policy.yaml"), "--service-plan=CPC_E_2C_8GB_128GB", f"--user={value}"],
        "--reason": ["deprovision", ADA, f"--reason={value}"],
        "--policy": ["list", f"--policy={value}"],
        "--region": ["doctor", f"--region={value}"],
    }
    said = run(*commands[option])
    # What is right gets as far as the server that is not there.
    refused(said, (starter.ExitCode.WRONG_INPUT, starter.ExitCode.NO_ANSWER))
    if len(value) > 500 or not fit_to_print(value or " ") or (option == "--user" and not value):
        assert said[0] == starter.ExitCode.WRONG_INPUT and option in said[2]


@given(NAMES)
@examples(20)
@example('x" OR WorkflowType="CloudPcWorkflow')
@example("x' OR WorkflowType='CloudPcWorkflow")
async def test_names_of_no_cloud_pc(server: Client, name: str) -> None:
    # "--": what begins with a hyphen is a name too.
    for command in (["status", "--"], ["reprovision", "--"], ["deprovision", "--reason=x", "--"]):
        refused(
            await asyncio.to_thread(run, *command, name), (starter.ExitCode.WRONG_INPUT, starter.ExitCode.NOT_FOUND)
        )


@given(NAMES)
@examples(20)
async def test_a_policy_that_no_cloud_pc_has(server: Client, name: str) -> None:
    exit_code, out, err = await asyncio.to_thread(run, "list", "--json", f"--policy={name}")
    if exit_code == starter.ExitCode.DONE:
        assert out == "[]\n" and err == ""
    else:
        refused((exit_code, out, err), (starter.ExitCode.WRONG_INPUT,))


@given(TEXTS)
@examples(40)
@example("[/x]")
@example("[bold]x[/bold]")
@example(":smile:")
def test_what_a_guest_says_is_shown_as_it_is(words: str) -> None:
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        made: Console = starter._out
        # Not `file`, whose value is whatever standard output is now: put back, it would stay that for later tests.
        patch.setattr(made, "_file", stream)
        step = StepStatus(
            step="create_virtual_machine", stage=Stage.CORE_PROVISIONING, display_name="Create VM", detail=words
        )
        starter._out.print(starter._step_line(step.model_copy(update={"state": StepState.FAILED})))
        starter._out.print(f"{words}: {CloudPcStatus.FAILED}")
    shown = "".join(c for c in words[:80] if c.isprintable())
    if words.isprintable() and " " not in words:
        assert shown in stream.getvalue().replace("\n", "")
