from inpaint.metrics.columns import COLUMNS
from inpaint.metrics.distribution import SET_FIGURES
from inpaint.metrics.image import MEASURES
from inpaint.metrics.lpips import VARIANTS


def test_every_figure_has_a_column_and_every_column_a_figure():
    deep = {f"lpips_{variant}" for variant in VARIANTS} | {"recognised"}
    assert {name for name in COLUMNS if COLUMNS[name].per == "set"} == {*SET_FIGURES, "swd"}
    assert {*MEASURES, *deep, *SET_FIGURES} <= set(COLUMNS)


def test_no_two_columns_look_alike():
    for field in ("heading", "definition"):
        found = [getattr(column, field) for column in COLUMNS.values()]
        assert len(set(found)) == len(found)
