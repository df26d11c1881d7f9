"""How Microsoft Graph is read: lists into models of our own, and what may not exist.

`msgraph-sdk` takes about 15 ms of CPU for each user that it reads into its model, as `Entity.get_field_deserializers`
imports from all of its 1,250 modules for each object: the members of a large group would hold up every heartbeat of
the worker for half a minute.
"""

from collections.abc import AsyncIterator, Awaitable
from http import HTTPStatus
from typing import Any, Generic, Protocol, Self, TypeVar

from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_abstractions.request_adapter import RequestAdapter
from kiota_abstractions.request_information import RequestInformation
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from pydantic import BaseModel, Field

from models.base import GraphModel

_T = TypeVar("_T")
_Item = TypeVar("_Item", bound="Entity")


class Entity(GraphModel):
    """What every item of a list has. Source: https://learn.microsoft.com/graph/api/resources/entity."""

    id: str


class _Page(BaseModel, Generic[_Item]):
    value: list[_Item]
    next_link: str | None = Field(None, alias="@odata.nextLink")


class Listing(Protocol):
    """A request builder of the SDK whose GET answers with a list."""

    request_adapter: RequestAdapter

    def to_get_request_information(self, request_configuration: Any = None) -> RequestInformation:
        """Return the request."""
        ...

    def with_url(self, raw_url: str) -> Self:
        """Return the builder of another page."""
        ...


def advanced(query: object) -> RequestConfiguration[Any]:
    """Return the configuration of an advanced query, such as a cast or a filter inside a collection.

    Source: https://learn.microsoft.com/graph/aad-advanced-queries
    """
    configuration = RequestConfiguration[Any](query_parameters=query)
    configuration.headers.add("ConsistencyLevel", "eventual")
    return configuration


async def found(reading: Awaitable[_T]) -> _T | None:
    """Return what is read, or None where Graph says that it does not exist."""
    try:
        return await reading
    except ODataError as error:
        if error.response_status_code != HTTPStatus.NOT_FOUND:
            raise
        return None


async def listed(
    builder: Listing, model: type[_Item], configuration: RequestConfiguration[Any] | None = None
) -> AsyncIterator[_Item]:
    """Yield the items of a list, page by page.

    Args:
        builder: The list's.
        model: What an item is read into.
        configuration: Query and headers of the request; the headers go with those of further pages too.

    Raises:
        APIError: Graph refused.
        ValueError: What it answered is not such a list.

    Source: https://learn.microsoft.com/graph/paging

    """
    while True:
        request = builder.to_get_request_information(configuration)
        answer: Any = await builder.request_adapter.send_primitive_async(request, "bytes", {"XXX": ODataError})
        page = _Page[model].model_validate_json(answer or b"")
        for item in page.value:
            yield item
        if not page.next_link:
            return
        builder = builder.with_url(page.next_link)
