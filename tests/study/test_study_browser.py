"""The page in a real browser: answered by keyboard, by click, on a phone's width, after a reload, without a server."""

import sqlite3
import time
from pathlib import Path

import pytest

pytest.importorskip("selenium", reason="selenium is not installed")
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from inpaint.study.trials import load


class Page:
    """The page as a participant meets it."""

    def __init__(self, browser, server) -> None:
        self.browser, self.url = browser, server.url
        browser.delete_all_cookies()
        browser.get_log("browser")
        browser.get(self.url)
        self.wait(lambda: self.is_shown("intro"))

    def wait(self, condition) -> None:
        WebDriverWait(self.browser, 15, poll_frequency=0.02).until(lambda _: condition())

    def find(self, name: str):
        return self.browser.find_element(By.ID, name)

    def is_shown(self, name: str) -> bool:
        return self.find(name).is_displayed()

    def ready(self, number: int) -> None:
        """Waits for a pair to be there and to take an answer."""
        self.wait(lambda: self.find("place").text.startswith(f"{number} of "))
        self.wait(lambda: self.browser.execute_script("return shownAt !== null && performance.now() - shownAt > 300"))

    def press(self, key: str) -> None:
        ActionChains(self.browser).send_keys(key).perform()

    def sources(self) -> dict[str, str]:
        """The names of the pictures on the screen."""
        found = {side: self.find(side).find_element(By.TAG_NAME, "img") for side in ("left", "right")}
        return {side: image.get_attribute("src").rpartition("/")[2][:-4] for side, image in found.items()}

    def errors(self) -> list[str]:
        return [entry["message"] for entry in self.browser.get_log("browser")]


@pytest.fixture
def page(browser, server) -> Page:
    return Page(browser, server)


def stored(study: Path) -> list[tuple[int, int, str, int]]:
    connection = sqlite3.connect(study / "votes.sqlite")
    try:
        return connection.execute("SELECT participant, trial, choice, ms FROM vote ORDER BY trial").fetchall()
    finally:
        connection.close()


def test_a_whole_study_by_keyboard(page: Page, study: Path) -> None:
    assert page.find("title").text == '<img src=x onerror="alert(1)"> & more' == page.browser.title
    assert page.find("count").text == "10"
    page.press(Keys.ENTER)  # the focus is on Start
    keys = [Keys.ARROW_LEFT, Keys.ARROW_RIGHT, "1", "2", Keys.ARROW_RIGHT, "2", "1", Keys.ARROW_LEFT, "2", "2"]
    expected = ["left", "right", "left", "right", "right", "right", "left", "left", "right", "right"]
    trials = load(study)
    for place, key in enumerate(keys):
        page.ready(place + 1)
        trial = trials.schedule(1)[place]
        assert page.sources() == {
            "left": trials.files[trial.left][trial.picture], "right": trials.files[trial.right][trial.picture],
        }  # fmt: skip
        assert page.find("place").text == f"{place + 1} of 10"
        assert page.find("bar").get_property("value") == place and page.find("bar").get_property("max") == 10
        page.press(key)
    page.wait(lambda: page.is_shown("thanks"))
    rows = stored(study)
    assert [row[:3] for row in rows] == [(1, place, choice) for place, choice in enumerate(expected)]
    assert all(300 <= ms < 20_000 for *_, ms in rows)
    page.press("1")
    page.browser.refresh()
    page.wait(lambda: page.is_shown("thanks"))
    assert len(stored(study)) == 10 and page.errors() == []


def test_a_whole_study_by_click_with_a_reload_in_between(page: Page, study: Path) -> None:
    page.find("start").click()
    expected = []
    for place in range(10):
        page.ready(place + 1)
        if place == 4:
            before = page.sources()
            page.browser.refresh()
            page.ready(place + 1)
            assert page.sources() == before
        side = ("left", "right")[(place // 2) % 2]
        page.find(side).click()
        expected.append((1, place, side))
    page.wait(lambda: page.is_shown("thanks"))
    assert [row[:3] for row in stored(study)] == expected
    assert page.errors() == []


def test_tab_and_enter_reach_everything_and_the_focus_is_seen(page: Page, study: Path) -> None:
    page.press(Keys.ENTER)
    page.ready(1)
    seen = []
    for _ in range(3):
        page.press(Keys.TAB)
        focused = page.browser.switch_to.active_element
        outline = "return getComputedStyle(document.activeElement).outlineStyle"
        seen.append((focused.get_attribute("id"), page.browser.execute_script(outline)))
    assert seen == [("left", "solid"), ("right", "solid"), ("toggle", "solid")]
    assert page.find("left").accessible_name == "Picture 1" and page.find("right").accessible_name == "Picture 2"
    assert page.find("bar").accessible_name == "1 of 10"
    page.press(Keys.SPACE)
    assert page.is_shown("damaged") and page.find("toggle").get_attribute("aria-pressed") == "true"
    page.press("d")
    assert not page.is_shown("damaged") and stored(study) == []
    page.find("left").send_keys(Keys.ENTER)
    page.ready(2)
    assert [row[:3] for row in stored(study)] == [(1, 0, "left")]


def test_one_press_is_one_answer(page: Page, study: Path) -> None:
    """A double click, a key held down and the browser's own shortcuts leave the next pair alone."""
    page.press(Keys.ENTER)
    page.ready(1)
    ActionChains(page.browser).double_click(page.find("right")).perform()
    page.ready(2)
    # The second click of a double click on a fast line: it comes as the next pair appears.
    page.browser.execute_script(
        "const timer = setInterval(() => {"
        "  if (position === 2 && shownAt !== null) { clearInterval(timer); sides.right.click(); }"
        "}, 1)"
    )
    page.find("left").click()
    page.ready(3)
    for held in (Keys.ALT, Keys.CONTROL):
        ActionChains(page.browser).key_down(held).send_keys("2").key_up(held).perform()
    repeat = "document.dispatchEvent(new KeyboardEvent('keydown', {key: '2', repeat: true, bubbles: true}))"
    page.browser.execute_script(repeat)
    page.press("x")
    time.sleep(0.2)
    assert [row[:3] for row in stored(study)] == [(1, 0, "right"), (1, 1, "left")]


@pytest.mark.parametrize(("width", "height"), [(390, 844), (844, 390), (320, 568)])
def test_on_a_phone_nothing_scrolls_and_everything_is_in_reach(page: Page, width: int, height: int) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": True}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        sizes = (
            "const {scrollWidth, scrollHeight} = document.documentElement;"
            "return [scrollWidth, innerWidth, scrollHeight, innerHeight]"
        )
        assert page.browser.execute_script(sizes)[0] <= width
        page.find("start").click()
        page.ready(1)
        for _ in range(2):
            page.find("toggle").click()
            scroll_width, inner_width, scroll_height, inner_height = page.browser.execute_script(sizes)
            assert scroll_width <= inner_width == width and scroll_height <= inner_height == height
            boxes = [page.find(name).rect for name in ("left", "right", "toggle", "question", "place")]
            for box in boxes:
                assert box["x"] >= 0 and box["x"] + box["width"] <= width
                assert box["y"] >= 0 and box["y"] + box["height"] <= height
            assert min(boxes[0]["width"], boxes[0]["height"]) > 60
            upright = height > width
            assert (boxes[1]["y"] >= boxes[0]["y"] + boxes[0]["height"]) == upright
        page.find("right").click()
        page.ready(2)
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_vote_given_while_the_server_is_away_arrives_when_it_is_back(
    page: Page, study: Path, server, start_server
) -> None:
    page.press(Keys.ENTER)
    page.ready(1)
    assert server.end("kill") == -9
    page.press("2")
    page.wait(lambda: page.is_shown("trouble"))
    assert "Trying again" in page.find("trouble").text and stored(study) == []
    start_server(study, port=server.port)
    page.ready(2)
    assert [row[:3] for row in stored(study)] == [(1, 0, "right")] and not page.is_shown("trouble")
