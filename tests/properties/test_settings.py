"""The worker's environment: settings, or lines that name the variable."""

import math
from urllib.parse import urlsplit

from hypothesis import example, given
from hypothesis import strategies as st

from cloud.settings import Settings, SettingsError
from tests.properties.strategies import TEXTS, examples

GOOD = {"AZURE_SUBSCRIPTION_ID": "11111111-2222-4333-8444-555555555555", "AZURE_RESOURCE_GROUP": "rg"}
VARIABLES = [str(field.validation_alias) for field in Settings.model_fields.values()]
ODD_VALUES = st.sampled_from(
    [
        "https://[::1",
        "https://user:secret@host",
        "https://host:99999999",
        "https://host?x",
        "https://host#x",
        "nan",
        "inf",
        "-1",
        "0",
        "1e400",
        "0.1",
        "²",
        "rg.",
        "..",
        "https://host",
        "https://localhost:8443",
        "15\n",
        "https://a\\b",
    ]
)


@given(st.dictionaries(st.sampled_from(VARIABLES) | TEXTS, ODD_VALUES | TEXTS, max_size=6), st.booleans())
@examples(150)
@example({"MICROSOFT_GRAPH_URL": "https://[::1"}, True)
@example({"MICROSOFT_GRAPH_URL": "https://user:5ecret@host"}, True)
@example({"MICROSOFT_GRAPH_URL": "https://host:99999999"}, True)
@example({"CLOUD_PC_POLL_INTERVAL": "nan"}, True)
@example({"AZURE_RESOURCE_GROUP": ".."}, True)
def test_any_environment(environment: dict[str, str], begins_well: bool) -> None:
    try:
        settings = Settings.from_environment((GOOD if begins_well else {}) | environment)
    except SettingsError as error:
        lines = str(error).split("\n")
        assert len(lines) == len(set(lines)) <= len(VARIABLES)
        assert all(line.partition(": ")[0] in VARIABLES and line.isprintable() and len(line) < 300 for line in lines)
        return
    for url in (settings.resource_manager_url, settings.graph_url):
        parts = urlsplit(url)
        assert parts.hostname and not parts.username and not parts.query and not parts.fragment and not parts.path
        assert parts.port is None or parts.port > 0
    for seconds in settings.model_dump().values():
        assert not isinstance(seconds, float) or (math.isfinite(seconds) and seconds > 0)
    assert not settings.resource_group.endswith(".")
    assert settings.resource_group_id.count("/") == 4
