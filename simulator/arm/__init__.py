"""Azure Resource Manager with the resource providers that Cloud PCs are made of."""
