"""Step 3: the network. The interface is made before the VM, since ARM wants it when the VM is created."""

from azure.core.exceptions import HttpResponseError
from temporalio import activity

from cloud.arm.networks import ConnectedNetworks, HostedNetworks, Interface, NetworkInterfaces
from cloud.clients import CloudClients
from cloud.errors import arm_code, failure, not_yet
from contract import steps
from contract.core_provisioning import AttachNetworkInput, NetworkAttachment
from models.cloud_pc import CloudPcReference
from models.provisioning_policy import DomainJoinType
from models.types import ResourceId


class Network:
    """Attaches machines: to a connection's subnet, or to a Microsoft-hosted network, made when there is none."""

    def __init__(self, clients: CloudClients) -> None:
        self._secrets = clients.secrets
        self._interfaces = NetworkInterfaces(clients)
        self._connected = ConnectedNetworks(clients)
        self._hosted = HostedNetworks(clients)
        self._poll_interval = clients.settings.poll_interval

    @steps.ATTACH_NETWORK.implemented_by
    async def attach_network(self, request: AttachNetworkInput) -> NetworkAttachment:
        """Return the Cloud PC's network interface.

        Raises:
            ApplicationError: `SubnetNotFound`, `SubnetInAnotherSubscription`, `ResourceNotAllowed` or
                `SecretNotForThisDomain`, of a connection.
            HttpResponseError: Azure refuses, such as `SubnetIsFull` or `LinkedAuthorizationFailed` of a connection.

        """
        cloud_pc, connection = request.cloud_pc, request.connection
        if connection is None:
            return await self._attach_to_hosted_network(cloud_pc)
        if connection.connection_type == DomainJoinType.HYBRID_AZURE_AD_JOIN:
            # The join would refuse it too, but a machine would have been made by then.
            self._secrets.require(connection.domain)
        region = await self._connected.region_of(connection)
        located = cloud_pc.model_copy(update={"region": region})
        return _attachment(await self._interfaces.ensure(located, connection.subnet_id), region)

    async def _attach_to_hosted_network(self, cloud_pc: CloudPcReference) -> NetworkAttachment:
        async for subnet_id in self._hosted.subnets(cloud_pc.region):
            try:
                return _attachment(await self._interfaces.ensure(cloud_pc, subnet_id), cloud_pc.region)
            except HttpResponseError as error:
                match arm_code(error):
                    case "SubnetIsFull":
                        # A full subnet, or network, means the next one.
                        continue
                    case "InvalidResourceReference" if activity.info().attempt == 1:
                        # It was there when it was read, maybe for another Cloud PC.
                        raise not_yet(f"{subnet_id} is gone", self._poll_interval) from error
                    case _:
                        raise
        raise failure("SubnetIsFull", f"every Microsoft-hosted network of {cloud_pc.region} is full")


def _attachment(interface: Interface, region: str) -> NetworkAttachment:
    network = ResourceId.parse(interface.subnet_id).of("virtualNetworks")
    return NetworkAttachment(
        subnet_id=interface.subnet_id,
        private_ip_address=interface.private_ip_address,
        region=region,
        detail=f"{interface.private_ip_address} in {network}",
    )
