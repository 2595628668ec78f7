"""The figure of `bench.py`: bars of an update's ways, with the machine's limit drawn in."""

from PIL import Image, ImageDraw, ImageFont

WIDTH, BAR, GAP, LEFT, TOP, RIGHT = 900, 22, 8, 230, 34, 90
COLOURS = {"ours": "#1f5fa8", "bare": "#7fa3cc", "float32": "#aaaaaa", "lama": "#c4501b"}


def bars(rows, names):
    """A panel for each case: a bar for each way, as long as its median, its quartiles, and the limit as a line.

    rows: of `updates.measured`. names: of the ways; the limit is among them.
    """
    font, title = ImageFont.load_default(14), ImageFont.load_default(16)
    panel = TOP + len(COLOURS) * (BAR + GAP) + 34
    picture = Image.new("RGB", (WIDTH, panel * len(rows) + 8), "white")
    draw = ImageDraw.Draw(picture)
    for number, row in enumerate(rows):
        top, seconds = number * panel, row["seconds"]
        most = max(seconds[way]["high"] for way in COLOURS)

        def across(value, most=most):
            return LEFT + (WIDTH - LEFT - RIGHT) * value / most

        draw.text((8, top + 8), f"{row['case']}: milliseconds of an update", "black", title)
        for place, (way, colour) in enumerate(COLOURS.items()):
            y, figure = top + TOP + place * (BAR + GAP), seconds[way]
            draw.text((LEFT - 10, y + BAR / 2), names[way], "black", font, anchor="rm")
            draw.rectangle((LEFT, y, across(figure["median"]), y + BAR), colour)
            draw.line((across(figure["low"]), y + BAR / 2, across(figure["high"]), y + BAR / 2), "black", 2)
            end = across(max(figure["median"], figure["high"]))
            draw.text((end + 6, y + BAR / 2), f"{1e3 * figure['median']:.0f}", "black", font, anchor="lm")
        limit, low = across(seconds["limit"]["median"]), top + TOP + len(COLOURS) * (BAR + GAP)
        draw.line((limit, top + TOP - 4, limit, low), "black", 2)
        said = f"{names['limit']}: {1e3 * seconds['limit']['median']:.0f}"
        draw.text((limit, low + 2), said, "black", font, anchor="ma")
    return picture
