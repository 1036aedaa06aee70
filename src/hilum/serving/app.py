"""The web application: routes, and what each of them promises."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query, Request
from fastapi.openapi.utils import get_openapi
from fastapi.staticfiles import StaticFiles
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import FileResponse, Response

from hilum import __version__
from hilum.classifier.arrivals import Tally
from hilum.exporting.runtime import Runtime
from hilum.given import Trained, as_classifier
from hilum.serving import metrics
from hilum.serving.access import Guard, check_origin
from hilum.serving.bodies import FIELD
from hilum.serving.limits import (
    Limits,
    Problem,
    describe_problems,
    install_problems,
    name_media_type,
)
from hilum.serving.metrics import MetricsMiddleware
from hilum.serving.schemas import (
    ArrivalsInfo,
    ClassifierInfo,
    Explanation,
    Neighbour,
    PredictionList,
    State,
)
from hilum.serving.service import Service

STATIC: Final = Path(__file__).parent / "static"

_ABOUT: Final = """\
Classifies chest radiographs, and says how far to trust that. Research software, not a medical
device.

Radiographs are sent as the files they are: PNG, JPEG, TIFF, BMP, GIF, WebP or DICOM, told apart by
content; in a form or, in Base64, in JSON. They are held in memory while they are answered, and
neither stored nor logged, nor are their names. The numbers are those of `hilum predict`.

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
    415: "Neither a form nor JSON.",
    422: "The body, or a value, makes no sense; the problem says which.",
    429: "Too much is waiting: try again after `Retry-After` seconds.",
    503: "The server is stopping: try again after `Retry-After` seconds.",
}


def create_app(
    classifier: Trained,
    *,
    token: str | None = None,
    limits: Limits | None = None,
    runtime: Runtime = "torch",
    origins: Sequence[str] = (),
) -> FastAPI:
    """The web application of a classifier: its page and its API.

    Args:
        classifier: What answers, or the folder of it or of its run.
        token: Demanded of every request that computes or tells of the classifier. Without one,
            only requests to a loopback name are answered.
        limits: What is refused; None takes `Limits()`.
        runtime: What runs the networks of predictions; explanations always take PyTorch.
        origins: Pages of these origins may ask, and read the answers, from a browser:
            ``https://viewer.example``. None but the server's own unless they are named.

    Returns:
        An ASGI application; `app.state.service` holds its threads.

    Raises:
        ClassifierError: ONNX Runtime cannot run the networks.
        ServingError: One of the origins is none.
    """
    allowed = [check_origin(origin) for origin in origins]
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
        docs_url=None,  # these pages would fetch their scripts from elsewhere; ours is below
        redoc_url=None,
    )
    app.state.service = service
    app.add_middleware(Guard, token=token, origins=allowed)
    app.add_middleware(MetricsMiddleware, metrics=service.metrics)
    if allowed:  # before the guard: a browser asks without its token whether it may ask
        app.add_middleware(
            CORSMiddleware, allow_origins=allowed, allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"], expose_headers=["Retry-After"],
        )  # fmt: skip
    install_problems(app)
    _add_routes(app, service)
    app.mount("/static", StaticFiles(directory=STATIC, check_dir=False), name="static")
    app.openapi = lambda: _description(app, token)  # type: ignore[method-assign]
    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.get("/docs", include_in_schema=False)
    async def documentation() -> FileResponse:
        return FileResponse(STATIC / "docs.html")

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
        openapi_extra=_upload(several=True),
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
        details: Annotated[
            bool, Query(description="Also return view, age, sex and spacing of DICOM files.")
        ] = False,
    ) -> PredictionList:
        """The files are classified together with those of other requests; answers keep order.

        Numbers differ between one company and another by the rounding of float32 at most.
        """
        most = service.limits.files
        async with service.uploads.receive(request, most, service.check_open) as files:
            return await service.predict(files, coverage, preview=preview, details=details)

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
        openapi_extra=_upload(several=False),
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
        async with service.uploads.receive(request, 1, service.check_open) as (file,):
            return await service.explain(file, method, decision, option)

    @app.post(
        "/v1/neighbours",
        tags=["classifier"],
        summary="The nearest training radiographs",
        responses=describe_problems(_UPLOAD),
        openapi_extra=_upload(several=False),
    )
    async def neighbours(request: Request) -> list[Neighbour] | None:
        """By what the networks make of them, the nearest first; null where none is remembered."""
        async with service.uploads.receive(request, 1, service.check_open) as (file,):
            return await service.neighbours(file)


def _upload(*, several: bool) -> dict[str, Any]:
    """The request body for the OpenAPI description; it is parsed by serving.bodies."""
    kinds = "PNG, JPEG, TIFF, BMP, GIF, WebP, DICOM"
    file = {"type": "string", "format": "binary", "description": kinds}
    coded = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "content": {"type": "string", "contentEncoding": "base64", "description": kinds},
        },
        "required": ["content"],
        "additionalProperties": False,
    }
    most = {} if several else {"maxItems": 1}

    def holding(item: dict[str, Any]) -> dict[str, Any]:
        files = {"type": "array", "items": item, "minItems": 1, **most}
        schema = {
            "type": "object",
            "properties": {FIELD: files},
            "required": [FIELD],
            "additionalProperties": False,
        }
        return {"schema": schema}

    content = {"multipart/form-data": holding(file), "application/json": holding(coded)}
    return {"requestBody": {"required": True, "content": content}}


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
