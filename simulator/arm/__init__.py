"""Azure Resource Manager with the resource providers that Cloud PCs are made of."""

from simulator.arm.manager import ResourceManager

__all__ = ["ResourceManager"]
