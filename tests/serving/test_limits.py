"""What is refused, and how."""

import threading

import numpy as np
import pytest

from hilum.errors import HilumError
from hilum.serving.access import is_loopback, read_token
from hilum.serving.batching import Batcher
from hilum.serving.limits import Limits
from hilum.serving.run import open_socket
from tests.serving.conftest import png

TOKEN = "0123456789abcdefXYZ"


def assert_problem(answer, status):
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["status"] == status
    assert problem["detail"]
    return problem["detail"]


def test_too_many_bytes(make):
    server = make(limits=Limits(bytes=2000))

    assert server.predict(b"x" * 1000).status_code == 200
    assert "2000 bytes" in assert_problem(server.predict(b"x" * 2000), 413)
    announced = {"content-length": str(65 << 20)}
    assert "64 MiB" in assert_problem(make().post("/v1/predictions", headers=announced), 413)


def test_too_many_bytes_that_were_not_announced(make):
    async def chunks():
        yield b'--b\r\ncontent-disposition: form-data; name="files"\r\n\r\n'
        for _ in range(10):
            yield b"x" * 1000

    server = make(limits=Limits(bytes=2000))
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = server.post("/v1/predictions", content=chunks(), headers=headers)

    assert_problem(answer, 413)
    assert server.app.state.service.uploads.held == 0


def test_too_many_files(make):
    server = make(limits=Limits(files=2))

    assert server.predict(png(), png()).status_code == 200
    assert "At most 2 files" in assert_problem(server.predict(png(), png(), png()), 413)


def test_too_many_pixels_fail_alone(make):
    server = make(limits=Limits(pixels=1024))

    items = server.predict(png((32, 32)), png((33, 32))).json()["predictions"]

    assert items[0]["status"] == "ok"
    assert items[1]["reason"] == "33 x 32 pixels are too many (at most 1,024)."


def test_what_overruns_fails_alone_and_the_server_goes_on(make):
    server = make(limits=Limits(decode_seconds=1e-6))

    (item,) = server.predict(png()).json()["predictions"]

    assert item["status"] == "failed"
    assert item["reason"].startswith("takes longer than 1e-06 seconds to decode")
    assert server.get("/health").status_code == 200


def test_too_much_held_by_all_together(make):
    server = make(limits=Limits(bytes=1500, held_bytes=1500))
    uploads = server.app.state.service.uploads
    uploads.held = 1400  # what others are sending

    answer = server.predict(b"x" * 1000)

    assert_problem(answer, 429)
    assert int(answer.headers["retry-after"]) > 0
    assert uploads.held == 1400


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"content-type": "text/plain"}, b"{}", 415),
        *(
            ({"content-type": "application/json"}, content, status)
            for content, status in [
                (b"", 422),
                (b"{}", 422),
                (b'{"files": []}', 422),
                (b'{"files": ["aaaa"]}', 422),
                (b'{"files": [{"content": "aaaa", "more": 1}]}', 422),
                (b'{"files": [{"content": "aaa"}]}', 422),
                (b'{"files": [{"content": [0]}]}', 422),
                (b'{"files": [{"content": "%b' % (b"aaaa" * 999), 422),
                (b'{"files": [{"content": "%b"}, {"content": [0]}]}' % (b"aaaa" * 999), 422),
                (b'{"files": [{"content": "%b"}]}' % (b"!" * 9999), 422),
                (b'{"files": [{"name": "%b", "content": ""}]}' % (b"aaaa" * 999), 422),
                (b"[" * 60_000, 422),
                (b"[0," * 30_000, 422),
                (b'{"files": [%b{"content": ""}]}' % (b'{"content": ""},' * 16), 413),
                (b'{"files": ["%b"' % b'", "'.join([b"aaaa" * 999] * 17), 413),
            ]
        ),
        ({}, b"", 415),
        ({"content-type": "multipart/form-data"}, b"", 422),
        ({"content-type": "multipart/form-data; boundary=b"}, b"", 422),
        ({"content-type": "multipart/form-data; boundary=b"}, b"nonsense", 422),
        ({"content-type": "multipart/form-data; boundary=b"}, b"--b--\r\n", 422),
        (
            {"content-type": "multipart/form-data; boundary=b"},
            b'--b\r\ncontent-disposition: form-data; name="files"; filename="a"\r\n\r\ncut',
            422,
        ),
        (
            {"content-type": "multipart/form-data; boundary=b"},
            b'--b\r\ncontent-disposition: form-data; name="other"\r\n\r\nx\r\n--b--\r\n',
            422,
        ),
        ({"content-type": "multipart/form-data; boundary=b"}, b"--b\r\n\r\nx\r\n--b--\r\n", 422),
    ],
)
def test_what_is_no_form_of_files(server, headers, content, status):
    assert_problem(server.post("/v1/predictions", headers=headers, content=content), status)


@pytest.mark.parametrize("coverage", ["0", "1", "x", "nan"])
def test_a_coverage_that_is_none(server, coverage):
    assert_problem(server.predict(png(), params={"coverage": coverage}), 422)


def test_unknown_places_and_methods(server):
    assert_problem(server.get("/v1/nothing"), 404)
    assert_problem(server.get("/v1/predictions"), 405)


def test_limits_that_make_no_sense():
    with pytest.raises(HilumError, match="'files' must be above 0"):
        Limits(files=0)
    with pytest.raises(HilumError, match="leave room"):
        Limits(bytes=10, held_bytes=5)
    with pytest.raises(HilumError, match="above 'decode_bytes'"):
        Limits(decode_bytes=10, decode_budget=10)


# ---- the queue -----------------------------------------------------------------------------


class Held:
    """Networks that wait until they are told to go on."""

    def __init__(self, classifier):
        self.go, self.began, self.sizes = threading.Event(), threading.Event(), []
        self._classifier = classifier

    def __call__(self, pixels):
        self.sizes.append(len(pixels))
        self.began.set()
        assert self.go.wait(20)
        return self._classifier.predict_pixels(pixels)


def test_a_full_queue_refuses_and_health_answers(make, served):
    server = make(limits=Limits(queue=2, files=2))
    held = Held(served)
    server.app.state.service.batcher._classify = held
    answers = []
    first = threading.Thread(target=lambda: answers.append(server.predict(png(), png())))
    first.start()
    assert held.began.wait(20)

    refused, alive = server.predict(png()), server.get("/health")
    held.go.set()
    first.join()

    assert "2 radiographs are waiting" in assert_problem(refused, 429)
    assert int(refused.headers["retry-after"]) > 0
    assert alive.json() == {"status": "ok"}
    assert answers[0].status_code == 200
    assert server.predict(png()).status_code == 200  # there is room again


def test_what_waits_is_classified_together_and_told_apart(served):
    held = Held(served)
    batcher = Batcher(held, Limits(batch=16, files=16))
    pixels = np.random.default_rng(0).integers(0, 256, (12, 32, 32)).astype(np.uint8)
    parts = [pixels[:1], pixels[1:4], pixels[4:5], pixels[5:12]]
    first = batcher.submit(parts[0])
    assert held.began.wait(20)
    rest = [batcher.submit(part) for part in parts[1:]]
    held.go.set()
    found = [f.result(20) for f in (first, *rest)]
    batcher.close()

    assert held.sizes == [1, 11]
    expected = served.predict_pixels(pixels)
    assert [len(f) for f in found] == [1, 3, 1, 7]
    np.testing.assert_allclose(np.concatenate([f.probs for f in found]), expected.probs, atol=1e-6)
    p_values = np.concatenate([f.gate_p_values for f in found])
    np.testing.assert_array_equal(p_values, expected.gate_p_values)


def test_a_batch_is_never_larger_than_it_may_be(served):
    held = Held(served)
    batcher = Batcher(held, Limits(batch=4, files=4))
    first = batcher.submit(np.zeros((1, 32, 32), np.uint8))
    assert held.began.wait(20)
    rest = [batcher.submit(np.zeros((3, 32, 32), np.uint8)) for _ in range(3)]
    held.go.set()
    batcher.close()

    assert held.sizes == [1, 3, 3, 3]
    assert all(f.done() for f in (first, *rest))


def test_a_failure_of_the_networks_reaches_its_senders_only(make, served):
    server = make()
    batcher = server.app.state.service.batcher

    def fail(_):
        raise RuntimeError("out of order")

    batcher._classify = fail
    broken = server.predict(png())
    batcher._classify = served.predict_pixels

    assert "out of order" not in assert_problem(broken, 500)
    assert "default-src 'self'" in broken.headers["content-security-policy"]
    assert broken.headers["cache-control"] == "no-store"
    assert 'route="/v1/predictions",status="500"' in server.get("/metrics").text
    assert server.predict(png()).status_code == 200


def test_too_many_explanations(make):
    server = make(limits=Limits(explanations=1))
    server.app.state.service._explaining = 1

    assert_problem(server.post("/v1/explanations", files={"file": png()}), 429)


def test_refuses_while_it_stops(make):
    server = make()
    server.app.state.service.stopping = True

    answer = server.predict(png())

    assert_problem(answer, 503)
    assert int(answer.headers["retry-after"]) > 0
    assert_problem(server.get("/ready"), 503)
    assert server.get("/health").status_code == 200


# ---- access --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given", [None, "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer é"]
)
@pytest.mark.parametrize("path", ["/v1/classifier", "/metrics"])
def test_the_token_is_demanded(make, given, path):
    server = make(token=TOKEN, base_url="http://hospital.example")
    headers = {} if given is None else {"authorization": given.encode("latin-1")}

    answer = server.get(path, headers=headers)

    assert_problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_token_opens(make):
    server = make(token=TOKEN, base_url="http://hospital.example")

    headers = {"authorization": f"Bearer {TOKEN}"}
    assert server.get("/v1/classifier", headers=headers).status_code == 200
    assert server.get("/health").status_code == 200


@pytest.mark.parametrize("host", ["attacker.example", "localhost.attacker.example", "", "[::1"])
def test_only_names_of_this_machine_without_a_token(server, host):
    assert_problem(server.get("/v1/classifier", headers={"host": host}), 421)


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"])
def test_names_of_this_machine(server, host):
    assert server.get("/health", headers={"host": host}).status_code == 200


def test_pages_of_other_origins_are_refused(server):
    origin = {"origin": "https://attacker.example"}

    assert_problem(server.predict(png(), headers=origin), 403)
    assert server.predict(png(), headers={"origin": "http://localhost"}).status_code == 200


def test_pages_of_an_allowed_origin_are_answered(make):
    """What a browser asks first, without the token; answers and refusals can then be read."""
    theirs = {"origin": "https://viewer.example", "sec-fetch-site": "cross-site"}
    first = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "Content-Type",
    }
    for given in ({}, {"token": TOKEN}):
        server = make(origins=["https://viewer.example"], **given)

        asked = server.send(
            {"method": "OPTIONS", "url": "/v1/predictions", "headers": theirs | first}
        )
        answers = [asked[0], server.predict(png(), headers=theirs)]

        assert [a.status_code for a in answers] == [200, 401 if given else 200]
        assert {a.headers["access-control-allow-origin"] for a in answers} == {theirs["origin"]}
        stranger = theirs | {"origin": "https://attacker.example"}
        for answer in server.send(
            {"method": "OPTIONS", "url": "/v1/predictions", "headers": stranger | first},
            {"method": "GET", "url": "/v1/classifier", "headers": stranger},
        ):
            assert answer.status_code in (400, 401 if given else 403)
            assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["*", "null", "viewer.example", "https://viewer.example/", "https://Viewer.example"]
)
def test_origins_that_are_none(make, origin):
    with pytest.raises(HilumError, match="is no origin of pages"):
        make(origins=[origin])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://["}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, 200),
    ],
)
def test_what_browsers_say_of_who_asks(server, headers, status):
    answer = server.get("/v1/classifier", headers=headers)

    assert answer.status_code == status
    assert "default-src 'self'" in answer.headers["content-security-policy"]


def test_a_link_from_elsewhere_leads_to_the_page(server):
    elsewhere = {"sec-fetch-site": "cross-site"}

    assert server.get("/", headers=elsewhere | {"sec-fetch-mode": "navigate"}).status_code == 200
    assert server.get("/", headers=elsewhere | {"sec-fetch-mode": "no-cors"}).status_code == 403


@pytest.mark.parametrize("path", ["/health", "/v1/classifier", "/nothing"])
def test_security_headers(server, path):
    headers = server.get(path).headers

    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


def test_loopback():
    assert [is_loopback(h) for h in ("127.0.0.1", "127.9.9.9", "::1", "localhost")] == [True] * 4
    assert [is_loopback(h) for h in ("0.0.0.0", "::", "10.0.0.1", "host")] == [False] * 4


def test_refuses_to_be_open_to_others_without_a_token():
    with pytest.raises(HilumError, match="--token-file"):
        open_socket("0.0.0.0", 0, None)


@pytest.mark.parametrize("text", ["", "short", "two words of a token", "é" * 20])
def test_tokens_that_are_none(tmp_path, text):
    path = tmp_path / "token"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(HilumError, match="token_urlsafe"):
        read_token(path)


def test_a_token_file(tmp_path):
    (tmp_path / "token").write_text(f"{TOKEN}\n")

    assert read_token(tmp_path / "token") == TOKEN
    with pytest.raises(HilumError, match="cannot be read"):
        read_token(tmp_path / "none")
