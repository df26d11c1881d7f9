"""Cmdlets over the disk.

Source of the errors: https://learn.microsoft.com/windows-hardware/drivers/storage/resize-msft-partition
"""

from collections.abc import Sequence

from simulator.windows.cmdlets import Call, Parameter, cmdlet
from simulator.windows.guest import GIB, MIB, Partition
from simulator.windows.values import PSObject, Value

_CIM_EXCEPTION = "Microsoft.Management.Infrastructure.CimException"
_USED_BY_WINDOWS = 32 * GIB
"""What a shrinking C: must leave room for, in bytes."""


def _partition(call: Call) -> Partition | None:
    """Return the partition with the drive letter, or None after its absence has been reported."""
    letter = call.text("DriveLetter")
    partition = call.guest.disk.with_letter(letter)
    if partition is None:
        call.report(
            f"No MSFT_Partition objects found with property 'DriveLetter' equal to '{letter}'.  "
            "Verify the value of the property and retry.",
            _CIM_EXCEPTION,
        )
    return partition


def _partition_object(partition: Partition) -> PSObject:
    return PSObject(
        "Microsoft.Management.Infrastructure.CimInstance",
        {
            "DiskNumber": 0,
            "PartitionNumber": partition.number,
            "DriveLetter": partition.drive_letter,
            "Offset": partition.offset,
            "Size": partition.size,
            "Type": partition.type,
        },
    )


@cmdlet("Get-Partition", Parameter("DriveLetter", "System.Char"))
def get_partition(call: Call) -> Sequence[Value]:
    """Return the partitions, or the one with a drive letter."""
    if not call.has("DriveLetter"):
        return [_partition_object(partition) for partition in call.guest.disk.partitions]
    partition = _partition(call)
    return [_partition_object(partition)] if partition else []


@cmdlet("Get-Disk", Parameter("Number", "System.UInt32", mandatory=True, position=0))
def get_disk(call: Call) -> Sequence[Value]:
    """Return the disk."""
    number, disk = call.integer("Number"), call.guest.disk
    if number != 0:
        call.report(
            f"No MSFT_Disk objects found with property 'Number' equal to '{number}'.  "
            "Verify the value of the property and retry.",
            _CIM_EXCEPTION,
        )
        return []
    sizes: dict[str, Value] = {"Number": 0, "Size": disk.size, "LargestFreeExtent": disk.largest_free_extent}
    return [PSObject("Microsoft.Management.Infrastructure.CimInstance", sizes)]


@cmdlet("Get-PartitionSupportedSize", Parameter("DriveLetter", "System.Char", mandatory=True))
def get_partition_supported_size(call: Call) -> Sequence[Value]:
    """Return the sizes between which a partition can be resized."""
    partition = _partition(call)
    if not partition:
        return []
    sizes: dict[str, Value] = {
        "SizeMin": min(partition.size, _USED_BY_WINDOWS),
        "SizeMax": call.guest.disk.size_max(partition),
    }
    return [PSObject("Microsoft.Management.Infrastructure.CimInstance", sizes)]


@cmdlet(
    "Resize-Partition",
    Parameter("DriveLetter", "System.Char", mandatory=True),
    Parameter("Size", "System.UInt64", mandatory=True),
)
def resize_partition(call: Call) -> Sequence[Value]:
    """Resize a partition and its file system."""
    partition = _partition(call)
    if not partition:
        return []
    size = call.integer("Size")
    growth = size - partition.size
    if "disk-partition" in call.guest.defects or size > call.guest.disk.size_max(partition):
        call.report("Not enough available capacity", _CIM_EXCEPTION)
    elif growth == 0:
        call.report(
            "Size Not Supported\n\nExtended information:\nThe partition is already the requested size.", _CIM_EXCEPTION
        )
    elif 0 < growth < MIB:
        call.report("The size of the extent is less than the minimum of 1MB.", _CIM_EXCEPTION)
    elif size < min(partition.size, _USED_BY_WINDOWS):
        call.report("Size Not Supported", _CIM_EXCEPTION)
    else:
        partition.size = size
    return []
