"""The report in a browser: it sorts, filters, hides, shows its values, prints, and loads nothing from outside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


def column(page: Page, table: str, place: int) -> list[str]:
    texts = page.locator(f"#{table} tbody tr:visible > :nth-child({place})").all_inner_texts()
    return [text.strip() for text in texts]


def test_a_table_sorts_by_number_both_ways_with_the_keyboard(page: Page) -> None:
    button = page.locator("#cells thead th", has_text="Test error").get_by_role("button")
    button.focus()
    page.keyboard.press("Enter")
    means = [float(text.split()[0]) for text in column(page, "cells", 4)]
    assert means == sorted(means)
    assert page.locator("#cells th[aria-sort=ascending]").count() == 1
    page.keyboard.press("Enter")
    means = [float(text.split()[0]) for text in column(page, "cells", 4)]
    assert means == sorted(means, reverse=True)
    assert max(means) > 30  # the mean of plain-44


def test_a_table_sorts_cells_by_name_as_people_count(page: Page) -> None:
    page.locator("#complexity thead th").first.get_by_role("button").click()
    assert column(page, "complexity", 1)[:4] == ["plain-8", "plain-20", "plain-44", "resnet-8-A"]


def test_the_table_of_trials_filters_and_says_how_many_are_left(page: Page) -> None:
    page.get_by_text("Every trial, with its MLflow run").click()
    box = page.get_by_label("Filter: Every trial")
    box.fill("plain-44")
    assert column(page, "trials", 1) == [f"plain-44 seed {seed}" for seed in range(4)]
    assert page.get_by_text("4 of 32").is_visible()
    box.fill("")
    assert len(column(page, "trials", 1)) == 32


def test_a_number_leads_to_its_trials_which_unfold(page: Page) -> None:
    assert not page.locator("#trials").is_visible()
    page.locator("#errors tbody tr").last.get_by_role("link").first.click()
    assert page.locator("#trials").is_visible()
    assert page.locator("tr:target").inner_text().startswith("plain-44 seed 0")


def test_a_series_can_be_hidden_in_all_panels_and_shown_again(page: Page) -> None:
    figure = page.locator("#figure-error-by-depth")
    button = figure.get_by_role("button", name="plain")
    marked = figure.locator('[data-series="plain"]')
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert marked.count() > 4
    assert not any(part.is_visible() for part in marked.all())
    assert figure.locator('[data-series="A"]').first.is_visible()
    button.click()
    assert marked.first.is_visible()


def test_a_curve_tells_its_values_to_the_pointer_and_to_the_keyboard(page: Page) -> None:
    figure = page.locator("#figure-training-curves")
    plain, readout = figure.locator("svg[data-axes]").first, figure.get_by_role("status")
    plain.scroll_into_view_if_needed()
    box = plain.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.96 * box["width"], box["y"] + box["height"] / 2)
    assert re.match(r"Plain, epoch 12.0 \(error, %\): .*44 test: 3[0-9]\.", readout.inner_text())
    page.mouse.move(0, 0)
    plain.focus()
    page.keyboard.press("Home")
    assert readout.inner_text().startswith("Plain, epoch 1.00 (error, %): 8 training: ")
    page.keyboard.press("ArrowRight")
    assert readout.inner_text().startswith("Plain, epoch 2.00")
    figure.get_by_role("button", name="8", exact=True).click()
    plain.focus()
    page.keyboard.press("Home")
    assert "): 20 training: " in readout.inner_text()


def test_nothing_is_wider_than_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_every_control_has_a_name_and_every_picture_a_description(page: Page) -> None:
    tree = page.locator("body").aria_snapshot()
    assert len(re.findall(r'- button "\S', tree)) > 20
    assert not re.search(r"- (button|link|searchbox)(?! \")", tree)
    for drawing in page.locator("svg").all():
        labels = (drawing.get_attribute("aria-labelledby") or "").split()
        assert len(labels) == 2
        assert all(page.locator(f"[id='{label}']").text_content() for label in labels)


def test_print_shows_what_verdicts_rest_on_and_no_controls(page: Page) -> None:
    page.emulate_media(media="print")
    assert not page.get_by_label("Filter: Training time").is_visible()
    assert not page.locator(".toggles").first.is_visible()
    assert not page.locator("nav").is_visible()
    assert page.locator(".verdict table").first.is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_that_readers_need_on_either_paper(chromium: Browser, report: Path, scheme: str) -> None:
    context = chromium.new_context(color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(report.as_uri())
    for selector in ("h1", ".lead", ".note", ".badge", "figcaption", "td", "a", ".toggles button"):
        colours = page.locator(selector).first.evaluate(
            "(part) => { let back = part; while (getComputedStyle(back).backgroundColor === 'rgba(0, 0, 0, 0)') "
            "back = back.parentElement; return [getComputedStyle(part).color, getComputedStyle(back).backgroundColor] }"
        )
        assert contrast(*colours) >= 4.5, (selector, colours)  # WCAG 2.2, 1.4.3
    context.close()


def contrast(one: str, two: str) -> float:
    """Return the contrast ratio of two `rgb(...)` colours (WCAG 2.2, relative luminance)."""
    high, low = sorted(map(luminance, (one, two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
