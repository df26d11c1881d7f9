"""Which service of the simulated cloud a request is for."""

from collections.abc import Mapping
from typing import Literal

Service = Literal["control", "arm", "graph", "key vault", "token"]

_BY_FIRST_SEGMENT: Mapping[str, Service] = {
    "simulator": "control",
    "subscriptions": "arm",
    "providers": "arm",
    "tenants": "arm",
    "v1.0": "graph",
    "beta": "graph",
    "secrets": "key vault",
}


def service_of(path: str) -> Service | None:
    """Return the service that answers at a path; None for the documents by which tools discover a cloud."""
    if service := _BY_FIRST_SEGMENT.get(path.strip("/").partition("/")[0].lower()):
        return service
    return "token" if "/oauth2/" in path.lower() else None
