"""The list, the picture and the answer on the page, as a reader uses them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.classifier.classifier import Classifier
from tests.browser import Visit
from tests.browser import browser as browser
from tests.browser import chromium as chromium
from tests.radiographs.dicoms import dicom, save
from tests.serving.conftest import png
from tests.serving.pages import address as address
from tests.serving.pages import choose, middle, until_shown
from tests.serving.pages import visit as visit


@pytest.mark.parametrize("size", [(1440, 900), (1280, 720)])
def test_picture_and_answer_are_seen_together(
    visit: Callable[..., Visit], address: str, radiographs: list[Path], size: tuple[int, int]
) -> None:
    """Also after a map has been drawn, and at the threshold; the page never scrolls."""
    page = visit(address).page
    page.set_viewport_size({"width": size[0], "height": size[1]})
    choose(page, *radiographs)
    page.click("#draw")
    page.locator("#overlay-tools").wait_for()

    def check_seen(*names: str) -> None:
        boxes = [page.locator(name).bounding_box() for name in names]
        assert all(b["y"] >= 0 and b["y"] + b["height"] <= size[1] for b in boxes)
        assert page.evaluate("document.documentElement.scrollHeight") <= size[1]

    check_seen("#picture", ".verdict", "#preset", "#draw", "#opacity", ".caption >> nth=1")
    page.keyboard.press("t")
    check_seen("#picture", "#threshold", ".caption >> nth=1")
    said = page.locator(".caption").nth(1).inner_text()
    assert said.startswith(f"{radiographs[0].name}: {page.locator('.verdict').inner_text()}")


def test_two_pictures_under_one_view_full_screen_and_never_out_of_sight(
    visit: Callable[..., Visit], address: str, radiographs: list[Path]
) -> None:
    found = visit(address)
    page = found.page
    choose(page, *radiographs[:2])

    def least_opaque(name: str) -> int:
        middle(page)
        alpha: int = page.evaluate(
            """(id) => {
                const canvas = document.getElementById(id);
                const all = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
                let least = 255;
                for (let i = 3; i < all.data.length; i += 4) least = Math.min(least, all.data[i]);
                return least;
            }""",
            name,
        )
        return alpha

    page.keyboard.press("c")
    page.keyboard.press("j")
    until_shown(page)
    first, second = (page.locator("figure").nth(i) for i in (0, 1))
    assert first.inner_text().startswith(radiographs[0].name)
    assert second.inner_text().startswith(radiographs[1].name)

    box = page.locator("#pinned").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + box["height"] / 2)
    for _ in range(12):
        page.mouse.wheel(0, -100)
    assert page.locator("#zoom-value").inner_text() == "314 %"  # 1.1 to the 12th
    page.click("#tool-move")
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + 9000, box["y"] + 9000)
    page.mouse.up()
    for name in ("pinned", "picture"):  # both have a picture everywhere, in the one's corner
        assert least_opaque(name) == 255
    page.select_option("#preset", "bright")
    window = int(page.locator("#window-value").inner_text())
    assert 0 < window < 255
    page.click("#reset")
    assert page.locator("#zoom-value").inner_text() == "100 %"

    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement?.id === 'view'")
    page.focus("#picture")
    page.keyboard.press("ArrowUp")  # nothing to move at 100 %, so it walks through the list
    page.get_by_text(radiographs[0].name, exact=True).locator("visible=true").first.wait_for()
    assert page.locator("#said").inner_text().startswith(radiographs[0].name)
    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement === null")
    found.check_accessible()
    page.keyboard.press("c")
    assert not first.is_visible()


def test_a_line_is_measured_where_the_spacing_of_pixels_is_known(
    visit: Callable[..., Visit], address: str, radiographs: list[Path], tmp_path: Path
) -> None:
    page = visit(address).page
    film = save(tmp_path / "film.dcm", dicom(ImagerPixelSpacing=[2, 2]))  # 16 x 16 pixels
    choose(page, film, radiographs[0])
    button, drawn = page.locator("#tool-measure"), "document.getElementById('picture').toDataURL()"
    middle(page)
    without = page.evaluate(drawn)
    box = page.locator("#picture").bounding_box()
    pixel = min(box["width"], box["height"]) / 16
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag(across: float, down: float) -> None:
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + across * pixel, y + down * pixel)
        page.mouse.up()
        middle(page)

    page.keyboard.press("m")
    assert button.get_attribute("aria-pressed") == "true"
    drag(3, 4)  # of 2 mm each: 6 mm across and 8 mm down
    assert page.locator("#said").inner_text() == "Measured: 10 mm at the detector."
    assert page.evaluate(drawn) != without
    assert page.locator("#window-value").inner_text() == "255"
    page.keyboard.press("Escape")
    middle(page)
    assert page.evaluate(drawn) == without
    drag(9000, 0)  # ends where the picture ends
    assert page.locator("#said").inner_text() == "Measured: 16 mm at the detector."
    drag(0, 0)
    assert page.evaluate(drawn) == without, "a click removes it"

    page.click("#draw")  # a map lies on what may be cropped
    page.locator("#overlay-tools").wait_for()
    middle(page)
    assert button.is_disabled()
    assert button.get_attribute("aria-pressed") == "false"
    page.keyboard.press("j")
    page.locator("#view-title", has_text=radiographs[0].name).wait_for()
    button.wait_for(state="hidden")
    page.keyboard.press("m")
    assert page.locator("#tool-window").get_attribute("aria-pressed") == "true"


def test_the_nearest_training_radiograph_stands_beside_the_picture(
    visit: Callable[..., Visit], address: str, served: Classifier, radiographs: list[Path]
) -> None:
    found = visit(address)
    page = found.page
    choose(page, radiographs[0], radiographs[-1])
    beside = page.locator("figure").first
    reference = served.reference
    assert reference is not None

    def nearest() -> list[str]:
        rows = page.locator(".near tbody tr")
        rows.nth(4).wait_for()
        return [rows.nth(i).locator("td").nth(1).inner_text() for i in range(rows.count())]

    page.keyboard.press("n")
    beside.get_by_text("Training radiograph: ").wait_for()
    pressed = page.locator(".near button[aria-pressed=true]")
    assert pressed.count() == 1
    assert set(nearest()) <= set(served.classes)
    assert f"Training radiograph: {nearest()[0]}, distance " in beside.inner_text()
    page.locator(".near button").nth(2).click()
    assert f"Training radiograph: {nearest()[2]}, distance " in beside.inner_text()
    page.keyboard.press("+")
    assert page.locator("#zoom-value").inner_text() == "110 %"
    found.check_accessible()

    with page.expect_response("**/v1/neighbours") as asked:
        page.keyboard.press("j")
    told = asked.value.json()[0]
    said = f"Training radiograph: {told['label']}, distance {told['distance']:.2f}"
    beside.get_by_text(said).wait_for()  # the next one's nearest
    until_shown(page)
    page.keyboard.press("n")
    assert not beside.is_visible()
    assert pressed.count() == 0
    page.keyboard.press("c")
    page.keyboard.press("k")
    assert beside.inner_text().startswith(radiographs[-1].name), "what is kept is not replaced"
    found.check_quiet()


def test_the_list_is_sorted_filtered_walked_through_and_shortened(
    visit: Callable[..., Visit],
    address: str,
    served: Classifier,
    radiographs: list[Path],
    tmp_path: Path,
) -> None:
    page = visit(address).page
    broken, odd = tmp_path / "broken.png", tmp_path / "odd.png"
    broken.write_bytes(b"no picture")
    odd.write_bytes(png(mode="RGB"))
    files = [broken, odd, *radiographs[::2]]
    choose(page, *files)
    page.select_option("#target", "covid")
    rows = page.locator("#list .item")
    scores = served.predict([odd, *radiographs[::2]]).probs[:, 1].tolist()

    page.select_option("#sort", "probability")
    ranked = sorted(zip(scores, files[1:], strict=True), key=lambda pair: -pair[0])
    names = page.locator("#list .file-name").all_inner_texts()
    assert names == [file.name for _, file in ranked] + [broken.name]
    page.select_option("#sort", "gate")
    assert page.locator("#list .file-name").first.inner_text() == odd.name
    page.select_option("#filter", "odd")
    assert rows.count() == 1
    assert page.locator("#hidden").inner_text() == "6 radiographs not shown."
    page.select_option("#filter", "all")

    page.select_option("#sort", "added")
    rows.nth(1).click()
    page.keyboard.press("ArrowDown")
    assert rows.nth(2).get_attribute("aria-current") == "true"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Delete")
    assert rows.count() == 6
    assert rows.nth(1).get_attribute("aria-current") == "true"
    page.get_by_role("button", name=f"Remove {broken.name}").click()
    assert page.locator("#progress").inner_text() == "5 of 5 radiographs read."


def test_what_is_open_and_alike_is_said_in_words_and_alarms_nobody(
    visit: Callable[..., Visit], address: str, radiographs: list[Path]
) -> None:
    page = visit(address).page
    file = {"name": "1.png", "mimeType": "image/png", "buffer": radiographs[0].read_bytes()}
    told = page.request.post(
        f"{address}v1/predictions?preview=true", multipart={"files": file}
    ).json()
    told["predictions"][0] |= {"gate_p_value": 0.34, "predicted": "covid"}
    page.route("**/v1/predictions*", lambda route: route.fulfill(json=told))
    classes = ["normal", "covid", "non-covid"]
    words = {
        "": ("Only covid fits.", ["covid"]),
        "or normal": ("Undecided: normal or covid. For a radiologist.", classes[:2]),
        "no class fits": ("No class fits this picture. For a radiologist.", []),
        "no information": (
            "No information: any class is still possible. For a radiologist.", classes
        ),
    }  # fmt: skip
    for i, (short, (long, held)) in enumerate(words.items()):
        referral = {"referred": len(held) != 1, "referred_because": "several classes"}
        told["predictions"][0] |= {"set": held, **referral}
        page.set_input_files("#choose", radiographs[0])
        row = page.locator("#list .item").nth(i)
        row.locator(".about", has_text="covid").wait_for()
        row.click()
        assert row.locator(".about").inner_text().rstrip().endswith(short)
        assert page.locator("#answer .set").inner_text() == long
        assert page.locator("#answer .gate").inner_text() == "Like the training radiographs."
    assert page.locator(".tag.warn, .flag").count() == 0


def test_a_reload_that_would_forget_the_list_is_asked_about(
    visit: Callable[..., Visit], address: str, radiographs: list[Path]
) -> None:
    page = visit(address).page
    asked = []

    def accept(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", accept)

    page.click("h1")  # browsers ask only who has used the page
    page.reload()
    assert asked == []
    page.locator("body[data-ready]").wait_for()
    choose(page, radiographs[0])
    page.locator("#list .item").click()
    page.reload()

    assert asked == ["beforeunload"]


def test_the_api_is_described_without_anything_from_elsewhere(
    visit: Callable[..., Visit], address: str
) -> None:
    found = visit(f"{address}docs")
    text = found.page.locator("#docs").inner_text()

    told = found.page.request.get(f"{address}openapi.json").json()
    for path, methods in told["paths"].items():
        assert all(f"{method.upper()} {path} " in text for method in methods)
    assert all(name in text for name in told["components"]["schemas"])
    assert "undefined" not in text
    assert "`" not in text
    assert found.page.locator("#docs p code", has_text="hilum predict").count() == 1
    assert [url for url in found.requests if not url.startswith(address)] == []
    found.check_fits()
    found.check_accessible()
    assert found.console == []
