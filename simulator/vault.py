"""What is in the simulated key vault."""

import hashlib
from dataclasses import dataclass, field


@dataclass
class Vault:
    """One key vault; tests and demonstrations change its attributes.

    Attributes:
        secrets: Values by name.
        disabled: Names of the secrets that are disabled.
        denied: Whether the application lacks the right to read secrets.

    """

    secrets: dict[str, str] = field(repr=False)
    disabled: set[str] = field(default_factory=set[str])
    denied: bool = False

    def version(self, name: str) -> str:
        """Return the identifier of a secret's present version: another value is another version."""
        return hashlib.sha256(f"{name}/{self.secrets[name]}".encode()).hexdigest()[:32]
