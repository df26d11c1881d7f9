"""Microsoft Graph: the directory of Microsoft Entra ID and the devices of Microsoft Intune."""

from simulator.graph.service import Graph

__all__ = ["Graph"]
