"""The page in a browser, against the running server."""

import base64
import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hilum.classifier.classifier import Classifier
from hilum.classifier.conformal import ODD
from hilum.networks.registry import create_network
from hilum.prediction.predict import predict_each
from hilum.prediction.table import Table
from hilum.radiographs.dataset import open_dataset
from hilum.statistics.targets import Target
from hilum.statistics.two_by_two import TwoByTwo
from tests.browser import Visit
from tests.browser import browser as browser
from tests.browser import chromium as chromium
from tests.radiographs.dicoms import dicom, save
from tests.serving.conftest import png
from tests.serving.pages import address as address
from tests.serving.pages import choose, middle, running, shown, until_shown
from tests.serving.pages import visit as visit
from tests.spots import write_spots
from tests.untrained import untrained

TOKEN = "correct-horse-battery-staple"


def drop(page: Any, name: str, content: bytes) -> None:
    transfer = page.evaluate_handle(
        """([name, text]) => {
            const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name));
            return transfer;
        }""",
        [name, base64.b64encode(content).decode()],
    )
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})


def test_a_dropped_radiograph_is_answered_down_the_tree(
    visit: Callable[..., Visit], address: str, served: Classifier, radiographs: list[Path]
) -> None:
    found = visit(address)
    file = radiographs[0]
    expected = served.predict(file)
    k = int(expected.predicted[0])
    steps = []
    for decision in served.tree.decisions:
        for i, option in enumerate(decision.options):
            if option in served.tree.paths[k]:
                p = expected.decision_probs[decision.name][0, i]
                steps.append(f"{decision.name}: {option} {shown(p)}")

    drop(found.page, file.name, file.read_bytes())

    found.page.locator(".verdict").wait_for()
    verdict = f"{served.tree.classes[k]} {shown(expected.probs[0, k])}"
    assert found.page.locator(".verdict").inner_text() == verdict
    assert found.page.locator(".path").inner_text() == " → ".join(steps)
    assert found.page.locator("#progress").inner_text() == "1 of 1 radiograph read."
    assert "covid is a bright spot." in (found.page.locator("#notes").text_content() or "")
    found.check_quiet()


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_what_is_unlike_the_training_radiographs_gets_no_class_in_large(
    visit: Callable[..., Visit], address: str, served: Classifier, tmp_path: Path, size: str
) -> None:
    found = visit(address, size=size)
    (tmp_path / "cat.png").write_bytes(png(mode="RGB"))

    choose(found.page, tmp_path / "cat.png")

    page = found.page
    first = page.locator("#answer > *").first
    assert first.inner_text() == "No answer: unlike the training radiographs"
    assert page.locator("#list .about").inner_text() == "unlike the training radiographs"
    assert ODD in page.locator(".flag").first.inner_text()
    large = page.evaluate(
        "() => [...document.querySelectorAll('#answer *')].filter(e => "
        "parseFloat(getComputedStyle(e).fontSize) > 17).map(e => e.textContent).join(' ')"
    )
    assert not any(name in large.split() for name in served.tree.classes)
    assert any(name in page.locator(".void").inner_text() for name in served.tree.classes)
    assert "Left out: 1" in page.locator("#tally").inner_text()
    page.click("#draw")
    page.locator("#overlay-tools").wait_for()
    assert "this map means nothing" in page.locator("#explain-status").inner_text()
    found.check_fits()
    found.check_accessible()
    found.check_quiet()


def test_ten_that_are_together_unlike_those_of_training_are_told_above_all(
    visit: Callable[..., Visit], address: str, radiographs: list[Path], tmp_path: Path
) -> None:
    noise = [tmp_path / f"{i}.png" for i in range(9)]
    for i, file in enumerate(noise):
        file.write_bytes(png(seed=i))
    found = visit(address, size="phone")
    page = found.page
    note = page.locator("#arrivals")

    choose(page, *noise)
    assert not note.is_visible()
    page.set_input_files("#choose", [radiographs[0]])

    note.wait_for()
    assert note.inner_text().startswith("90.0\N{NARROW NO-BREAK SPACE}% of these 10 pictures are")
    assert note.bounding_box()["y"] < page.locator("#main").bounding_box()["y"]
    found.check_fits()
    found.check_accessible()
    page.click("#clear")
    note.wait_for(state="hidden")
    with page.expect_response(lambda answer: "arrivals?n=10" in answer.url) as answer:
        choose(page, *radiographs, radiographs[0])
    assert answer.value.json()["warning"] == ""
    assert not note.is_visible()
    found.check_quiet()


def test_a_dicom_file_is_drawn(visit: Callable[..., Visit], address: str, tmp_path: Path) -> None:
    found = visit(address)

    said: dict[str, Any] = {"ViewPosition": "PA", "PatientAge": "034Y", "PatientSex": "F"}
    plain, measured = dicom(**said), dicom(ImagerPixelSpacing=[2, 2], **said)
    choose(found.page, save(tmp_path / "1.dcm", plain))  # a ramp: row 8 of 16 is mid-grey

    assert abs(middle(found.page)[0] - 128) < 16
    drawn = "document.getElementById('picture').toDataURL()"
    without = found.page.evaluate(drawn)
    assert found.page.get_by_text("The file says: PA, 34 years, female.").is_visible()
    choose(found.page, save(tmp_path / "2.dcm", measured))
    found.page.keyboard.press("j")
    until_shown(found.page)
    middle(found.page)
    assert found.page.evaluate(drawn) != without  # the ruler
    assert not found.page.locator("#no-picture").is_visible()


def test_the_slider_tells_sensitivity_and_specificity(
    visit: Callable[..., Visit], address: str, served: Classifier, radiographs: list[Path]
) -> None:
    page = visit(address).page
    choose(page, *radiographs[:3])
    page.select_option("#target", "covid")
    page.focus("#threshold")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#threshold-value").inner_text() == "0.490"

    page.keyboard.press("Home")

    truth, known = served.promised_predictions()
    target = Target.parse("covid", served.tree)
    measures = TwoByTwo.count(target.positive(truth), target.scores(known) >= 0).measures()
    found = page.locator("#figures dd").all_inner_texts()
    for text, measure in zip(found, (measures.sensitivity, measures.specificity), strict=True):
        assert text.startswith(f"{measure.value:.2f} ({measure.low:.2f} to {measure.high:.2f})")
    assert page.locator("#tally").inner_text() == "Of 3 radiographs here, 3 called covid."
    assert page.locator("#list .tag", has_text="called covid").count() == 3

    page.keyboard.press("End")
    assert page.locator("#tally").inner_text() == "Of 3 radiographs here, 0 called covid."


def test_a_preset_tells_what_to_expect_elsewhere_or_why_it_cannot_be_met(
    visit: Callable[..., Visit], address: str
) -> None:
    page = visit(address).page
    told = page.request.get(f"{address}v1/classifier").json()
    satisfied = []
    for name, points in told["presets"].items():
        for point in points:
            page.select_option("#target", point["target"])
            button, chosen = page.locator(f"[data-preset={name}]"), point["chosen"]
            satisfied.append(chosen["satisfied"])
            if not chosen["satisfied"]:
                assert button.is_disabled()
                assert chosen["reason"] in page.locator("#operate").inner_text()
                continue
            button.click()
            assert button.get_attribute("aria-pressed") == "true"
            assert page.locator("#threshold-value").inner_text() == f"{chosen['threshold']:.3f}"
            value = chosen["expected"]["sensitivity"]["value"]
            assert page.locator("#figures dd").first.inner_text().startswith(f"{value:.2f} (")
    assert any(satisfied)


def test_a_map_is_laid_over_and_taken_away(
    visit: Callable[..., Visit], address: str, radiographs: list[Path]
) -> None:
    page = visit(address).page
    choose(page, radiographs[0])

    page.click("#draw")
    page.locator("#overlay-tools").wait_for()

    assert "Occlusion" in page.locator("#explain-status").inner_text()

    def colours() -> int:
        """How many drawn pixels are not grey."""
        middle(page)
        count: int = page.evaluate(
            """() => {
                const canvas = document.getElementById('picture');
                const all = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
                let coloured = 0;
                for (let i = 0; i < all.data.length; i += 4) {
                    coloured += Math.abs(all.data[i] - all.data[i + 2]) > 8;
                }
                return coloured;
            }"""
        )
        return count

    assert colours() > 100
    page.keyboard.press("o")
    assert not page.locator("#overlay").is_checked()
    assert colours() == 0
    page.keyboard.press("o")
    page.locator("#opacity").fill("0")
    assert colours() == 0


def test_the_map_of_a_flat_network_and_no_thresholds_without_validation(
    visit: Callable[..., Visit], tmp_path: Path, radiographs: list[Path]
) -> None:
    data = open_dataset(write_spots(tmp_path / "spots", {"train": 2}))
    bare = untrained(data)
    flat = replace(
        bare,
        strategy="flat",
        networks={"flat": create_network("naive", outputs=3, image_size=(32, 32))},
        network_names={"flat": "naive"},
    )
    with running(flat) as address:
        found = visit(address)
        choose(found.page, radiographs[0])
        assert "hilum calibrate" in found.page.locator("#operate").inner_text()
        assert "not calibrated" in found.page.locator("#reading").inner_text()
        predicted = found.page.locator(".verdict").inner_text().split()[0]
        found.page.click("#draw")
        found.page.locator("#overlay-tools").wait_for()
        assert f"'{predicted}'" in found.page.locator("#explain-status").inner_text()
        found.check_quiet()


def test_window_level_zoom_and_keys(
    visit: Callable[..., Visit], address: str, radiographs: list[Path]
) -> None:
    page = visit(address).page
    choose(page, *radiographs[:2])
    before = middle(page)[0]

    page.keyboard.press("i")
    assert middle(page)[0] == 255 - before
    page.keyboard.press("0")
    assert middle(page)[0] == before

    page.locator("#sliders summary").click()
    assert page.locator("#level").is_visible()
    page.locator("#sliders summary").click()
    page.keyboard.press("[")
    page.keyboard.press(".")
    assert page.locator("#window-value").inner_text() == "239"
    assert page.locator("#level-value").inner_text() == "136"
    page.keyboard.press("0")

    box = page.locator("#picture").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 55, y + 40)
    page.mouse.up()
    assert page.locator("#window-value").inner_text() == "200"
    assert page.locator("#level-value").inner_text() == "148"
    page.keyboard.press("0")

    page.mouse.wheel(0, -400)  # around the pointer, so that what is in the middle moves
    page.keyboard.press("ArrowLeft")
    assert middle(page)[0] != before
    page.keyboard.press("0")
    assert middle(page)[0] == before

    rows = page.locator("#list .item")
    page.keyboard.press("j")
    assert rows.nth(1).get_attribute("aria-current") == "true"
    assert page.locator("#view-title").inner_text() == radiographs[1].name
    page.keyboard.press("k")
    assert rows.nth(0).get_attribute("aria-current") == "true"

    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.locator("#keys-on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    assert rows.nth(0).get_attribute("aria-current") == "true"


def test_names_are_text_and_a_broken_file_says_why(
    visit: Callable[..., Visit], address: str, tmp_path: Path, radiographs: list[Path]
) -> None:
    found = visit(address)
    name = "<img src=x onerror=alert(1)>.png"
    (tmp_path / name).write_bytes(b"no picture")

    choose(found.page, tmp_path / name, radiographs[0])

    assert found.page.locator("#view-title").inner_text() == name
    assert found.page.locator("#progress").inner_text() == "1 of 2 radiographs read, 1 failed."
    assert found.page.locator(".verdict").inner_text() == "No answer"
    assert len(found.page.locator("#answer .flag").inner_text()) > 10
    assert found.page.locator("main img").count() == 0
    found.check_quiet()


def test_the_csv_is_that_of_hilum_predict_and_holds_no_formula(
    visit: Callable[..., Visit],
    address: str,
    served: Classifier,
    tmp_path: Path,
    radiographs: list[Path],
) -> None:
    page = visit(address).page
    (tmp_path / "=1+1,2.png").write_bytes(b"no picture")
    choose(page, radiographs[0], tmp_path / "=1+1,2.png")
    page.select_option("#target", "covid")
    page.focus("#threshold")
    page.keyboard.press("Home")

    with page.expect_download() as download:
        page.click("#export")

    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    ok, failed = csv.DictReader(text.splitlines())
    table = Table.of(served)
    (found,) = predict_each(served, [str(radiographs[0])], table)
    expected = dict(zip(table.columns, table.row(found), strict=True))
    called = "covid: score>=0.0000"
    assert set(ok) == {*expected, called}
    assert ok[called] == "1"
    decided = {served.tree.paths[served.tree.class_index(ok["predicted"])][0], "root"}
    for column, kind in table.columns.items():
        if "/" in column and column.split("/")[0] not in decided:
            assert ok[column] == ""  # of a decision that was not reached
        elif column == "path":
            assert ok[column] == radiographs[0].name
        elif kind == "text":
            assert ok[column] == (expected[column] or "")
        else:
            assert float(ok[column]) == pytest.approx(float(expected[column] or 0), abs=1e-6)
    assert failed["path"] == "'=1+1,2.png"
    assert failed["status"] == "failed"
    assert failed["reason"]
    assert failed["predicted"] == failed["p(covid)"] == failed[called] == ""


def refuse(page: Any, status: int, detail: str, *, times: int) -> None:
    """Let the next requests for predictions be refused; each is to wait a second longer."""
    left = iter(range(20, 20 + times))

    def answer(route: Any) -> None:
        if (wait := next(left, None)) is None:
            route.continue_()
            return
        route.fulfill(
            status=status,
            headers={"Retry-After": str(wait), "Content-Type": "application/problem+json"},
            body=json.dumps({"title": "Refused", "status": status, "detail": detail}),
        )

    page.route("**/v1/predictions*", answer)


def test_a_busy_server_is_asked_again_when_it_says(
    visit: Callable[..., Visit], address: str, radiographs: list[Path]
) -> None:
    page = visit(address, before=lambda page: page.clock.install()).page
    refuse(page, 429, "The queue is full.", times=1)
    page.set_input_files("#choose", radiographs[0])
    page.get_by_text("server busy, again in 20 s").wait_for()

    page.clock.fast_forward(20_000)

    page.get_by_text("1 of 1 radiograph read.").wait_for()
    assert page.locator("#list", has_text="busy").count() == 0


def test_a_server_that_stays_busy_is_left_alone(
    visit: Callable[..., Visit], address: str, radiographs: list[Path]
) -> None:
    page = visit(address, before=lambda page: page.clock.install()).page
    asked = []
    page.on("request", lambda r: asked.append(r.url) if "predictions" in r.url else None)
    refuse(page, 429, "The queue is full.", times=99)
    page.set_input_files("#choose", radiographs[0])

    for wait in (20, 21, 22):
        page.get_by_text(f"server busy, again in {wait} s").wait_for()
        page.clock.fast_forward(wait * 1000)

    page.get_by_text("The queue is full.").wait_for()
    assert len(asked) == 4


def test_a_file_beyond_the_limit_is_not_sent(
    visit: Callable[..., Visit], address: str, radiographs: list[Path]
) -> None:
    def shrink(page: Any) -> None:
        def answer(route: Any) -> None:
            told = route.fetch().json()
            route.fulfill(json={**told, "limits": {**told["limits"], "bytes": 10}})

        page.route("**/v1/classifier", answer)
        page.route("**/v1/predictions*", lambda route: route.abort())

    page = visit(address, before=shrink).page

    choose(page, radiographs[0])

    assert "the server takes" in page.locator("#answer .flag").inner_text()


def test_a_refusal_is_shown_and_can_be_tried_again(
    visit: Callable[..., Visit], address: str, radiographs: list[Path]
) -> None:
    page = visit(address).page
    refuse(page, 413, "The upload has 99 bytes; at most 9 are taken.", times=1)
    choose(page, radiographs[0])
    assert page.locator("#answer .flag").inner_text().startswith("The upload has 99 bytes")

    page.get_by_role("button", name="Try again").click()

    page.get_by_text("1 of 1 radiograph read.").wait_for()
    assert page.locator(".path").is_visible()


def test_a_token_is_asked_for_until_it_fits(
    visit: Callable[..., Visit], served: Classifier, radiographs: list[Path]
) -> None:
    with running(served, TOKEN) as address:
        page = visit(address, ready=False).page
        page.locator("#token").fill("a-guess-that-is-wrong")
        page.keyboard.press("Enter")
        page.get_by_text("The server did not take this token.").wait_for()

        page.locator("#token").fill(TOKEN)
        page.keyboard.press("Enter")

        page.locator("body[data-ready]").wait_for()
        choose(page, radiographs[0])
        assert page.locator(".path").is_visible()


@pytest.mark.parametrize(("size", "dark"), [("desktop", False), ("phone", True)])
def test_the_page_is_accessible_and_fits(
    visit: Callable[..., Visit],
    address: str,
    tmp_path: Path,
    radiographs: list[Path],
    size: str,
    dark: bool,
) -> None:
    found = visit(address, size=size, dark=dark)
    (tmp_path / f"{'long' * 40}.png").write_bytes(b"no picture")
    found.check_fits()

    choose(found.page, radiographs[0], tmp_path / f"{'long' * 40}.png")
    found.page.click("#draw")
    found.page.locator("#overlay-tools").wait_for()

    found.check_fits()
    found.check_accessible()
    options = found.page.locator("option")  # classes may have long names
    options.evaluate_all("all => all.forEach(option => { option.text = 'x'.repeat(150); })")
    found.check_fits()
    found.page.keyboard.press("?")
    found.check_accessible()
    found.check_quiet()
