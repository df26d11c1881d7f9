"""What the steps of core provisioning are given and what they return."""

from contract.activity import CloudPcInput, StepResult
from models.azure_network_connection import ActiveDirectoryDomain, AzureNetworkConnection
from models.base import GraphModel
from models.cloud_pc import User
from models.provisioning_policy import CustomImage, GalleryImage
from models.service_plan import ServicePlan
from models.types import VirtualMachineId


class ChooseComputerNameInput(CloudPcInput):
    """What the computer may be called."""

    proposals: tuple[str, ...]


class ComputerName(StepResult):
    """A name that nothing in Azure or Entra ID has."""

    computer_name: str


class RefusedCandidate(GraphModel):
    """A VM size in a zone that Azure refused when the VM was to be created."""

    vm_size: str
    zone: str | None
    reason: str


class AllocateCapacityInput(CloudPcInput):
    """What capacity is wanted."""

    service_plan: ServicePlan
    refused: tuple[RefusedCandidate, ...] = ()
    """What is not to be tried again."""
    capacity_reservation: bool = False


class AllocatedCapacity(StepResult):
    """The first VM size and zone of the plan that this subscription can have in the region."""

    vm_size: str
    zone: str | None
    """Availability zone, or None where the region offers the size without zones."""
    capacity_reservation_group_id: str | None = None
    """ARM id of the group in which the capacity is reserved, or None when it is not."""


class AttachNetworkInput(CloudPcInput):
    """Whose network interface is wanted, and where."""

    connection: AzureNetworkConnection | None = None
    """None is the region's Microsoft-hosted network."""


class NetworkAttachment(StepResult):
    """The network interface that the VM is created with."""

    subnet_id: str
    private_ip_address: str | None
    region: str = ""
    """Azure region of the network, short name."""


class CreateVirtualMachineInput(CloudPcInput):
    """The machine to be made."""

    service_plan: ServicePlan
    vm_size: str
    zone: str | None
    subnet_id: str
    image: GalleryImage | CustomImage
    capacity_reservation_group_id: str | None = None


class VirtualMachine(StepResult):
    """A machine that exists and runs."""

    id: VirtualMachineId
    private_ip_address: str | None


class JoinEntraIdInput(CloudPcInput):
    """The machine that is to join Microsoft Entra ID."""

    virtual_machine_id: str


class JoinDomainInput(CloudPcInput):
    """The machine that is to join an Active Directory domain."""

    domain: ActiveDirectoryDomain


class EntraDevice(StepResult):
    """The device object of our machine."""

    device_id: str


class EnrollInIntuneInput(CloudPcInput):
    """The Entra device whose managed device is waited for."""

    device_id: str


class ManagedDevice(StepResult):
    """The Intune managed device of our Entra device."""

    id: str


class AssignPrimaryUserInput(GraphModel):
    """Who is to be the primary user of which managed device."""

    managed_device_id: str
    user: User


class PrimaryUser(StepResult):
    """The primary user as Intune confirms it."""

    user_principal_name: str
