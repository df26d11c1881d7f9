"""The error catalogue: every code by which Azure, Entra ID, Intune or this product fails a step.

It says of each what it means for the step, why it happens, and what the admin can do. docs/errors.md is made
from it. Sources: https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/error-messages,
https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors,
https://learn.microsoft.com/graph/errors and
https://learn.microsoft.com/graph/api/resources/cloudpconpremisesconnectionhealthcheckerrortype (beta)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from contract import steps
from contract.activity import Step
from contract.errors import ErrorClass

_TRANSIENT, _CAPACITY, _TERMINAL = ErrorClass.TRANSIENT, ErrorClass.CAPACITY, ErrorClass.TERMINAL

_VM, _NETWORK = steps.CREATE_VIRTUAL_MACHINE, steps.ATTACH_NETWORK
_ENTRA, _INTUNE, _USER = steps.JOIN_ENTRA_ID, steps.ENROLL_IN_INTUNE, steps.ASSIGN_PRIMARY_USER
_DOMAIN, _DEVICE = steps.JOIN_DOMAIN, steps.WAIT_FOR_ENTRA_DEVICE

_GRANT = "grant the worker's identity the roles of docs/real-tenant.md, wait some minutes, then reprovision"
_CONSENT = "grant the application permissions that docs/real-tenant.md lists and consent to them, then reprovision"
_INVALID = "correct what the message names in the policy, connection or service plan, then reprovision"
_QUOTA = "raise the quota of the subscription in this region or choose another plan or region, then reprovision"
_ANOTHER = "choose another region or a plan with other VM sizes, or try later, then reprovision"
_IMAGE = (
    "name an image that exists, is generalized, of generation 2, single-session and in this region, then reprovision"
)
_PASSES = "none: it is tried again; when it does not pass, look at Azure's service health, then reprovision"
_CONNECTION = "correct the Azure network connection, then reprovision with it"
_JOIN_ACCOUNT = (
    "correct the join account or its password where the connection's adDomainPassword points, then reprovision"
)
_WORKER = "if it is right, add what the message names to that setting of every worker, start them again, reprovision"
_REACH = "let the Cloud PCs' network reach the domain controllers and use their DNS, then reprovision"
DEFAULT_REMEDY = "correct what the message names, then reprovision"


@dataclass(frozen=True)
class Entry:
    """One code.

    Attributes:
        code: The ARM or Graph code, or this product's own.
        error_class: What it means for the step.
        cause: Why it happens.
        remedy: What the admin can do.
        steps: The steps that meet it, the most likely one first; empty for any step.
        message: Words of the message that tell this meaning of an ambiguous code, in lower case.
        status: The HTTP status that tells this meaning.

    """

    code: str
    error_class: ErrorClass
    cause: str
    remedy: str
    steps: tuple[Step[Any, Any], ...] = ()
    message: str = ""
    status: int | None = None

    def fits(self, message: str, status: int | None) -> bool:
        """Tell whether this is the meaning of the code."""
        return self.message in message.lower() and self.status in (None, status)


def _transient(codes: Iterable[str], cause: str, *met_by: Step[Any, Any]) -> list[Entry]:
    return [Entry(code, _TRANSIENT, cause, _PASSES, met_by) for code in codes]


def _terminal(code: str, cause: str, remedy: str, *met_by: Step[Any, Any]) -> Entry:
    return Entry(code, _TERMINAL, cause, remedy, met_by)


CATALOGUE: tuple[Entry, ...] = (
    # Capacity and quota
    Entry(
        "SkuNotAvailable", _CAPACITY, "the VM size is restricted or sold out in the region or zone", _ANOTHER, (_VM,)
    ),
    Entry("AllocationFailed", _CAPACITY, "the region has no room for the VM size", _ANOTHER, (_VM,)),
    Entry("ZonalAllocationFailed", _CAPACITY, "the zone has no room for the VM size", _ANOTHER, (_VM,)),
    Entry("OverconstrainedAllocationRequest", _CAPACITY, "no hardware fits all that was asked for", _ANOTHER, (_VM,)),
    Entry(
        "OverconstrainedZonalAllocationRequest",
        _CAPACITY,
        "no hardware of the zone fits what was asked",
        _ANOTHER,
        (_VM,),
    ),
    Entry("QuotaExceeded", _CAPACITY, "the subscription's quota is used up", _QUOTA, (_VM,)),
    Entry("ResourceQuotaExceeded", _CAPACITY, "the subscription's quota is used up", _QUOTA, (_VM,)),
    Entry(
        "OperationNotAllowed",
        _TRANSIENT,
        "too many requests; Azure says when to go on",
        _PASSES,
        status=HTTPStatus.TOO_MANY_REQUESTS,
    ),
    Entry("OperationNotAllowed", _CAPACITY, "the subscription's quota is used up", _QUOTA, (_VM,), message="quota"),
    Entry(
        "NoCapacity", _CAPACITY, "none of the plan's VM sizes can be had; the message has each one's reason", _ANOTHER
    ),
    Entry("OperationNotAllowed", _TRANSIENT, "too many requests", _PASSES, message="too many requests"),
    Entry("OperationNotAllowed", _TRANSIENT, "the machine is being changed", _PASSES, message="in progress"),
    Entry("OperationNotAllowed", _TRANSIENT, "it is being deleted", _PASSES, message="marked for deletion"),
    Entry(
        "OperationNotAllowed",
        _TERMINAL,
        "the plan's disk is smaller than the image's",
        "choose a plan with a larger disk, or an image of the offer windows-ent-cpc, then reprovision",
        (_VM,),
        message="smaller than the size",
    ),
    Entry(
        "OperationNotAllowed",
        _TERMINAL,
        "the machine does not run",
        "reprovision, and let nobody stop the machine until it is done",
        (_ENTRA, _DOMAIN),
        message="not running",
    ),
    _terminal("OperationNotAllowed", "the resource is in a state that does not allow it", DEFAULT_REMEDY, _VM),
    # The network
    _terminal(
        "SubnetIsFull",
        "the subnet has no free address",
        "free addresses or enlarge the subnet, then reprovision",
        _NETWORK,
    ),
    _terminal("SubnetNotFound", "the connection's virtual network or subnet does not exist", _CONNECTION, _NETWORK),
    _terminal(
        "SubnetInAnotherSubscription",
        "the connection's subnet is in another subscription than the worker's resource group",
        "add a resourceGroupId of the subnet's subscription to the connection, then reprovision with it",
        _NETWORK,
    ),
    _terminal("InvalidResourceReference", "something that was referred to does not exist", _CONNECTION, _NETWORK),
    _terminal("LinkedInvalidPropertyId", "an id in the request is malformed", _CONNECTION, _NETWORK),
    _terminal("PrivateIPAddressInReservedRange", "Azure keeps the address for itself", _CONNECTION, _NETWORK),
    _terminal("PrivateIPAddressNotInSubnet", "the address lies outside the subnet", _CONNECTION, _NETWORK),
    _terminal("SubnetsNotInSameVnet", "the interfaces lie in different networks", _CONNECTION, _NETWORK),
    _terminal("PublicIPCountLimitReached", "the subscription may have no more public addresses", _QUOTA, _NETWORK),
    _terminal("InUseSubnetCannotBeDeleted", "something still uses the subnet", DEFAULT_REMEDY, _NETWORK),
    # Permission and governance
    _terminal("AuthorizationFailed", "the worker's identity lacks an Azure role", _GRANT, _VM, _NETWORK),
    _terminal(
        "LinkedAuthorizationFailed",
        "the worker's identity may not join the subnet",
        "grant it Microsoft.Network/virtualNetworks/subnets/join/action on the subnet, then reprovision",
        _NETWORK,
    ),
    _terminal(
        "RequestDisallowedByPolicy",
        "an Azure Policy forbids it",
        "ask for an exemption from the Azure Policy that the message names, then reprovision",
        _VM,
        _NETWORK,
    ),
    _terminal(
        "ScopeLocked", "a lock forbids the change", "remove the lock that the message names, then reprovision", _VM
    ),
    _terminal(
        "ReadOnlyDisabledSubscription", "the subscription is disabled", "enable the subscription, then reprovision", _VM
    ),
    _terminal(
        "DisallowedOperation", "the subscription may not do this", "use another subscription, then reprovision", _VM
    ),
    _terminal(
        "SubscriptionNotFound", "there is no such subscription", "correct AZURE_SUBSCRIPTION_ID or the connection", _VM
    ),
    _terminal(
        "SubscriptionNotRegistered",
        "a resource provider is not registered",
        "register the provider that the message names (az provider register), then reprovision",
        _VM,
    ),
    _terminal(
        "NoRegisteredProviderFound",
        "the provider does not serve this region or version",
        "register the provider that the message names (az provider register), or choose another region",
        _VM,
    ),
    _terminal(
        "ResourceGroupNotFound",
        "there is no such resource group",
        "make the resource group that the message names",
        _VM,
    ),
    _terminal("ResourceGroupBeingDeleted", "the resource group is being deleted", "make it again when it is gone", _VM),
    _terminal(
        "AuthenticationFailed",
        "Entra ID does not let the worker's identity sign in; the code is AADSTS…",
        "correct AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, start the worker again",
    ),
    *_transient(("ExpiredAuthenticationToken",), "the worker's token has expired; it gets a new one"),
    Entry("InvalidAuthenticationToken", _TRANSIENT, "the same, of Graph", _PASSES, message="expired"),
    _terminal(
        "InvalidAuthenticationToken", "the worker's token is refused, a new one too", "look at the identity", _INTUNE
    ),
    _terminal(
        "InvalidAuthenticationTokenTenant", "the subscription is of another tenant", "correct AZURE_TENANT_ID", _VM
    ),
    # The machine and its image
    _terminal("InvalidParameter", "Azure refuses a value", _INVALID, _VM),
    _terminal("InvalidRequestContent", "Azure refuses the request", _INVALID, _VM),
    _terminal("InvalidRequestFormat", "Azure refuses the request", _INVALID, _VM),
    _terminal("BadRequest", "the request is refused", _INVALID, _VM),
    _terminal(
        "NameTaken", "a resource of this name belongs to somebody else", "reprovision: the next name is another", _VM
    ),
    _terminal("ImageNotFound", "there is no such image", _IMAGE, _VM),
    _terminal("PlatformImageNotFound", "there is no such Marketplace image", _IMAGE, _VM),
    _terminal("GalleryImageNotFound", "there is no such image version in this region", _IMAGE, _VM),
    _terminal("NotFound", "what the message names does not exist", _INVALID, _VM),
    _terminal("DiskNotFound", "the disk does not exist", "reprovision", _VM),
    _terminal("ResourceNotFound", "what the message names does not exist", DEFAULT_REMEDY, _VM),
    _terminal("ParentResourceNotFound", "the machine does not exist any more", "reprovision", _ENTRA),
    _terminal(
        "VMMarketplaceInvalidInput",
        "the image's Marketplace plan is missing",
        "use an image without a Marketplace plan, then reprovision",
        _VM,
    ),
    _terminal(
        "MarketplacePurchaseEligibilityFailed",
        "the image's Marketplace terms are not accepted",
        "accept the terms (az vm image terms accept), then reprovision",
        _VM,
    ),
    _terminal(
        "OSProvisioningClientError", "Windows could not be set up; mostly the image is not generalized", _IMAGE, _VM
    ),
    _terminal("sourceImageNotFound", "there is no such image", _IMAGE, _VM),
    _terminal("sourceImageNotGeneralized", "the image was not generalized (sysprep)", _IMAGE, _VM),
    _terminal("sourceImageInvalid", "the image cannot become a Cloud PC; the message says why", _IMAGE, _VM),
    _terminal(
        "sourceImageSizeExceedsLimitation",
        "the image's disk is larger than the plan's",
        "choose a plan with a larger disk or a smaller image, then reprovision",
        _VM,
    ),
    _terminal("sourceImageWithDataDiskNotSupported", "the image has data disks", _IMAGE, _VM),
    _terminal("ArtifactNotFound", "the VM extension is not offered in this cloud or region", _ANOTHER, _ENTRA, _DOMAIN),
    _terminal("ArtifactVersionNotFound", "the extension's version is not offered here", _ANOTHER, _ENTRA, _DOMAIN),
    # Joins
    _terminal(
        "VMExtensionHandlerNonTransientError",
        "the join failed in the guest; the message has its exit code: -2145648607 is an unreachable Entra ID, 51 an "
        "operating system that cannot join",
        "let the network reach enterpriseregistration.windows.net and login.microsoftonline.com, then reprovision",
        _ENTRA,
    ),
    _terminal(
        "HostnameDuplicate",
        "another device of the tenant owns the computer's name",
        "delete that device from Entra ID if it is stale, then reprovision",
        _ENTRA,
    ),
    _terminal("adJoinCheckFqdnNotFound", "the domain cannot be found from the network (1355)", _REACH, _DOMAIN),
    _terminal(
        "adJoinCheckIncorrectCredentials", "the join account's name or password is wrong (1326)", _JOIN_ACCOUNT, _DOMAIN
    ),
    _terminal(
        "adJoinCheckCredentialsExpired", "the join account's password has expired (1330, 1907)", _JOIN_ACCOUNT, _DOMAIN
    ),
    _terminal(
        "adJoinCheckAccountLockedOrDisabled",
        "the join account is locked out or disabled (1331, 1909)",
        "unlock or enable the join account, then reprovision",
        _DOMAIN,
    ),
    _terminal(
        "adJoinCheckAccountQuotaExceeded",
        "the join account has made as many computers as it may (8557)",
        "delegate the right to create computer objects in the unit to the join account, then reprovision",
        _DOMAIN,
    ),
    _terminal(
        "adJoinCheckAccessDenied",
        "the join account may not create computers in the organizational unit (5)",
        "delegate the right to create computer objects there to the join account, then reprovision",
        _DOMAIN,
    ),
    _terminal(
        "adJoinCheckOrganizationalUnitNotFound",
        "the domain has no such organizational unit (2)",
        "correct organizationalUnit in the connection, then reprovision with it",
        _DOMAIN,
    ),
    _terminal(
        "adJoinCheckOrganizationalUnitIncorrectFormat",
        "the organizational unit's name is malformed (87)",
        "write organizationalUnit as distinguished name, such as OU=Cloud PCs,DC=corp,DC=contoso,DC=com",
        _DOMAIN,
    ),
    _terminal(
        "adJoinCheckComputerObjectAlreadyExists",
        "the domain has a computer of this name that may not be used again (2224, 2732)",
        "delete that computer object if it is stale, then reprovision",
        _DOMAIN,
    ),
    _terminal("adJoinCheckServerNotOperational", "no domain controller answers (53, 1722)", _REACH, _DOMAIN),
    _terminal(
        "adJoinCheckUnknownError",
        "the domain join failed, and the guest gives no reason that is known here; the message has its words",
        "see that the join account, its password and its rights are right and that the network reaches the domain "
        "controllers, then reprovision",
        _DOMAIN,
    ),
    _terminal(
        "ScheduleToClose",
        "the step did not end in the time it has; the message has what it waited for",
        "correct what the message says is waited for, then reprovision",
        _DEVICE,
    ),
    # Secrets, and what else a worker allows
    _terminal(
        "SecretNotForThisDomain",
        "the worker's settings do not allow this secret for this domain and join account",
        _WORKER,
        _NETWORK,
        _DOMAIN,
    ),
    _terminal(
        "ResourceNotAllowed",
        "the worker's settings do not allow the resource group, network or image that a connection or policy names",
        _WORKER,
        _NETWORK,
        _VM,
    ),
    _terminal(
        "SecretNotFound",
        "the Key Vault has no such secret, or an empty one",
        "correct keyVaultSecretId in the connection, or the secret",
        _DOMAIN,
    ),
    _terminal(
        "SecretNotSet",
        "the worker has no such environment variable",
        "set the variable that the message names for every worker, start them again, then reprovision",
        _DOMAIN,
    ),
    _terminal(
        "SecretUnreadable",
        "the worker's identity may not read the secret, or it is disabled",
        "grant the worker's identity Key Vault Secrets User on the secret, then reprovision",
        _DOMAIN,
    ),
    # Entra ID and Intune
    _terminal("Request_BadRequest", "Entra ID refuses the request", DEFAULT_REMEDY, _INTUNE),
    _terminal("Request_UnsupportedQuery", "Entra ID does not support the query", DEFAULT_REMEDY, _INTUNE),
    _terminal("Authorization_RequestDenied", "the application lacks a Graph permission", _CONSENT, _INTUNE, _USER),
    _terminal("Forbidden", "the application lacks a permission", _CONSENT, _INTUNE, _USER),
    _terminal("accessDenied", "the application lacks a permission", _CONSENT, _INTUNE, _USER),
    _terminal("Request_ResourceNotFound", "the object is gone from Entra ID", "reprovision", _INTUNE),
    _terminal("itemNotFound", "the object is gone", "reprovision", _INTUNE),
    _terminal("Request_MultipleObjectsWithSameKeyValue", "two objects have one key", DEFAULT_REMEDY, _INTUNE),
    _terminal("conflict", "the object is being used otherwise", DEFAULT_REMEDY, _INTUNE),
    _terminal("NotImplemented", "Graph does not offer this in the cloud in use", DEFAULT_REMEDY, _INTUNE),
    _terminal("UserNotFound", "Entra ID knows no such user", "correct the user"),
    _terminal("GroupNotFound", "Entra ID knows no such group", "correct the groupId of the policy's assignment"),
    _terminal(
        "MembersUnreadable",
        "the application may read the group, but not the users in it",
        "grant the Graph permission User.Read.All and consent to it; nobody has lost a Cloud PC",
    ),
    _terminal("UserDisabled", "the user's account is disabled", "enable the account"),
    _terminal(
        "UserNotSynchronized",
        "the user is not synchronised from Active Directory, as a hybrid-joined Cloud PC needs",
        "choose a synchronised user, or a policy with domainJoinType azureADJoin",
    ),
    _terminal("UnusableConnection", "the policy names a connection that is not there or does not fit", DEFAULT_REMEDY),
    _terminal("GuestScriptFailed", "a script failed in the guest", "set it by Intune or Group Policy, or reprovision"),
    _terminal(
        "RoleAssignmentUpdateNotPermitted",
        "a role assignment of this name is another's",
        DEFAULT_REMEDY,
        steps.GRANT_SIGN_IN,
    ),
    # What passes by itself
    *_transient(
        (
            "AnotherOperationInProgress",
            "CanceledAndSupersededDueToAnotherOperation",
            "Conflict",
            "Directory_ConcurrencyViolation",
            "OperationPreempted",
            "ReferencedResourceNotProvisioned",
            "ResourceUpdateBlockedOnPlatformUpdate",
            "RetryableError",
            "RetryableErrorDueToAnotherOperation",
        ),
        "something else is being changed at the same moment",
    ),
    *_transient(("PropertyChangeNotAllowed",), "another attempt has just made the machine, which is looked at", _VM),
    *_transient(("NicInUse", "NicReservedForAnotherVm"), "Azure holds a network interface for 3 minutes after its VM"),
    *_transient(("PrincipalNotFound",), "a new user or identity is not known everywhere yet", steps.GRANT_SIGN_IN),
    *_transient(
        (
            "GatewayTimeout",
            "InternalOperationError",
            "InternalServerError",
            "NetworkingInternalOperationError",
            "OSProvisioningInternalError",
            "ServerTimeout",
            "VMArtifactRepositoryInternalError",
            "VMExtensionManagementInternalError",
        ),
        "a fault inside Azure or Graph",
    ),
    *_transient(("OSProvisioningTimedOut", "VMStartTimedOut"), "Windows took too long to start", _VM),
    *_transient(
        ("VMAgentStatusCommunicationError", "VMExtensionProvisioningError", "VMExtensionProvisioningTimeout"),
        "the guest or its agent did not answer or failed",
        _ENTRA,
        _DOMAIN,
    ),
    *_transient(("NotYet",), "something slow has not happened yet; it is looked at again"),
    *_transient(("UnexpectedAnswer",), "an answer of Azure or Graph is not what it should be, or a step has a defect"),
)
"""Every entry; of several with one code the first that fits counts."""

_TRANSIENT_STATUSES = frozenset({408, 412, 423, 429, 500, 502, 503, 504})


def find(code: str, message: str = "", status: int | None = None) -> Entry:
    """Return the entry of a failure; one that is made of the HTTP status where the code is not known.

    Args:
        code: ARM or Graph code.
        message: The failure's message.
        status: HTTP status.

    """
    known = "AuthenticationFailed" if code.startswith("AADSTS") else code
    entry = next((entry for entry in CATALOGUE if entry.code == known and entry.fits(message, status)), None)
    if status in _TRANSIENT_STATUSES and (entry is None or entry.error_class == _TERMINAL):
        return Entry(code, _TRANSIENT, "the service is busy or at fault", _PASSES)
    return entry or Entry(code, _TERMINAL, "not known to the catalogue", DEFAULT_REMEDY)
