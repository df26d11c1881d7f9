"""The entity types that are served: their properties, and how each may be filtered.

Operators are those that the property's description in the API reference names, such as
https://learn.microsoft.com/graph/api/resources/device.
"""

from dataclasses import dataclass, field

_TEXT = frozenset({"eq", "ne", "not", "ge", "le", "in", "startswith"})
_NAME = frozenset({"eq", "ne", "not", "in", "startswith"})
_FLAG = frozenset({"eq", "ne", "not", "in"})
_TIME = frozenset({"eq", "ne", "not", "ge", "le", "in"})
_COLLECTION = frozenset({"eq", "ne", "not", "ge", "le", "startswith"})
_ONLY_EQUAL = frozenset({"eq"})


@dataclass(frozen=True)
class EntityType:
    """One entity type.

    Attributes:
        name: Its name, such as `device`.
        entity_set: The collection it belongs to, as `@odata.context` names it.
        properties: All properties that are known here.
        filters: The operators that each filterable property supports; `not` stands for `not property ...`.
        defaults: The properties returned without `$select`; empty means all.
        advanced: Collections that can be searched by advanced queries only.

    """

    name: str
    entity_set: str
    properties: frozenset[str]
    filters: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    defaults: frozenset[str] = frozenset()
    advanced: frozenset[str] = frozenset()

    @property
    def odata_type(self) -> str:
        """What tells the type apart in a collection of several."""
        return f"#microsoft.graph.{self.name}"


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_USER_DEFAULTS = _names(
    """
    businessPhones displayName givenName id jobTitle mail mobilePhone officeLocation preferredLanguage surname
    userPrincipalName
    """
)

USER = EntityType(
    name="user",
    entity_set="users",
    defaults=_USER_DEFAULTS,
    properties=_USER_DEFAULTS
    | _names(
        """
        accountEnabled assignedLicenses assignedPlans city companyName country createdDateTime department employeeId
        mailNickname onPremisesDistinguishedName onPremisesDomainName onPremisesImmutableId onPremisesLastSyncDateTime
        onPremisesSamAccountName onPremisesSecurityIdentifier onPremisesSyncEnabled onPremisesUserPrincipalName
        otherMails proxyAddresses state usageLocation userType
        """
    ),
    filters={
        "id": _NAME,
        "accountEnabled": _FLAG,
        "assignedLicenses": _COLLECTION,
        "assignedPlans": _COLLECTION,
        "city": _TEXT,
        "companyName": _TEXT,
        "country": _TEXT,
        "createdDateTime": _TIME,
        "department": _TEXT,
        "displayName": _TEXT,
        "employeeId": _TEXT,
        "givenName": _TEXT,
        "jobTitle": _TEXT,
        "mail": _TEXT | {"endswith"},
        "mailNickname": _TEXT,
        "onPremisesImmutableId": _TEXT,
        "onPremisesSamAccountName": _TEXT,
        "onPremisesSecurityIdentifier": _ONLY_EQUAL,
        "onPremisesSyncEnabled": _FLAG,
        "onPremisesUserPrincipalName": _TEXT,
        "surname": _TEXT,
        "usageLocation": _TEXT,
        "userPrincipalName": _TEXT | {"endswith"},
        "userType": _FLAG,
    },
    advanced=frozenset({"assignedPlans"}),
)

GROUP = EntityType(
    name="group",
    entity_set="groups",
    properties=_names(
        """
        classification createdDateTime creationOptions deletedDateTime description displayName groupTypes id
        isAssignableToRole mail mailEnabled mailNickname membershipRule membershipRuleProcessingState
        onPremisesLastSyncDateTime onPremisesSecurityIdentifier onPremisesSyncEnabled preferredDataLocation
        proxyAddresses renewedDateTime resourceBehaviorOptions resourceProvisioningOptions securityEnabled visibility
        """
    ),
    filters={
        "id": _NAME,
        "description": _TEXT,
        "displayName": _TEXT,
        "groupTypes": _COLLECTION,
        "mailEnabled": _FLAG,
        "mailNickname": _TEXT,
        "onPremisesSecurityIdentifier": _ONLY_EQUAL,
        "onPremisesSyncEnabled": _FLAG,
        "securityEnabled": _FLAG,
    },
)

_DEVICE_DEFAULTS = _names(
    """
    accountEnabled alternativeSecurityIds approximateLastSignInDateTime complianceExpirationDateTime deletedDateTime
    deviceCategory deviceId deviceMetadata deviceOwnership deviceVersion displayName
    enrollmentProfileName enrollmentType id isCompliant isManaged isRooted managementType manufacturer mdmAppId model
    onPremisesLastSyncDateTime onPremisesSyncEnabled operatingSystem operatingSystemVersion physicalIds profileType
    registrationDateTime systemLabels trustType
    """
)

DEVICE = EntityType(
    name="device",
    entity_set="devices",
    defaults=_DEVICE_DEFAULTS,
    properties=_DEVICE_DEFAULTS | {"onPremisesSecurityIdentifier"},
    filters={
        "id": _NAME,
        "accountEnabled": _FLAG,
        "alternativeSecurityIds": _COLLECTION,
        "approximateLastSignInDateTime": _TIME,
        "deviceId": _NAME,
        "displayName": _TEXT,
        "isCompliant": _FLAG,
        "isManaged": _FLAG,
        "mdmAppId": _NAME,
        "onPremisesLastSyncDateTime": _TIME,
        "onPremisesSecurityIdentifier": _ONLY_EQUAL,
        "onPremisesSyncEnabled": _FLAG,
        "operatingSystem": _TEXT,
        "operatingSystemVersion": _TEXT,
        "physicalIds": _COLLECTION,
        "trustType": _FLAG,
    },
    advanced=frozenset({"alternativeSecurityIds", "physicalIds"}),
)

SERVICE_PRINCIPAL = EntityType(
    name="servicePrincipal",
    entity_set="servicePrincipals",
    properties=_names(
        """
        accountEnabled appDisplayName appId appOwnerOrganizationId appRoleAssignmentRequired deletedDateTime
        displayName id servicePrincipalNames servicePrincipalType signInAudience tags
        """
    ),
    filters={
        "id": _NAME,
        "accountEnabled": _FLAG,
        "appId": _NAME,
        "displayName": _TEXT,
        "servicePrincipalNames": _COLLECTION,
        "servicePrincipalType": _FLAG,
    },
)

SUBSCRIBED_SKU = EntityType(
    name="subscribedSku",
    entity_set="subscribedSkus",
    properties=_names("appliesTo capabilityStatus consumedUnits id prepaidUnits servicePlans skuId skuPartNumber"),
)

LICENSE_DETAILS = EntityType(
    name="licenseDetails",
    entity_set="licenseDetails",
    properties=_names("id servicePlans skuId skuPartNumber"),
)

MANAGED_DEVICE = EntityType(
    name="managedDevice",
    entity_set="deviceManagement/managedDevices",
    properties=_names(
        """
        azureADDeviceId azureADRegistered complianceGracePeriodExpirationDateTime complianceState deviceActionResults
        deviceCategoryDisplayName deviceEnrollmentType deviceName deviceRegistrationState emailAddress
        enrolledDateTime enrollmentProfileName id isEncrypted isSupervised jailBroken lastSyncDateTime
        managedDeviceName managedDeviceOwnerType managementAgent managementCertificateExpirationDate managementState
        manufacturer model notes operatingSystem osVersion partnerReportedThreatState serialNumber userDisplayName
        userId userPrincipalName
        """
    ),
)

DIRECTORY_OBJECT = EntityType(
    name="directoryObject",
    entity_set="directoryObjects",
    properties=USER.properties | GROUP.properties | DEVICE.properties | SERVICE_PRINCIPAL.properties,
    filters={"id": _NAME, "displayName": _TEXT},
)
