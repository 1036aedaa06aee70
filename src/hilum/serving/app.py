"""The web application: routes, and what each of them promises."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query, Request
from fastapi.openapi.utils import get_openapi
from fastapi.staticfiles import StaticFiles
from starlette.responses import FileResponse, Response

from hilum import __version__
from hilum.classifier.arrivals import Tally
from hilum.exporting.runtime import Runtime
from hilum.given import Trained, as_classifier
from hilum.serving import metrics
from hilum.serving.access import Guard
from hilum.serving.limits import (
    Limits,
    Problem,
    describe_problems,
    install_problems,
    name_media_type,
)
from hilum.serving.metrics import MetricsMiddleware
from hilum.serving.schemas import ArrivalsInfo, ClassifierInfo, Explanation, PredictionList, State
from hilum.serving.service import Service

STATIC: Final = Path(__file__).parent / "static"

_ABOUT: Final = """\
Classifies chest radiographs, and says how far to trust that. Research software, not a medical
device.

Radiographs are sent as the files they are: PNG, JPEG, TIFF, BMP, GIF, WebP or DICOM, told apart by
content. They are held in memory while they are answered, and neither stored nor logged, nor are
their names. The numbers are those of `hilum predict`.

A request that is refused as a whole is answered by problem details (RFC 9457). A file that cannot
be read is no such case: its item says why, and the others are answered.
"""

#: Of every request behind the token.
_CALLER: Final = {
    401: "The token is missing or wrong.",
    403: "A page of another origin asks.",
    421: "The server is not known by the name it was asked under.",
}
_UPLOAD: Final = {
    **_CALLER,
    400: "The upload was broken off.",
    408: "The upload took too long.",
    413: "Too many bytes or files.",
    415: "Not a form with files.",
    422: "The form, or a value, makes no sense; the problem says which.",
    429: "Too much is waiting: try again after `Retry-After` seconds.",
    503: "The server is stopping: try again after `Retry-After` seconds.",
}


def create_app(
    classifier: Trained,
    *,
    token: str | None = None,
    limits: Limits | None = None,
    runtime: Runtime = "torch",
) -> FastAPI:
    """The web application of a classifier: its page and its API.

    Args:
        classifier: What answers, or the folder of it or of its run.
        token: Demanded of every request that computes or tells of the classifier. Without one,
            only requests to a loopback name are answered.
        limits: What is refused; None takes `Limits()`.
        runtime: What runs the networks of predictions; explanations always take PyTorch.

    Returns:
        An ASGI application; `app.state.service` holds its threads.

    Raises:
        ClassifierError: ONNX Runtime cannot run the networks.
    """
    service = Service(as_classifier(classifier), limits or Limits(), runtime)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.stopping = True
        service.close()

    app = FastAPI(
        title="Hilum",
        version=__version__,
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,  # these pages would fetch their scripts from elsewhere
        redoc_url=None,
    )
    app.state.service = service
    app.add_middleware(Guard, token=token)
    app.add_middleware(MetricsMiddleware, metrics=service.metrics)
    install_problems(app)
    _add_routes(app, service)
    app.mount("/static", StaticFiles(directory=STATIC, check_dir=False), name="static")
    app.openapi = lambda: _description(app, token)  # type: ignore[method-assign]
    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.get("/health", tags=["state"], summary="Does the server live?")
    async def health() -> State:
        return State(status="ok")

    @app.get(
        "/ready",
        tags=["state"],
        summary="Does it take requests?",
        responses=describe_problems({503: _UPLOAD[503]}),
    )
    async def ready() -> State:
        if service.stopping:
            raise Problem(503, "The server is stopping.", retry_after=5)
        return State(status="ready")

    @app.get(
        "/metrics",
        tags=["state"],
        summary="Figures for Prometheus",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **describe_problems(_CALLER),
        },
    )
    async def figures() -> Response:
        return Response(service.metrics.to_text(), media_type=metrics.MEDIA_TYPE)

    @app.get(
        "/v1/classifier",
        tags=["classifier"],
        summary="What is classified, and how well on images that trained nothing",
        responses=describe_problems(_CALLER),
    )
    async def classifier() -> ClassifierInfo:
        return service.described

    @app.post(
        "/v1/predictions",
        tags=["classifier"],
        summary="Classify radiographs",
        responses=describe_problems(_UPLOAD),
        openapi_extra=_form("files", several=True),
    )
    async def predictions(
        request: Request,
        coverage: Annotated[
            float | None,
            Query(
                gt=0, lt=1, description="Of the prediction sets, instead of the classifier's own."
            ),
        ] = None,
        preview: Annotated[
            bool, Query(description="Also return each radiograph as a PNG, as it is seen.")
        ] = False,
    ) -> PredictionList:
        """The files are classified together with those of other requests; answers keep order.

        Numbers differ between one company and another by the rounding of float32 at most.
        """
        most = service.limits.files
        async with service.uploads.receive(request, "files", most, service.check_open) as files:
            return await service.predict(files, coverage, preview=preview)

    @app.get(
        "/v1/arrivals",
        tags=["classifier"],
        summary="Whether pictures are, together, unlike the training radiographs",
        responses=describe_problems({**_CALLER, 422: "No pictures have such figures."}),
    )
    async def arrivals(
        n: Annotated[int, Query(ge=1, le=10**9, description="How many pictures were judged.")],
        flagged: Annotated[
            int,
            Query(ge=0, description="How many have a `gate_p_value` of at most `false_alarms`."),
        ],
        mean_p_value: Annotated[float, Query(gt=0, le=1, description="Of their `gate_p_value`.")],
    ) -> ArrivalsInfo | None:
        """What `arrivals` of predictions says, of pictures that were sent in several requests.

        Null without a gate, and of fewer than ten pictures. Nothing that was sent is remembered.
        """
        return service.judge(Tally(n, flagged, n * mean_p_value))

    @app.post(
        "/v1/explanations",
        tags=["classifier"],
        summary="What moved a decision",
        responses=describe_problems(_UPLOAD),
        openapi_extra=_form("file", several=False),
    )
    async def explanations(
        request: Request,
        method: Annotated[
            str, Query(description="One of the classifier's `explanations`.")
        ] = "occlusion",
        decision: Annotated[
            str | None, Query(description="One of the classifier's `networks`; else the first.")
        ] = None,
        option: Annotated[
            str | None, Query(description="Of that decision; else the most probable one.")
        ] = None,
    ) -> Explanation:
        """An attribution map, and the nearest training radiographs where they are remembered.

        A map shows what moved this classifier's decision, not where a disease is.
        """
        async with service.uploads.receive(request, "file", 1, service.check_open) as (file,):
            return await service.explain(file, method, decision, option)


def _form(name: str, *, several: bool) -> dict[str, Any]:
    """The request body for the OpenAPI description; it is parsed by serving.uploads."""
    file = {
        "type": "string",
        "format": "binary",
        "description": "PNG, JPEG, TIFF, BMP, GIF, WebP, DICOM",
    }
    value = {"type": "array", "items": file, "minItems": 1} if several else file
    schema = {
        "type": "object",
        "properties": {name: value},
        "required": [name],
        "additionalProperties": False,
    }
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }


def _description(app: FastAPI, token: str | None) -> dict[str, Any]:
    if app.openapi_schema is None:
        described = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        if token is not None:
            schemes = described["components"].setdefault("securitySchemes", {})
            schemes["token"] = {"type": "http", "scheme": "bearer"}
            for path in ("/metrics", *(p for p in described["paths"] if p.startswith("/v1/"))):
                for operation in described["paths"][path].values():
                    operation["security"] = [{"token": []}]
        app.openapi_schema = name_media_type(described)
    return app.openapi_schema
