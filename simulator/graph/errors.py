"""Failures as Microsoft Graph words them.

Source: https://learn.microsoft.com/graph/errors
"""

import json
from http import HTTPStatus


class GraphError(Exception):
    """A request that failed.

    Attributes:
        status: HTTP status of the answer.
        code: `error.code`.
        message: `error.message`.

    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message


def bad_request(message: str) -> GraphError:
    """Return the 400 for a request that cannot be understood."""
    return GraphError(HTTPStatus.BAD_REQUEST, "BadRequest", message)


def unsupported_query(message: str) -> GraphError:
    """Return the 400 of the directory for a query that it does not support, or not without `ConsistencyLevel`.

    Source: https://learn.microsoft.com/graph/aad-advanced-queries
    """
    return GraphError(HTTPStatus.BAD_REQUEST, "Request_UnsupportedQuery", message)


def no_such_object(key: str) -> GraphError:
    """Return the directory's 404 for an object; `key` is what it was looked up by."""
    return GraphError(
        HTTPStatus.NOT_FOUND,
        "Request_ResourceNotFound",
        f"Resource '{key}' does not exist or one of its queried reference-property objects are not present.",
    )


def intune_error(status: int, code: str, message: str, *, path: str, activity_id: str) -> GraphError:
    """Return a failure of Intune, whose own JSON Graph hands on as a string in `message`.

    Source: https://github.com/microsoftgraph/powershell-intune-samples/issues/131

    Args:
        status: HTTP status.
        code: `error.code`.
        message: What went wrong.
        path: The path behind `/deviceManagement`.
        activity_id: The request's id.

    """
    nested = {
        "_version": 3,
        "Message": f"{message} - Operation ID (for customer support): 00000000-0000-0000-0000-000000000000 - "
        f"Activity ID: {activity_id} - Url: https://fef.msub01.manage.microsoft.com/DeviceFE/"
        f"StatelessDeviceFEService/deviceManagement{path}?api-version=2023-10-19",
        "CustomApiErrorPhrase": "",
        "RetryAfter": None,
        "ErrorSourceService": "",
        "HttpHeaders": "{}",
    }
    return GraphError(status, code, json.dumps(nested, indent=2))
