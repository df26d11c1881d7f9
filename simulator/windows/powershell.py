"""Windows PowerShell 5.1 on a simulated guest: a script's text goes in, what it did is left in the guest."""

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.windows.domain import Domain, NoDomain
from simulator.windows.errors import NotSimulated, PowerShellError
from simulator.windows.guest import Guest
from simulator.windows.interpreter import Exit, Interpreter
from simulator.windows.syntax import parse


@dataclass(frozen=True, slots=True)
class ScriptResult:
    """What came of a script: the process's exit code, and the whole of its two streams."""

    exit_code: int
    output: str
    error: str


def run_script(guest: Guest, script: str, parameters: Mapping[str, str], domain: Domain | None = None) -> ScriptResult:
    """Run a script on a guest, as `powershell.exe -File script.ps1 -name value ...` does.

    A script that uses anything that is not simulated ends with exit code 1 and says what and where; no `catch`
    hides that.

    Args:
        guest: The machine, which the script changes.
        script: The script's text.
        parameters: Its arguments by parameter name.
        domain: The Active Directory domain that the machine can reach; by default there is none.

    """
    shell = Interpreter(guest, domain or NoDomain())
    exit_code = 0
    try:
        shell.run(parse(script), parameters)
    except Exit as ended:
        exit_code = ended.code
    except PowerShellError as error:
        exit_code = 1
        shell.write_error_line(error.record.render())
    except NotSimulated as error:
        exit_code = 1
        shell.write_error_line(error.render())
    except RecursionError:
        exit_code = 1
        shell.write_error_line("The script failed due to call depth overflow.")
    return ScriptResult(exit_code, "\n".join(shell.output), "\n".join(shell.errors))
