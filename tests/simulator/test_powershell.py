"""The simulated PowerShell: it does what a script's text says, and lets nothing pass that it does not know."""

import json
from dataclasses import asdict

import pytest

from simulator.windows.guest import GIB, MIB, Guest
from simulator.windows.powershell import ScriptResult, run_script


@pytest.fixture
def guest() -> Guest:
    return Guest.create(computer_name="CPC-1", vm_id="/vm/1", disk_size_gib=256, admin_username="localadmin")


def run(guest: Guest, script: str, **parameters: str) -> ScriptResult:
    return run_script(guest, script, parameters)


def output(guest: Guest, script: str, **parameters: str) -> list[str]:
    """Run a script that must succeed; return the lines that it prints."""
    result = run(guest, script, **parameters)
    assert (result.exit_code, result.error) == (0, "")
    return result.output.split("\n") if result.output else []


@pytest.mark.parametrize(
    ("expression", "printed"),
    [
        # Literals and text.
        ("'it''s'", "it's"),
        ("\"a`tb `\"c`\" `$d \"\"e\"\"\"", 'a\tb "c" $d "e"'),
        ("$x = 5; \"$x ${x}y $($x + 1) $env:SystemRoot\"", r"5 5y 6 C:\Windows"),
        ("$x = @{ a = 1 }; \"$($x.a) user@contoso.com\"", "1 user@contoso.com"),
        ("$x = 1, 2; \"<$x>\"", "<1 2>"),
        ("@'\na $x\n'@", "a $x"),
        ("$x = 1; @\"\na $x \"q\"\n\"@", 'a 1 "q"'),
        ("1gb; 0x10; 1.5; 2mb - 1mb", "1073741824 16 1.5 1048576"),
        ("$true; $false; $null", "True False"),
        # Arithmetic.
        ("1 + 2 * 3; (1 + 2) * 3; 7 / 2; 6 / 2; -7 % 3; -(1)", "7 9 3.5 3 -1 -1"),
        ("'a' + 1; 'ab' * 2; 1 + '2'", "a1 abab 3"),
        ("(@(1, 2) + 3).Count; ((1, 2) + (3, 4)).Count", "3 4"),
        ("$i = 1; $i++; $i += 2; $i; $i -= 1; $i *= 3; $i /= 3; $i", "4 3"),
        # Comparison.
        ("'A' -eq 'a'; 'A' -ceq 'a'; 'a' -ne 'b'; 1 -eq '1'; '1' -eq 1; $true -eq 1", "True False True True True True"),
        ("2 -lt 10; '2' -lt '10'; 3 -ge 3; 3 -gt 3; 2 -le 1", "True False True False False"),
        ("$null -eq $null; $null -eq 0; 0 -eq $null; '' -eq $null", "True False False False"),
        ("(1, 2, 3) -gt 1", "2 3"),
        ("@('a', 'b') -contains 'A'; 'B' -in 'a', 'b'; 3 -notin 0, 3010", "True True True"),
        ("'abc' -like 'A*'; 'abc' -like 'a?'; 'abc' -notlike '[x-z]*'", "True False True"),
        ("'abc' -match 'B(.)'; $Matches[0]; $Matches[1]", "True bc c"),
        ("'v=7' -match '(?<number>\\d)' | Out-Null; $Matches.number", "7"),
        ("@('ab', 'cd', 'ae') -match '^a'", "ab ae"),
        ("[bool](@('x') -match 'y'); [bool](@('x') -match 'x')", "False True"),
        ("'a' -is [string]; 1 -is [string]; 1 -isnot [string]; @() -is [array]", "True False True True"),
        # Logic.
        ("-not $false -and !($false) -or $false; $true -xor $true", "True False"),
        ("$false -and (1 / 0); $true -or (1 / 0)", "False True"),
        ("if (@()) { 1 } elseif (@(0)) { 2 } elseif (@(0, 0)) { 3 } else { 4 }", "3"),
        # Other operators.
        ("'{0}-{1:N1}-{2,4}|{3:D3}|{{}}' -f 'a', 1234.56, 'b', 7", "a-1,234.6-   b|007|{}"),
        ("(1, 2, 3) -join ', '; 'a,b' -split ','", "1, 2, 3 a b"),
        ("'a  b' -replace '\\s+', '-'; 'ab' -replace '(a)(b)', '$2$1'; 'ab' -replace 'B'", "a-b ba a"),
        ("1..3; 3..1", "1 2 3 3 2 1"),
        # Casts.
        ("[int]'5' + 1; [int]2.5; [string]5 + '1'; [bool]'false'; [double]'1.5'; [int]$null", "6 2 51 True 1.5 0"),
        ("([string[]](1, 2))[1] + '!'; ([array]1).Count", "2! 1"),
        ("[int]$n = '7'; $n = '8'; $n + 1", "9"),
        ("[void]5; ([pscustomobject]@{ a = 1 }).A", "1"),
        # Arrays and hashtables.
        ("$a = 1, 2, 3; $a.Count; $a[0]; $a[-1]; $a[0, 2]; $a[0..1]", "3 1 3 1 3 1 2"),
        ("@().Count; @($null).Count; @(5).Count; (,(1, 2)).Count; @(@(1, 2)).Count", "0 1 1 1 2"),
        ("$a = 1, 2; $a[0] = 9; $a", "9 2"),
        ("$h = @{ A = 1; 'b c' = 2 }; $h.a; $h['B C']; $h.'b c'; $h.Count; $h.Missing", "1 2 2 2"),
        ("$h = @{}; $h.x = 1; $h['y'] = 2; $h.Add('z', 3); $h.ContainsKey('Z'); $h.Keys", "True x y z"),
        ("(@{ n = 'a' }, @{ n = 'b' }).n", "a b"),
        # Members.
        ("' a '.Trim(); 'C:'.TrimEnd(':'); 'a-b'.Split('-')", "a C a b"),
        ("'abc'.Substring(1); 'abc'.Substring(0, 1)", "bc a"),
        ("'abc'.Length; 'abc'.ToUpper(); 'abc'.StartsWith('ab'); 'abc'.Replace('b', ''); 'abc'[1]", "3 ABC True ac b"),
        ("[string]::IsNullOrEmpty(''); [string]::IsNullOrWhiteSpace(' x'); [math]::Round(2.345, 1)", "True False 2.3"),
        ("[System.IO.Path]::Combine('C:\\a', 'b'); 'a'.GetType().Name; (5).ToString()", r"C:\a\b String 5"),
        ("$name = 'Length'; 'abc'.$name", "3"),
        # Flow.
        ("foreach ($i in 1..5) { if ($i -eq 2) { continue }; if ($i -eq 4) { break }; $i }", "1 3"),
        ("foreach ($i in $null) { 'never' }; foreach ($i in 'x') { $i }", "x"),
        ("$i = 0; while ($true) { $i++; if ($i -gt 3) { break } }; $i", "4"),
        ("$x = if ($true) { 1 } else { 2 }; $x; $y = foreach ($i in 1, 2) { $i * 2 }; $y", "1 2 4"),
        ("if (($x = 5) -eq 5) { $x }", "5"),
        ("'a'; return 'b'; 'never'", "a b"),
        # Pipelines.
        ("1..5 | Where-Object { $_ -gt 1 } | Where-Object { $_ -lt 4 }", "2 3"),
        ("$_ = 'outer'; 1, 2 | Where-Object { @(3 | Where-Object { $_ -eq 3 }).Count -eq $_ }; $_", "1 outer"),
        ("(@{ a = 'x' }, @{ a = 'y' } | Where-Object { $_.a -eq 'y' }).a", "y"),
        ("$n = 0; 1..3 | Where-Object { $n += $_ }; $n", "6"),
        ("@(1..3 | Where-Object { $_ -gt 5 }).Count; (1..3 | Out-Null) -eq $null", "0 True"),
        ("Write-Output (1, 2) | Where-Object { \"<$_>\" -eq '<2>' }; 'a' | Write-Output", "2 a"),
        # Functions.
        ("function Add-One { param([int]$N = 1)\n $N + 1\n}\nAdd-One; Add-One 5; Add-One -N 6", "2 6 7"),
        ("function Get-It($A, $B) { \"$A/$B\" }\nGet-It 1 2; Get-It -B 3 -A 4", "1/2 4/3"),
        ("function Get-It { 'a'; return 'b'\n'c' }\n(Get-It) -join '+'", "a+b"),
        ("$x = 1\nfunction Set-It { $x = 2; $x }\nSet-It; $x", "2 1"),
        ("function Get-It { param([switch]$On)\n $On\n}\nGet-It -On; Get-It; Get-It -On:$false", "True False False"),
        ("function Get-It($A, $B) { \"$A/$B\" }\n$h = @{ A = 1; B = 2 }; $l = 3, 4; Get-It @h; Get-It @l", "1/2 3/4"),
        # Errors.
        ("try { throw 'no' } catch { $_.Exception.Message; \"$_\" }", "no no"),
        ("try { 'a' } finally { 'b' }; try { throw 'x' } catch { 'c' } finally { 'd' }", "a b c d"),
        ("try { try { throw 'x' } finally { 'f' } } catch { 'c' }", "f c"),
        ("try { try { throw 'x' } catch { throw } } catch { \"again $_\" }", "again x"),
        ("try { throw [IO.IOException]::new('') } catch [ArgumentException] { 1 } catch [IO.IOException] { 2 }", "2"),
        ("try { 1 / 0 } catch [System.SystemException] { $_.Exception.Message }", "Attempted to divide by zero."),
        ("try { Get-Service -Name x -ErrorAction Stop } catch { $_.Exception.GetType().FullName }",
         "Microsoft.PowerShell.Commands.ServiceCommandException"),
        ("Get-Service -Name x -ErrorAction SilentlyContinue; 'on'", "on"),
        ("$ErrorActionPreference = 'stop'; try { Get-Service x } catch { \"caught $_\" }",
         "caught Cannot find any service with service name 'x'."),
    ],
)  # fmt: skip
def test_expression_gives_what_powershell_gives(guest: Guest, expression: str, printed: str) -> None:
    assert " ".join(output(guest, expression)) == printed


@pytest.mark.parametrize(
    ("script", "message", "place"),
    [
        ("'a'\nthrow 'no way'", "no way", "At line:2 char:1"),
        ("[int]'x'", 'Cannot convert value "x" to type "System.Int32"', "At line:1 char:1"),
        ("[int]4gb", "too large or too small for an Int32", "At line:1 char:1"),
        ("1 / 0", "Attempted to divide by zero.", "At line:1 char:1"),
        ("$null.Trim()", "You cannot call a method on a null-valued expression.", "At line:1 char:1"),
        ("$x = $null; $x[0]", "Cannot index into a null array.", "At line:1 char:13"),
        ("'abc'.Substring(5)", 'Exception calling "Substring"', "At line:1 char:1"),
        ("'{1}' -f 'a'", "Error formatting a string", "At line:1 char:1"),
        ("$true = 1", "Cannot overwrite variable true", "At line:1 char:1"),
        ("Get-Service -Name x", "Get-Service : Cannot find any service with service name 'x'.", "At line:1 char:1"),
        ("if (1) {\n  Get-Item 'HKLM:\\No'\n}", "Cannot find path 'HKLM:\\No' because it", "At line:2 char:3"),
        ("Resize-Partition -DriveLetter C", "missing mandatory parameters: Size.", "At line:1 char:1"),
        ("Resize-Partition -DriveLetter C -Size big", "on parameter 'Size'", "At line:1 char:1"),
        ("Resize-Partition -DriveLetter CD -Size 1", "String must be exactly one character long.", "At line:1 char:1"),
        ("New-Item -Path", "Missing an argument for parameter 'Path'.", "At line:1 char:1"),
        ("New-Item -Path a -Path b", "specified more than once", "At line:1 char:1"),
        ("Set-ItemProperty -Path 'HKLM:\\SOFTWARE' -Name x -Value ''", "null or an empty", "At line:1 char:1"),
        ("function F {\n param([Parameter(Mandatory)]$A)\n}\nF", "mandatory parameters: A.", "At line:4 char:1"),
        ("function F { throw 'in' }\nF", "in", "At line:1 char:14"),
        ("try { throw 'a' } catch [System.IO.IOException] { 'no' }", "a", "At line:1 char:7"),
        ("try { throw 'a' } finally { 'f' }", "a", "At line:1 char:7"),
        ("throw", "ScriptHalted", "At line:1 char:1"),
    ],
)  # fmt: skip
def test_error_ends_the_script_with_its_message_and_place(guest: Guest, script: str, message: str, place: str) -> None:
    result = run(guest, f"$ErrorActionPreference = 'Stop';{script}; 'never'")
    assert result.exit_code == 1
    assert message in result.error
    line, char = (int(part.split(":")[1]) for part in place.split()[1:])
    offset = len("$ErrorActionPreference = 'Stop';") if line == 1 else 0
    assert f"At line:{line} char:{char + offset}\n+ " in result.error
    assert "never" not in result.output


@pytest.mark.parametrize(
    ("script", "named"),
    [
        ("Get-ADUser", "'Get-ADUser'"),
        ("shutdown.exe /s", "'shutdown.exe'"),
        ("& 'C:\\tool.exe'", "C:\\tool.exe"),
        ("reagentc.exe /enable", "/enable"),
        ("Get-Service -Name x -ComputerName y", "'ComputerName'"),
        ("Get-Service x y", "'y'"),
        ("New-Item -Path 'HKLM:\\a' -Verbose", "'Verbose'"),
        ("Set-StrictMode -Version 1.0", "1.0"),
        ("New-NetFirewallRule -DisplayName a -Enabled $true", "'Enabled'"),
        ("Get-Item 'HKCU:\\a'", "HKCU:\\a"),
        ("Get-Item 'HKLM:\\a*'", "HKLM:\\a*"),
        ("'a'.Normalize()", "Normalize"),
        ("(Get-Service TermService).CanStop", "CanStop"),
        ("(5).Length2", "Length2"),
        ("[datetime]::Now", "[datetime]"),
        ("[math]::Pow(2, 3)", "Pow"),
        ("try { 1 } catch [No.Such] { }", "[No.Such]"),
        ("$PSVersionTable", "$PSVersionTable"),
        ("$env:PATH", "$env:PATH"),
        ("$VerbosePreference = 'Continue'", "$VerbosePreference"),
        ("$script:a = 1", "$a"),
        ("1 -shl 2", "-shl"),
        ("1 -band 2", "-band"),
        ("'a' > 'C:\\x'", "> 'C:\\x'"),
        ("reagentc.exe /info 2>&1", "2>&1"),
        ("for ($i = 0; $i -lt 3; $i++) { }", "for statement"),
        ("do { } while ($false)", "do statement"),
        ("trap { }", "trap statement"),
        ("class A { }", "class statement"),
        ("filter F { }", "filter"),
        (". 'C:\\x.ps1'", "dot sourcing"),
        ("Write-Output ('a') -join ','", "-join"),
        ("Write-Output a$b", "a$b"),
        ("$a, $b = 1, 2", "assignment"),
        ("param([ValidatePattern('x')]$A) 1", "ValidatePattern"),
        ("#Requires -Version 7\n1", "#Requires"),
        ("@{ a = 1 }", "System.Collections.Hashtable"),
        ("Get-Service TermService", "ServiceController"),
        ("{ 1 } | Out-Null; \"$({ 1 })\"", "script block"),
        ("while ($true) { }", "10000 rounds"),
        ("Start-Process msiexec.exe", "-Wait"),
        ("break", "break"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "frame", ["{}", "$ErrorActionPreference = 'SilentlyContinue'; try {{ {} }} catch {{ 'hidden' }}"]
)
def test_what_is_not_simulated_fails_by_name_and_no_catch_hides_it(
    guest: Guest, script: str, named: str, frame: str
) -> None:
    if "param(" in script or "#Requires" in script:
        frame = "{}"
    result = run(guest, f"'first'\n{frame.format(script)}" if "param(" not in script else script)
    assert result.exit_code == 1
    assert named in result.error
    assert "At line:" in result.error
    assert "hidden" not in result.output


@pytest.mark.parametrize(
    "script",
    [
        "if ($true) { 'a'",
        "'a",
        "foreach ($x on 1) { }",
        "if $true { }",
        "'a' }",
        "Write-Output ('a'",
        "$x = @{ a = }",
        "try { 1 }",
        '"$name: x"',
        '"$name?"',
        "1 ? 2 : 3",
        "'a' && 'b'",
    ],
)
def test_what_windows_powershell_cannot_parse_does_not_run_at_all(guest: Guest, script: str) -> None:
    result = run(guest, f"'first'\n{script}")
    assert result.exit_code == 1
    assert result.output == ""
    assert "At line:2" in result.error or "At line:1" in result.error


def test_construct_that_is_not_simulated_fails_in_a_branch_that_is_never_taken(guest: Guest) -> None:
    result = run(guest, "'first'\nif ($false) { switch (1) { 1 { 2 } } }")
    assert (result.exit_code, result.output) == (1, "")
    assert "switch" in result.error


def test_exit_ends_the_script_with_its_code(guest: Guest) -> None:
    assert run(guest, "'a'; try { exit 3 } catch { 'b' }; 'c'") == ScriptResult(3, "a", "")
    assert run(guest, "exit").exit_code == 0


def test_error_without_stop_is_printed_and_the_script_goes_on(guest: Guest) -> None:
    result = run(guest, "Get-Service x; 'on'; [int]'x'; 'and on'")
    assert (result.exit_code, result.output) == (0, "on\nand on")
    assert "Get-Service : Cannot find any service" in result.error
    assert "Cannot convert value" in result.error


def test_throw_ends_the_script_whatever_the_preference(guest: Guest) -> None:
    result = run(guest, "$ErrorActionPreference = 'SilentlyContinue'; throw 'no'; 'never'")
    assert (result.exit_code, result.output) == (1, "")


def test_strict_mode_makes_what_is_missing_an_error(guest: Guest) -> None:
    loose = "$a = @{}; $x = $unset; $y = $a.missing; $z = @(1)[5]; $n = (5).Count; 'ok'"
    assert output(guest, loose) == ["ok"]
    for script, message in {
        "$unset": "The variable '$unset' cannot be retrieved because it has not been set.",
        "$a = @{}; $a.missing": "The property 'missing' cannot be found on this object.",
        "@(1)[5]": "Index was outside the bounds of the array.",
        "(5).Count": "The property 'Count' cannot be found on this object.",
        "$x = $null; $x.Name": "The property 'Name' cannot be found on this object.",
        "$LASTEXITCODE": "The variable '$LASTEXITCODE' cannot be retrieved",
    }.items():
        result = run(guest, f"Set-StrictMode -Version Latest; $ErrorActionPreference = 'Stop'; {script}")
        assert result.exit_code == 1
        assert message in result.error


PARAMETERS = """
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)] [ValidateNotNullOrEmpty()] [string]$Name,
    [ValidateSet('red', 'green')] [string]$Color = 'red',
    [int]$Count = 1 + 1
)
"$Name $Color $($Count + 1)"
"""


@pytest.mark.parametrize(
    ("parameters", "printed", "error"),
    [
        ({"Name": "a"}, "a red 3", ""),
        ({"name": "a b", "COLOR": "GREEN", "Count": "5"}, "a b GREEN 6", ""),
        ({}, "", "missing mandatory parameters: Name."),
        ({"Name": ""}, "", "null or an empty string"),
        ({"Name": "a", "Color": "blue"}, "", 'does not belong to the set "red,green"'),
        ({"Name": "a", "Count": "many"}, "", "Cannot process argument transformation on parameter 'Count'."),
        ({"Name": "a", "Colour": "red"}, "", "A parameter cannot be found that matches parameter name 'Colour'."),
    ],
)
def test_script_parameters_are_bound_as_declared(
    guest: Guest, parameters: dict[str, str], printed: str, error: str
) -> None:
    result = run_script(guest, PARAMETERS, parameters)
    assert (result.exit_code, result.output) == (1 if error else 0, printed)
    assert error in result.error


def test_registry_follows_the_providers_rules(guest: Guest) -> None:
    key = r"HKLM:\Software\Vendor\Product"
    assert "does not exist" in run(guest, f"New-Item '{key}' | Out-Null").error
    output(guest, f"New-Item '{key}' -Force | Out-Null")
    assert "already exists" in run(guest, f"New-Item '{key}' | Out-Null").error
    assert output(guest, r"Test-Path 'hklm:\SOFTWARE\vendor'; Test-Path 'HKLM:\Software\Other'") == ["True", "False"]

    output(
        guest, f"New-ItemProperty '{key}' N -PropertyType DWord -Value 5 | Out-Null; Set-ItemProperty '{key}' S text"
    )
    assert guest.registry_value(key, "n") == 5
    assert "The property already exists." in run(guest, f"New-ItemProperty '{key}' N -Value 6 | Out-Null").error
    output(guest, f"Set-ItemProperty '{key}' N '7'")
    assert output(guest, f"$k = Get-Item '{key}'; $k.GetValueKind('N'); $k.GetValue('N') + 1; $k.GetValueNames()") == [
        "DWord", "8", "N", "S",
    ]  # fmt: skip
    assert output(guest, f"(Get-Item '{key}').GetValue('S')") == ["text"]
    assert output(guest, f"$null -eq (Get-Item '{key}').GetValue('x')") == ["True"]
    assert "Cannot convert" in run(guest, f"Set-ItemProperty '{key}' N text").error

    output(guest, f"New-Item '{key}' -Force | Out-Null")
    assert guest.registry_value(key, "n") is None


def test_files_appear_and_disappear(guest: Guest) -> None:
    folder = r"C:\Windows\Temp\work"
    before = asdict(guest)
    uri = "https://query.prod.cms.rt.microsoft.com/cms/api/am/binary/RWrmXv"
    assert (
        "Could not find a part of the path" in run(guest, f"Invoke-WebRequest {uri} -OutFile '{folder}\\a.msi'").error
    )
    output(
        guest, f"New-Item '{folder}' -ItemType Directory | Out-Null; Invoke-WebRequest {uri} -OutFile '{folder}\\a.msi'"
    )
    assert output(guest, f"Test-Path '{folder}\\A.msi'") == ["True"]
    assert (
        "could not be resolved: 'example.org'"
        in run(guest, f"Invoke-WebRequest 'https://example.org/x' -OutFile '{folder}\\b'").error
    )
    assert run(guest, f"$ErrorActionPreference = 'Stop'; Remove-Item '{folder}'").exit_code == 1
    output(guest, f"Remove-Item '{folder}' -Recurse")
    assert asdict(guest) == before


def test_partition_grows_to_its_neighbour_and_no_further(guest: Guest) -> None:
    sizes = "$s = Get-PartitionSupportedSize -DriveLetter C; $p = Get-Partition -DriveLetter c; $s.SizeMax - $p.Size"
    assert output(guest, sizes) == [str((256 - 127) * GIB)]
    resize = "Resize-Partition -DriveLetter C -Size (Get-PartitionSupportedSize -DriveLetter C).SizeMax"
    output(guest, resize)
    assert output(guest, sizes) == ["0"]
    assert guest.disk.partitions[-1].end == 256 * GIB - MIB
    assert "The partition is already the requested size." in run(guest, resize).error
    assert "Not enough available capacity" in run(guest, "Resize-Partition -DriveLetter C -Size 1tb").error
    assert "'DriveLetter' equal to 'E'" in run(guest, "Get-Partition -DriveLetter E").error


def test_firewall_block_rule_beats_allow_rules(guest: Guest) -> None:
    assert guest.inbound_port_open(3389, "TCP")
    assert not guest.inbound_port_open(445, "TCP")
    block = "-Action Block -Protocol TCP -LocalPort 3389 -Profile Public"
    new = f"New-NetFirewallRule -Name b -DisplayName B {block} | Out-Null"
    output(guest, new)
    assert guest.inbound_port_open(3389, "TCP"), "still open on the other profiles"
    output(guest, "Set-NetFirewallRule -Name b -Profile Any")
    assert not guest.inbound_port_open(3389, "TCP")
    assert guest.inbound_port_open(3389, "UDP")
    assert "already exists" in run(guest, new).error
    output(guest, "Set-NetFirewallRule -Name b -Enabled False")
    assert guest.inbound_port_open(3389, "TCP")
    # Both members of this enumeration count as true.
    assert output(guest, "$r = Get-NetFirewallRule b; [bool]$r.Enabled; $r.Enabled -eq 'True'; $r.Enabled") == [
        "True", "False", "False",
    ]  # fmt: skip
    output(guest, "Set-NetFirewallRule 'RemoteDesktop-UserMode-In-TCP' -Enabled False")
    assert not guest.inbound_port_open(3389, "TCP")
    guest.firewall_profiles["Public"] = False
    assert guest.inbound_port_open(3389, "TCP")


def test_accounts_are_found_where_the_machine_is_joined_to(guest: Guest) -> None:
    add = "$ErrorActionPreference = 'Stop'; Add-LocalGroupMember -SID S-1-5-32-544 -Member '{}'"
    assert "Principal AzureAD\\a@b.c was not found." in run(guest, add.format(r"AzureAD\a@b.c")).error
    assert guest.groups[0].members == [r"CPC-1\localadmin"]
    guest.entra_joined = True
    output(guest, add.format(r"AzureAD\a@b.c"))
    assert "is already a member of group Administrators." in run(guest, add.format(r"azuread\A@b.c")).error
    assert "Principal a@b.c was not found." in run(guest, add.format("a@b.c")).error
    guest.domain = "b.c"
    assert "Principal a@b.c was not found." in run(guest, add.format("a@b.c")).error
    assert guest.groups[0].members == [r"CPC-1\localadmin", r"AzureAD\a@b.c"]


def test_native_programs_set_the_exit_code(guest: Guest) -> None:
    assert output(guest, "reagentc.exe /disable | Out-Null; $LASTEXITCODE; reagentc /disable; $LASTEXITCODE") == [
        "0", "REAGENTC.EXE: Windows RE is already disabled.", "2",
    ]  # fmt: skip
    path = "& \"$env:SystemRoot\\System32\\dsregcmd.exe\" /status | Where-Object { $_ -match 'AzureAdJoined' }"
    assert output(guest, path) == ["             AzureAdJoined : NO"]
    process = "(Start-Process msiexec.exe -ArgumentList '/i', 'C:\\no.msi', '/quiet' -Wait -PassThru).ExitCode"
    assert output(guest, process) == ["1619"]


def test_guest_is_plain_data_and_refuses_unknown_defects(guest: Guest) -> None:
    assert json.loads(json.dumps(asdict(guest)))["computer_name"] == "CPC-1"
    with pytest.raises(ValueError, match="no-such-defect"):
        Guest.create(computer_name="a", vm_id="b", disk_size_gib=128, admin_username="c", defects={"no-such-defect"})
