"""Cmdlets over the registry and the file system.

Source of the semantics: https://learn.microsoft.com/powershell/module/microsoft.powershell.core/about/about_registry_provider
"""

import re
from collections.abc import Sequence

from simulator.windows.cmdlets import BINDING_EXCEPTION, SWITCH, Call, Parameter, cmdlet
from simulator.windows.errors import NotSimulated
from simulator.windows.guest import RegistryKey, RegistryValue
from simulator.windows.values import CUSTOM_OBJECT, Array, EnumValue, PSObject, Value, convert, to_text

_NOT_FOUND = "System.Management.Automation.ItemNotFoundException"
_PATHS = (Parameter("Path", position=0), Parameter("LiteralPath"))
_NAME = Parameter("Name", mandatory=True, position=1)
_KINDS = {"String": 1, "ExpandString": 2, "DWord": 4, "QWord": 11}
_NUMBER_TYPES = {"DWord": "System.UInt32", "QWord": "System.UInt64"}


def _path(call: Call) -> str:
    """Return the path that a cmdlet is to work on."""
    if not call.has("Path") and not call.has("LiteralPath"):
        raise call.failure(
            "Cannot process command because of one or more missing mandatory parameters: Path.", BINDING_EXCEPTION
        )
    path = call.text("LiteralPath") or call.text("Path")
    if call.has("Path") and re.search(r"[*?\[\]]", path):
        raise NotSimulated(f"{call.name} : The simulated Windows expands no wildcards: {path}.")
    return path


def _registry_path(path: str) -> str | None:
    r"""Return a registry path as `HKLM:\...`, or None for a path of the file system.

    Raises:
        NotSimulated: The path leads somewhere else.

    """
    if found := re.fullmatch(r"(?:HKLM:|(?:Registry::)HKEY_LOCAL_MACHINE)(\\.*)", path, re.IGNORECASE):
        return f"HKLM:{found[1]}"
    if re.match(r"C:\\", path, re.IGNORECASE):
        return None
    raise NotSimulated(f"The simulated Windows does not know the path {path}.")


def _key(call: Call) -> RegistryKey | None:
    """Return the registry key that a cmdlet is to work on, or None after its absence has been reported."""
    path = _path(call)
    registry_path = _registry_path(path)
    if registry_path is None:
        raise NotSimulated(f"{call.name} : The simulated Windows knows no properties of files.")
    key = call.guest.registry_key(registry_path)
    if key is None:
        _report_absence(call, path)
    return key


def _report_absence(call: Call, path: str) -> None:
    call.report(f"Cannot find path '{path}' because it does not exist.", _NOT_FOUND)


def _key_name(key: RegistryKey) -> str:
    return key.path.replace("HKLM", "HKEY_LOCAL_MACHINE", 1)


def _key_object(call: Call, key: RegistryKey) -> PSObject:
    def get_value(arguments: list[Value]) -> Value:
        value = key.values.get(to_text(arguments[0]).lower())
        return value.value if value else (arguments[1] if len(arguments) > 1 else None)

    def get_value_kind(arguments: list[Value]) -> Value:
        value = key.values.get(to_text(arguments[0]).lower())
        if value is None:
            raise call.failure(
                'Exception calling "GetValueKind" with "1" argument(s): "The specified registry key does not exist."',
                "System.IO.IOException",
            )
        return EnumValue(value.type, _KINDS[value.type])

    return PSObject(
        "Microsoft.Win32.RegistryKey",
        {"Name": _key_name(key)},
        text=_key_name(key),
        methods={
            "GetValue": get_value,
            "GetValueKind": get_value_kind,
            "GetValueNames": lambda _: Array(value.name for value in key.values.values()),
        },
    )


@cmdlet("Test-Path", *_PATHS)
def test_path(call: Call) -> Sequence[Value]:
    """Return whether a registry key, file or directory exists."""
    path = _path(call)
    registry_path = _registry_path(path)
    if registry_path is not None:
        return [call.guest.registry_key(registry_path) is not None]
    folded = path.rstrip("\\").lower()
    return [folded in call.guest.files or folded in call.guest.directories]


@cmdlet("Get-Item", *_PATHS)
def get_item(call: Call) -> Sequence[Value]:
    """Return a registry key."""
    key = _key(call)
    return [_key_object(call, key)] if key else []


@cmdlet(
    "New-Item",
    Parameter("Path", mandatory=True, position=0),
    Parameter("ItemType", known=("Directory",)),
    Parameter("Force", SWITCH),
)
def new_item(call: Call) -> Sequence[Value]:
    """Make a registry key or a directory. -Force makes its ancestors, and empties a key that exists."""
    path = _path(call)
    registry_path = _registry_path(path)
    if registry_path is None:
        return _new_directory(call, path)
    guest, force = call.guest, call.flag("Force")
    existing = guest.registry_key(registry_path)
    if existing and not force:
        call.report("A key in this path already exists.", "System.IO.IOException")
        return []
    if not force and not guest.registry_key(registry_path.rpartition("\\")[0]):
        call.report("The registry key at the specified path does not exist.", "System.ArgumentException")
        return []
    if not _may_write(call, registry_path):
        return []
    if existing:
        guest.delete_registry_key(registry_path)
    return [_key_object(call, guest.create_registry_key(registry_path))]


def _new_directory(call: Call, path: str) -> Sequence[Value]:
    if call.text("ItemType") != "Directory":
        raise NotSimulated(f"{call.name} : The simulated Windows makes no files, only directories.")
    folded = path.rstrip("\\").lower()
    if folded in call.guest.directories and not call.flag("Force"):
        call.report(f"An item with the specified name {path} already exists.", "System.IO.IOException")
        return []
    if folded not in call.guest.directories:
        call.guest.directories.append(folded)
    name = path.rstrip("\\").rpartition("\\")[2]
    return [PSObject("System.IO.DirectoryInfo", {"FullName": path, "Name": name}, text=path)]


def _may_write(call: Call, path: str) -> bool:
    """Return whether a registry key may be written, after a refusal has been reported."""
    if call.guest.denies_writing(path):
        call.report("Requested registry access is not allowed.", "System.Security.SecurityException")
        return False
    return True


@cmdlet("Remove-Item", *_PATHS, Parameter("Recurse", SWITCH), Parameter("Force", SWITCH))
def remove_item(call: Call) -> Sequence[Value]:
    """Delete a file, or a directory with what is in it."""
    guest, path = call.guest, _path(call)
    if _registry_path(path) is not None:
        raise NotSimulated(f"{call.name} : The simulated Windows removes no registry keys.")
    folded = path.rstrip("\\").lower()
    below = [name for name in (*guest.files, *guest.directories) if name.startswith(f"{folded}\\")]
    if below and not call.flag("Recurse"):
        raise call.failure(
            "Windows PowerShell is in NonInteractive mode. Read and Prompt functionality is not available."
        )
    if folded not in guest.files and folded not in guest.directories:
        _report_absence(call, path)
    for name in (folded, *below):
        guest.files.pop(name, None)
    guest.directories = [name for name in guest.directories if name not in (folded, *below)]
    return []


@cmdlet(
    "New-ItemProperty",
    *_PATHS,
    _NAME,
    Parameter("PropertyType", known=tuple(_KINDS)),
    Parameter("Value", "System.Object"),
    Parameter("Force", SWITCH),
)
def new_item_property(call: Call) -> Sequence[Value]:
    """Make a registry value. -Force replaces one that exists, its kind too."""
    key, name = _key(call), call.text("Name")
    if not key:
        return []
    if name.lower() in key.values and not call.flag("Force"):
        call.report("The property already exists.", "System.IO.IOException")
        return []
    if not _may_write(call, key.path):
        return []
    _write(call, key, name, call.text("PropertyType"))
    written = key.values[name.lower()]
    return [PSObject(CUSTOM_OBJECT, {written.name: written.value})]


@cmdlet(
    "Set-ItemProperty",
    *_PATHS,
    _NAME,
    Parameter("Value", "System.Object", mandatory=True, position=2),
    Parameter("Type", known=tuple(_KINDS)),
    Parameter("Force", SWITCH),
)
def set_item_property(call: Call) -> Sequence[Value]:
    """Set a registry value; one that exists keeps its kind unless -Type says otherwise."""
    key, name = _key(call), call.text("Name")
    if key and _may_write(call, key.path):
        existing = key.values.get(name.lower())
        _write(call, key, name, call.text("Type") or (existing.type if existing else ""))
    return []


def _write(call: Call, key: RegistryKey, name: str, kind: str) -> None:
    value = call.arguments.get("Value")
    if not isinstance(value, int | str | None) or isinstance(value, bool):
        raise NotSimulated(f"{call.name} : The simulated registry holds integers and texts only.")
    kind = kind or ("DWord" if isinstance(value, int) else "String")
    data = convert(value, _NUMBER_TYPES.get(kind, "System.String"))
    existing = key.values.get(name.lower())
    assert isinstance(data, int | str)  # noqa: S101 - what convert promises
    key.values[name.lower()] = RegistryValue(existing.name if existing else name, kind, data)
