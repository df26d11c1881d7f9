<#
.SYNOPSIS
Extends the Windows partition as far as its place on the disk allows.

.NOTES
Source: https://learn.microsoft.com/windows-365/enterprise/automated-provisioning-steps
        https://learn.microsoft.com/powershell/module/storage/resize-partition
#>
[CmdletBinding()]
param()

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$letter = $env:SystemDrive.TrimEnd(':')
$partition = Get-Partition -DriveLetter $letter
$sizeMax = (Get-PartitionSupportedSize -DriveLetter $letter).SizeMax

# Resize-Partition refuses to extend by less than 1 MiB.
if ($sizeMax - $partition.Size -ge 1mb) {
    Resize-Partition -DriveLetter $letter -Size $sizeMax
    $partition = Get-Partition -DriveLetter $letter
    if ($sizeMax - $partition.Size -ge 1mb) {
        throw "${letter}: has $($partition.Size) bytes, though Resize-Partition reported success in extending it to $sizeMax."
    }
}

# What lies behind another partition, such as a recovery partition, is out of reach.
$unreachable = (Get-Disk -Number $partition.DiskNumber).LargestFreeExtent
Write-Output ('{0}: has {1:N1} GiB, the most that its place allows; {2:N1} GiB of the disk stay unallocated.' -f $letter, ($partition.Size / 1gb), ($unreachable / 1gb))
