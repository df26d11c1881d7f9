"""Cmdlets that download and start programs."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from simulator.windows.cmdlets import SWITCH, Call, Parameter, cmdlet
from simulator.windows.commands.programs import PACKAGES
from simulator.windows.errors import NotSimulated
from simulator.windows.values import EnumValue, PSObject, Value

SIGNER = "CN=Microsoft Corporation, O=Microsoft Corporation, L=Redmond, S=Washington, C=US"
"""Who has signed the installers."""
_SIGNATURE_STATUSES = {"Valid": 0, "NotSigned": 2}


@cmdlet(
    "Invoke-WebRequest",
    Parameter("Uri", mandatory=True, position=0),
    Parameter("OutFile", mandatory=True),
    Parameter("UseBasicParsing", SWITCH),
)
def invoke_web_request(call: Call) -> Sequence[Value]:
    """Download to a file; only the installers of the Azure Virtual Desktop agent are on the net."""
    uri, path = call.text("Uri"), call.text("OutFile")
    if uri not in PACKAGES:
        host = urlsplit(uri).hostname
        raise call.failure(f"The remote name could not be resolved: '{host}'", "System.Net.WebException")
    if path.rpartition("\\")[0].lower() not in call.guest.directories:
        raise call.failure(f"Could not find a part of the path '{path}'.", "System.IO.IOException")
    call.guest.files[path.lower()] = uri
    return []


@cmdlet("Get-AuthenticodeSignature", Parameter("LiteralPath", mandatory=True))
def get_authenticode_signature(call: Call) -> Sequence[Value]:
    """Return the signature of an installer.

    Source: https://learn.microsoft.com/powershell/module/microsoft.powershell.security/get-authenticodesignature
    """
    path = call.text("LiteralPath")
    if path.lower() not in call.guest.files:
        call.report(f"File {path} was not found.", "System.IO.FileNotFoundException")
        return []
    status = "NotSigned" if "unsigned-installer" in call.guest.defects else "Valid"
    certificate = PSObject("System.Security.Cryptography.X509Certificates.X509Certificate2", {"Subject": SIGNER})
    properties: dict[str, Value] = {
        "Status": EnumValue(status, _SIGNATURE_STATUSES[status]),
        "SignerCertificate": certificate if status == "Valid" else None,
    }
    return [PSObject("System.Management.Automation.Signature", properties)]


@cmdlet(
    "Start-Process",
    Parameter("FilePath", mandatory=True, position=0),
    Parameter("ArgumentList", "System.String[]", position=1),
    Parameter("Wait", SWITCH),
    Parameter("PassThru", SWITCH),
)
def start_process(call: Call) -> Sequence[Value]:
    """Start a program and wait for its end. The arguments become one command line, so blanks must be quoted."""
    if not call.flag("Wait"):
        raise NotSimulated(f"{call.name} : The simulated Windows starts programs with -Wait only.")
    line = " ".join(call.texts("ArgumentList"))
    arguments = [found.replace('"', "") for found in re.findall(r'(?:[^\s"]|"[^"]*")+', line)]
    ended = call.shell.run_program(call.text("FilePath"), arguments)
    if ended is None:
        raise call.failure("This command cannot be run due to the error: The system cannot find the file specified.")
    return [PSObject("System.Diagnostics.Process", {"ExitCode": ended[1]})] if call.flag("PassThru") else []
