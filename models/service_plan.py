"""Service plans: what a user's licence promises, and the Azure VM sizes that fulfil it."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from models.base import GraphModel
from models.types import DisplayName, LowerCaseGuid, ServicePlanName, VmSize


class ServicePlan(GraphModel):
    """One Windows 365 size, after Graph's `cloudPcServicePlan`.

    Microsoft publishes no table from plans to VM sizes; `vm_sizes` is this product's own choice by
    equal vCPU and memory, in the order in which they are tried.

    Source: https://learn.microsoft.com/graph/api/resources/cloudpcserviceplan and
    https://learn.microsoft.com/windows-365/enterprise/cloud-pc-size-recommendations
    """

    id: ServicePlanName
    """Name by which a command or an assignment refers to the plan: its licence's skuPartNumber."""
    display_name: DisplayName
    service_plan_id: LowerCaseGuid | None = None
    """GUID of the plan in a user's licence details; None where Microsoft has not published it."""
    v_cpu_count: Annotated[int, Field(ge=1, le=128)]
    ram_in_gb: Annotated[int, Field(ge=1, le=1024)]
    storage_in_gb: Annotated[int, Field(ge=64, le=4095)]
    """Size of the operating system disk, GiB."""
    vm_sizes: Annotated[tuple[VmSize, ...], Field(min_length=1, max_length=20)]


class ServicePlanCatalogue(GraphModel):
    """Every service plan that can be assigned, each id once."""

    service_plans: Annotated[tuple[ServicePlan, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        ids = [plan.id.casefold() for plan in self.service_plans]
        for plan_id in ids:
            if ids.count(plan_id) > 1:
                raise ValueError(f"service plan id {plan_id} stands twice; keep one")
        return self

    def find(self, plan_id: str) -> ServicePlan | None:
        """Return the plan with this id or service plan GUID, ignoring case, or None."""
        wanted = plan_id.casefold()
        for plan in self.service_plans:
            if wanted in (plan.id.casefold(), plan.service_plan_id):
                return plan
        return None

    def overridden_by(self, other: Self) -> Self:
        """Return this catalogue with the plans of `other` added; the same id is replaced."""
        replaced = {plan.id.casefold() for plan in other.service_plans}
        kept = tuple(plan for plan in self.service_plans if plan.id.casefold() not in replaced)
        return type(self)(service_plans=kept + other.service_plans)
