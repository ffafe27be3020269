"""The page in a real browser: drawn on, moved, uploaded to."""

import pytest
from PIL import Image, ImageDraw

ANSWERS = "Number(document.body.dataset.answers || 0)"
SHOWN = "document.getElementById('{}').toDataURL()"


@pytest.fixture(scope="module")
def tab(browser, page):
    """The page on a laptop, and every address that it asked for."""
    tab = browser.new_page(viewport={"width": 1280, "height": 800})
    tab.asked = []
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.faults = []
    tab.on("pageerror", lambda fault: tab.faults.append(str(fault)))
    tab.on("console", lambda line: tab.faults.append(line.text) if "Content Security" in line.text else None)
    tab.goto(page.address)
    tab.wait_for_selector("body[data-answers]")
    return tab


def draw(tab):
    """Draw a seven, and wait for the answer to its last point."""
    tab.click("#clear")
    before = tab.evaluate(ANSWERS)
    tab.evaluate("scrollTo(0, 0)")
    box = tab.locator("#canvas").bounding_box()
    for number, (x, y) in enumerate([(0.3, 0.2), (0.7, 0.2), (0.55, 0.5), (0.4, 0.85)]):
        tab.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if number == 0:
            tab.mouse.down()
    tab.mouse.up()
    settle(tab)
    assert tab.evaluate(ANSWERS) > before


def settle(tab):
    """Wait until everything that was asked is answered."""
    # by a selector: the page's policy forbids the evaluation of strings
    tab.wait_for_selector("body[aria-busy=false]")


def longest(tab):
    """The label and the length that the longest bar shows."""
    values = "bars => bars.map(bar => [Number(bar.dataset.length), bar.dataset.label, bar.lastChild.textContent])"
    return max(tab.locator(".bar").evaluate_all(values))[1:]


def test_an_example_is_there_at_the_start(tab):
    assert tab.locator(".bar").count() == 10
    assert tab.inner_text("#answer") == longest(tab)[0]
    assert tab.locator("#maps figure").count() == 3


def test_a_drawn_digit_is_answered(tab):
    before = tab.evaluate(SHOWN.format("seen"))
    draw(tab)
    assert tab.evaluate(SHOWN.format("seen")) != before
    label, length = longest(tab)
    assert tab.inner_text("#answer") == label
    assert length in tab.inner_text("#verdict")
    assert tab.locator(f".bar[data-label='{label}'][aria-pressed=true]").count() == 1


def test_a_slider_redraws_the_digit_and_reset_takes_it_back(tab):
    draw(tab)
    before = tab.evaluate(SHOWN.format("drawn"))
    slider = tab.locator("#sliders input").nth(2)
    box = slider.bounding_box()
    slider.click(position={"x": box["width"] - 2, "y": box["height"] / 2})
    settle(tab)
    assert tab.evaluate(SHOWN.format("drawn")) != before
    assert tab.inner_text("#sliders .slide:nth-child(3) output") == "+0.25"
    tab.click("#reset")
    settle(tab)
    assert tab.evaluate(SHOWN.format("drawn")) == before


def test_any_capsule_can_be_chosen(tab):
    draw(tab)
    other = next(label for label in "01" if label != tab.inner_text("#answer"))
    before = tab.evaluate(SHOWN.format("drawn"))
    tab.click(f".bar[data-label='{other}']")
    settle(tab)
    assert tab.inner_text("#chosen-name") == other
    assert tab.evaluate(SHOWN.format("drawn")) != before


def test_an_image_is_uploaded_and_one_too_large_is_refused(tab, tmp_path):
    image = Image.new("L", (300, 200), 255)
    ImageDraw.Draw(image).ellipse((110, 40, 190, 160), outline=0, width=14)
    image.save(tmp_path / "zero.png")
    before = tab.evaluate(ANSWERS)
    tab.set_input_files("#file", tmp_path / "zero.png")
    tab.wait_for_selector(f"body[data-answers='{before + 1}']")
    (tmp_path / "large.png").write_bytes(bytes(10_000_001))
    tab.set_input_files("#file", tmp_path / "large.png")
    tab.wait_for_selector("#error:visible")
    assert tab.inner_text("#error") == "large.png is larger than 10 MB; shrink it first."
    (tmp_path / "notes.png").write_text("not an image")
    tab.set_input_files("#file", tmp_path / "notes.png")
    tab.wait_for_selector("#error:has-text('notes.png is not an image')")


def test_another_network_answers_the_same_drawing(tab):
    draw(tab)
    before = tab.evaluate(ANSWERS)
    tab.select_option("#model", "efficient")
    settle(tab)
    assert tab.evaluate(ANSWERS) > before
    assert "EfficientCapsNet" in tab.inner_text("#about")
    assert "sees the whole image" in tab.inner_text("#places-note")
    assert tab.locator("#maps figure").count() == 0
    tab.select_option("#model", "tiny")


@pytest.fixture
def fresh(browser, page):
    """The page anew, for a test that changes its code."""
    tab = browser.new_page(viewport={"width": 1280, "height": 800})
    tab.faults = []
    tab.on("pageerror", lambda fault: tab.faults.append(str(fault)))
    tab.goto(page.address)
    tab.wait_for_selector("body[data-answers]")
    settle(tab)
    yield tab
    assert not tab.faults
    tab.close()


def test_title_says_what_the_network_is_for(fresh):
    assert fresh.inner_text("h1") == "Draw a digit"
    fresh.evaluate("show({ ...seen, preparation: 'fit' }, 'tiny')")
    assert fresh.inner_text("h1") == "Draw an image"
    assert "whether its class is there" in fresh.inner_text("header p")


def test_example_is_there_again_at_the_press_of_a_key(fresh):
    expected = fresh.inner_text("#answer")
    fresh.click("#clear")
    assert fresh.inner_text("#answer") == "–"
    assert fresh.locator("#sliders input:enabled").count() == 0
    fresh.press("#example", "Enter")
    settle(fresh)
    assert fresh.inner_text("#answer") == expected
    assert fresh.locator("#sliders input:disabled").count() == 0


def test_answer_is_spoken_once_for_each_drawing(fresh):
    fresh.evaluate(
        "new MutationObserver(() => document.body.dataset.spoken = 1 + Number("
        "document.body.dataset.spoken || 0)).observe(byId('spoken'), { childList: true })"
    )
    fresh.click("#clear")
    box = fresh.locator("#canvas").bounding_box()
    fresh.mouse.move(box["x"] + 90, box["y"] + 60)
    fresh.mouse.down()
    for step in range(1, 6):
        fresh.mouse.move(box["x"] + 90 + 20 * step, box["y"] + 60 + 30 * step)
        settle(fresh)
        assert fresh.text_content("#spoken") == ""
    fresh.mouse.up()
    fresh.wait_for_selector("#spoken:not(:empty)", state="attached")
    assert fresh.text_content("#spoken") == f"{fresh.inner_text('#answer')}: {fresh.inner_text('#verdict')}"


def test_slider_asks_the_network_whose_pose_it_moves(fresh):
    # chosen, but not yet answered
    fresh.evaluate("byId('model').value = 'efficient'")
    with fresh.expect_request("**/redraw") as asked:
        fresh.locator("#sliders input").nth(0).fill("0.25")
    assert asked.value.post_data_json["model"] == "tiny"


HOLD = """() => {
    const look = engine.look;
    engine.look = async (asked) => {
        const answer = await look.call(engine, asked);
        if (asked.file && !window.release) await new Promise((done) => {
            window.release = done;
            document.body.dataset.held = "yes";
        });
        return answer;
    };
}"""


@pytest.fixture
def held(fresh, tmp_path):
    """The page while its first answer to an upload is held back."""
    Image.new("L", (30, 30), 255).save(tmp_path / "paper.png")
    fresh.evaluate(HOLD)
    fresh.set_input_files("#file", tmp_path / "paper.png")
    fresh.wait_for_selector("body[data-held]")
    return fresh


def test_drawing_stays_when_an_upload_is_answered_late(held):
    draw(held)
    held.evaluate("async () => { release(); await new Promise((done) => setTimeout(done, 200)); }")
    assert held.evaluate("[strokes.length, upload]") == [1, None]


def test_upload_is_answered_by_the_network_chosen_meanwhile(held):
    held.select_option("#model", "efficient")
    settle(held)
    before = held.evaluate(ANSWERS)
    held.evaluate("release()")
    held.wait_for_selector(f"body[data-answers='{before + 1}']")
    assert held.evaluate("[seen.model, upload.name]") == ["efficient", "paper.png"]


def test_bars_of_many_classes_keep_the_focus(fresh):
    code = """() => {
        const names = [...Array(20).keys()].map(String), lengths = names.map((_, k) => k / 20);
        const poses = names.map(() => seen.poses[0]);
        show({ ...seen, names, lengths, poses, found: [19], places: null, drawn: null }, "tiny");
    }"""
    fresh.evaluate(code)
    fresh.focus(".bar[data-label='17']")
    fresh.keyboard.press("Enter")
    assert fresh.inner_text("#chosen-name") == "17"
    assert fresh.evaluate("document.activeElement.dataset.label") == "17"


def test_transparent_upload_has_the_ground_of_its_file(fresh):
    code = """(ink) => {
        const canvas = Object.assign(document.createElement("canvas"), { width: 40, height: 40 });
        const context = canvas.getContext("2d");
        context.fillStyle = ink;
        context.fillRect(10, 10, 8, 20);
        return ground(canvas);
    }"""
    assert [fresh.evaluate(code, ink) for ink in ("black", "white")] == ["#fff", "#000"]


def test_a_phone_shows_it_without_scrolling_sideways_and_draws_by_touch(browser, page):
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, color_scheme="dark"
    )
    tab = context.new_page()
    tab.goto(page.address)
    tab.wait_for_selector("body[data-answers]")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    tab.tap("#clear")
    before = tab.evaluate(ANSWERS)
    tab.tap("#canvas")
    settle(tab)
    assert tab.evaluate(ANSWERS) > before
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 19, 21)"
    context.close()


def test_nothing_was_asked_of_another_machine(tab, page):
    draw(tab)
    tab.locator("#sliders input").nth(0).fill("0.25")
    settle(tab)
    assert {"look", "redraw"} <= {url.split("?")[0].rsplit("/", 1)[1] for url in tab.asked}
    assert not [url for url in tab.asked if not url.startswith((page.address, "data:", "blob:"))]
    assert not tab.faults
