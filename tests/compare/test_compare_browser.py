"""The report in a real browser, from disk: it sorts, slides and hides, loads nothing, and is not complained about."""

import json
from pathlib import Path

import pytest

pytest.importorskip("selenium", reason="selenium is not installed")
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from inpaint.compare import compare, write_html
from tests.compare.folders import EVIL, STUDY, changed, make_evaluation, rich_run


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs, two of them seeds of one config, on one set of pictures, an evaluation on another, and a study."""
    root = tmp_path_factory.mktemp("report")
    for number, name in enumerate(("0", "1", EVIL, "poor")):
        config = changed(seed=number, generator__width=(32, 32, 64, 128)[number])
        rich_run(root / "runs" / name, [20.0 + 2 * (number % 3) + n % 3 for n in range(9)], config)
    make_evaluation(root / "evaluation", {"lama": 25.0})
    (root / "study").mkdir()
    (root / "study" / "report.json").write_text(json.dumps(STUDY))
    report = compare([root / "runs", root / "evaluation"], study=root / "study")
    write_html(report, root / "report.html")
    return root / "report.html"


@pytest.fixture
def opened(browser, page: Path):
    """The page, loaded; afterwards nothing must have been loaded from elsewhere, nor complained about."""
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(page.as_uri())
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, ".chart svg .mark"))
    yield browser
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    addresses = {m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"}
    assert {address for address in addresses if not address.startswith("data:")} == {page.as_uri()}
    assert [entry["message"] for entry in browser.get_log("browser")] == []


def wait(browser, condition) -> None:
    WebDriverWait(browser, 15, poll_frequency=0.02).until(lambda _: condition())


def first_column(browser) -> list[str]:
    table = browser.find_element(By.CSS_SELECTOR, "#set-1 table.sortable")
    return [
        row.find_element(By.CSS_SELECTOR, "th .name").text for row in table.find_elements(By.CSS_SELECTOR, "tbody tr")
    ]


def heading(browser, text: str):
    buttons = browser.find_elements(By.CSS_SELECTOR, "#set-1 table.sortable thead button")
    return next(button for button in buttons if button.text.startswith(text))


def clips(browser) -> list[str]:
    script = "return [...document.querySelectorAll('.result')].map((image) => getComputedStyle(image).clipPath)"
    return browser.execute_script(script)


def test_the_sentence_about_the_best_has_its_own_sign(browser, tmp_path: Path) -> None:
    """Differences in the table are to the best; here it is the best that is spoken of, by a higher PSNR."""
    for number in range(2):
        rich_run(tmp_path / str(number), [20.0 + number] * 9, changed(generator__width=8 << number))
        table = tmp_path / str(number) / "results.csv"
        table.write_text(table.read_text().replace("99.0", "12.0"))  # of the fill, below the runs
    write_html(compare([tmp_path]), tmp_path / "report.html")
    browser.get((tmp_path / "report.html").as_uri())
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, ".verdict"))
    said = browser.find_element(By.CSS_SELECTOR, ".verdict").text
    assert said.startswith("Best by hole PSNR: 1, 21.00 dB. Really better than the next, 0 (by +1.00 dB in pairs"), said


def test_the_table_sorts_by_click_and_by_key(opened) -> None:
    by_psnr = ["telea", EVIL, "0 and 1 more", "poor"]
    assert first_column(opened) == by_psnr
    button = heading(opened, "hole PSNR")
    sorted_by = lambda: button.find_element(By.XPATH, "..").get_attribute("aria-sort")  # noqa: E731
    assert sorted_by() == "descending"
    button.click()
    assert first_column(opened) == by_psnr[::-1] and sorted_by() == "ascending"
    heading(opened, "run").send_keys(Keys.ENTER)
    assert first_column(opened) == [EVIL, "0 and 1 more", "poor", "telea"] and sorted_by() is None


def test_what_has_no_value_comes_last_either_way(opened) -> None:
    script = """
        const columns = [{key: "a", heading: "a", value: (row) => row, cell: (row) => `${row}`}];
        const table = sortableTable({caption: "", columns, rows: [null, 10, 9, null, -1], sortBy: "a"});
        const order = () => [...table.querySelectorAll("tbody td")].map((cell) => cell.textContent).join(" ");
        const orders = [order()];
        table.querySelector("button").click();
        return [...orders, order()];
    """
    assert opened.execute_script(script) == ["-1 9 10 null null", "10 9 -1 null null"]


def test_best_and_alike_are_marked(opened) -> None:
    rows = opened.find_elements(By.CSS_SELECTOR, "#set-1 table.sortable tbody tr")
    best = [bool(row.find_elements(By.CSS_SELECTOR, "td:nth-child(3) .best")) for row in rows]
    assert best == [True, False, False, False]
    assert "[24.00, 26.00]" in rows[1].text and "± 1.41" in rows[2].text
    assert "seeds: 0, 1" in rows[2].text and "generator.width=64" in rows[1].text


def test_the_slider_moves_all_pictures_by_key_and_one_alone_by_pointer(opened) -> None:
    sliders = opened.find_elements(By.CSS_SELECTOR, ".frame input")
    assert len(sliders) == 4 * 4  # holes, and methods
    assert set(clips(opened)) == {"inset(0px 0px 0px 50%)"}
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", sliders[0])
    sliders[0].send_keys(Keys.ARROW_LEFT * 10)
    assert set(clips(opened)) == {"inset(0px 0px 0px 40%)"}
    opened.find_element(By.CSS_SELECTOR, ".tools input[type=checkbox]").click()
    width = sliders[1].rect["width"]
    ActionChains(opened).move_to_element(sliders[1]).click_and_hold().move_by_offset(
        round(width / 4), 0
    ).release().perform()
    moved = clips(opened)
    assert moved[0] == moved[2] == "inset(0px 0px 0px 40%)"
    assert 70 <= float(moved[1].split()[-1].rstrip("%)")) <= 80
    before = opened.find_elements(By.CSS_SELECTOR, ".frame img:first-child")[2]
    source = before.get_attribute("src")
    Select(opened.find_element(By.CSS_SELECTOR, ".tools select")).select_by_value("truth")
    assert before.get_attribute("src") != source
    assert opened.execute_script(
        "return [...document.images].every((image) => image.complete && image.naturalWidth === 16)"
    )


def test_the_legend_hides_a_method_in_plots_and_pictures(opened) -> None:
    marks = lambda: len(opened.find_elements(By.CSS_SELECTOR, "#set-1 .mark.c0"))  # noqa: E731
    lines = lambda: len(opened.find_elements(By.CSS_SELECTOR, "#set-1 .curves .line:not(.fill)"))  # noqa: E731
    frames = lambda: len(opened.find_elements(By.CSS_SELECTOR, ".frame input"))  # noqa: E731
    assert marks() >= 4 and lines() == 2 * 4 and frames() == 16
    chip = opened.find_element(By.CSS_SELECTOR, "#set-1 .chip.c0")
    chip.send_keys(Keys.SPACE)
    assert chip.get_attribute("aria-pressed") == "false"
    assert (marks(), lines(), frames()) == (0, 2 * 3, 12)
    chip.click()
    assert marks() >= 4 and frames() == 16


def test_the_harmonic_fill_is_a_dashed_line_beside_the_models_curves(opened) -> None:
    headings = [heading.text for heading in opened.find_elements(By.CSS_SELECTOR, "#set-1 .curves h4")]
    assert len(headings) == 2 and not any("harmonic" in heading for heading in headings)
    assert len(opened.find_elements(By.CSS_SELECTOR, "#set-1 .curves .line.fill")) == 1, "not in training's chart"


def test_another_figure_changes_the_plots(opened) -> None:
    labels = lambda: {label.text for label in opened.find_elements(By.CSS_SELECTOR, "#set-1 .pair .axes .label")}  # noqa: E731
    assert "hole PSNR (dB) ↑ better" in labels()
    Select(opened.find_element(By.CSS_SELECTOR, "#set-1 .toolbar select")).select_by_value("ssim")
    assert "SSIM ↑ better" in labels() and "hole PSNR (dB) ↑ better" not in labels()


def test_names_are_text(opened) -> None:
    assert opened.find_elements(By.CSS_SELECTOR, "img[src=x]") == []
    assert opened.execute_script("return document.querySelector('h1').textContent") == "Comparison of inpainting runs"
    assert any(EVIL in chip.text for chip in opened.find_elements(By.CSS_SELECTOR, ".chip"))


def test_sets_of_pictures_and_preferences_are_apart(opened) -> None:
    notes = [note.text for note in opened.find_elements(By.CSS_SELECTOR, ".note")]
    assert len(notes) == 1 and "2 different sets of pictures" in notes[0]
    assert [h.text for h in opened.find_elements(By.CSS_SELECTOR, "h2")] == [
        "Set 1: 3 runs", "Set 2: 1 run", "Config differences", "What people prefer", "Definitions",
    ]  # fmt: skip
    assert "75.0 %" in opened.find_element(By.ID, "study").text
    assert "Which looks better?" in opened.find_element(By.ID, "study").text


def test_pointing_says_what_a_point_is(opened) -> None:
    mark = opened.find_element(By.CSS_SELECTOR, "#set-1 .pair .mark")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", mark)
    tip = opened.find_element(By.ID, "tip")

    def pointed() -> bool:  # scrolling, which may still go on, hides the tip
        ActionChains(opened).move_by_offset(1, 0).move_to_element(mark).perform()
        return tip.is_displayed()

    wait(opened, pointed)
    assert "parameters" in tip.text and "dB" in tip.text


@pytest.mark.parametrize(("width", "height"), [(390, 844), (320, 568)])
def test_on_a_phone_nothing_is_wider_than_the_screen(opened, width: int, height: int) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        fits = (
            "const charts = [...document.querySelectorAll('.chart svg')];"
            "const right = Math.max(...charts.map((chart) => chart.getBoundingClientRect().right));"
            "return [document.documentElement.scrollWidth, right]"
        )
        wait(opened, lambda: max(opened.execute_script(fits)) <= width)
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
