"""What the steps of post-provisioning are given, where it is more than the Cloud PC."""

from contract.activity import CloudPcInput


class AssignUserAsAdministratorInput(CloudPcInput):
    """The account that is to be a local administrator."""

    user_principal_name: str
    """On-premises user principal name where there is one."""


class InstallLanguageInput(CloudPcInput):
    """The language that Windows is to speak."""

    locale: str
    """BCP 47 tag."""
