"""What can go wrong in a script, and how Windows PowerShell writes it.

- `PowerShellError`: an error of PowerShell's own; `try`/`catch` sees it.
- `NotSimulated`: the script uses something that the simulated Windows does not know. No `catch` and no
  `-ErrorAction` hides it, so that nothing passes unseen.
"""

from dataclasses import dataclass

RUNTIME_EXCEPTION = "System.Management.Automation.RuntimeException"
"""What a `throw` of a text becomes."""

EXCEPTION_TYPES = {
    "System.Exception": "",
    "System.SystemException": "System.Exception",
    "System.ArgumentException": "System.SystemException",
    "System.InvalidOperationException": "System.SystemException",
    "System.IO.IOException": "System.SystemException",
    "System.Net.WebException": "System.InvalidOperationException",
    "System.Security.SecurityException": "System.SystemException",
    RUNTIME_EXCEPTION: "System.SystemException",
    "System.Management.Automation.ItemNotFoundException": RUNTIME_EXCEPTION,
    "System.Management.Automation.ParameterBindingException": RUNTIME_EXCEPTION,
    "Microsoft.Management.Infrastructure.CimException": "System.Exception",
    "Microsoft.PowerShell.Commands.MemberExistsException": "System.Exception",
    "Microsoft.PowerShell.Commands.PrincipalNotFoundException": "System.Exception",
    "Microsoft.PowerShell.Commands.GroupNotFoundException": "System.Exception",
    "Microsoft.PowerShell.Commands.ServiceCommandException": "System.SystemException",
}
"""The exceptions that can be raised or caught here, each with the one it derives from."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a script: line and character from 1, and the text of that line."""

    line: int
    char: int
    text: str

    def render(self) -> str:
        """Return the lines that PowerShell prints under an error's message."""
        return f"At line:{self.line} char:{self.char}\n+ {self.text.strip()}"


@dataclass
class ErrorRecord:
    """What `$_` is in a `catch` block.

    Attributes:
        message: The exception's message.
        exception: Full name of the exception's type, out of `EXCEPTION_TYPES`.
        command: The cmdlet that reported it, or an empty string.
        position: Where it happened; filled in by the interpreter.

    """

    message: str
    exception: str = RUNTIME_EXCEPTION
    command: str = ""
    position: Position | None = None

    def is_a(self, type_name: str) -> bool:
        """Return whether the exception is of a type or derives from it."""
        name = self.exception
        while name and name != type_name:
            name = EXCEPTION_TYPES[name]
        return bool(name)

    def render(self) -> str:
        """Return the text that PowerShell writes to its error stream."""
        subject = f"{self.command} : " if self.command else ""
        place = f"\n{self.position.render()}" if self.position else ""
        return f"{subject}{self.message}{place}"


class PowerShellError(Exception):
    """A terminating error; `thrown` ones end the script, others only their statement unless the preference is Stop."""

    def __init__(self, record: ErrorRecord, *, thrown: bool = False) -> None:
        super().__init__(record.message)
        self.record = record
        self.thrown = thrown


class NotSimulated(Exception):
    """The script uses something that the simulated Windows does not know, or is no valid script."""

    def __init__(self, message: str, position: Position | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.position = position

    def render(self) -> str:
        """Return the text that goes to the error stream."""
        return f"{self.message}\n{self.position.render()}" if self.position else self.message
