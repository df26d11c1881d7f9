"""Azure, Microsoft Entra ID, Microsoft Intune and the Windows guests, on loopback.

A process of its own that answers on HTTPS as the real services do, so that unmodified clients of
Azure Resource Manager and Microsoft Graph can be used against it. Nothing in the product imports it.
"""
