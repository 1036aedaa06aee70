"""The OpenAPI description, and whether the server keeps what it says."""

import pytest
import schemathesis
from hypothesis import Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)


@pytest.fixture(scope="module")
def described(server):
    async def app(scope, receive, send):
        """Without a lifespan: the client would end the server's with its first request."""
        if scope["type"] == "http":
            await server.app(scope, receive, send)

    return schemathesis.openapi.from_asgi("/openapi.json", app, headers={"Host": "localhost"})


OPERATIONS = [
    ("/health", "GET"),
    ("/ready", "GET"),
    ("/v1/classifier", "GET"),
    ("/v1/predictions", "POST"),
    ("/v1/arrivals", "GET"),
    ("/v1/explanations", "POST"),
    ("/v1/neighbours", "POST"),
]


def test_every_operation_is_looked_at(server):
    paths = server.get("/openapi.json").json()["paths"]

    found = {(path, method.upper()) for path, methods in paths.items() for method in methods}
    assert found == {*OPERATIONS, ("/metrics", "GET")}  # whose figures are text


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_answers_as_described(described, path, method):
    @given(case=described[path][method].as_strategy())
    @settings(max_examples=15, derandomize=True, database=None, phases=[Phase.generate])
    def ask(case):
        case.call_and_validate(
            headers={"Host": "localhost"},
            checks=(
                not_a_server_error,
                status_code_conformance,
                content_type_conformance,
                response_headers_conformance,
                response_schema_conformance,
            ),
        )

    ask()


def test_refusals_have_their_own_media_type(server):
    described = server.get("/openapi.json").json()

    operation = described["paths"]["/v1/predictions"]["post"]
    assert set(operation["responses"]["413"]["content"]) == {"application/problem+json"}
    assert set(operation["responses"]["200"]["content"]) == {"application/json"}
    content = operation["requestBody"]["content"]
    assert set(content) == {"multipart/form-data", "application/json"}
    assert [body["schema"]["required"] for body in content.values()] == [["files"]] * 2


def test_nothing_is_fetched_from_elsewhere(server):
    assert "//" not in server.get("/docs").text  # tests.serving.test_page opens it
    assert server.get("/redoc").status_code == 404
