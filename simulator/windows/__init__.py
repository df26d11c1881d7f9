"""The Windows inside each simulated virtual machine, and the PowerShell that runs there."""
