"""The model card of what somebody sent: it says what it can, and nothing in it is markup."""

import pytest
import yaml

from inpaint.exchange.card import card

VALUE = {"mean": 30.5, "title": "hole PSNR", "unit": "dB", "definition": "of the hole"}


def text(name="mine", figures=None, licence=None):
    config = {"name": name, "generator": {"_target_": "a.B"}, "data": {"_target_": "c.D", "crop": 64}}
    return card(config, 7, 1000, [("model.onnx", "ONNX")], {"figures": figures, "licence": licence})


def test_figures_stand_in_it():
    sound = text(figures={"pictures": 5, "values": {"hole_psnr": VALUE}})
    assert "| hole PSNR | 30.5 dB | of the hole |" in sound and "Of 5 pictures" in sound
    head = yaml.safe_load(sound.split("---")[1])
    assert head["model-index"][0]["results"][0]["metrics"][0]["value"] == 30.5


@pytest.mark.parametrize(
    "figures",
    [
        *([1, 2], "many", 7, {"values": [1]}, {"values": {"a": 1}, "pictures": 1}, {"values": {"a": VALUE}}),
        {"pictures": 1, "values": {"a": VALUE | {"mean": "high"}}},
        {"pictures": "x", "values": {"a": VALUE}},
        {"pictures": 1, "values": {"a": {"mean": 1.0}}},
    ],
)
def test_figures_of_another_form_are_left_out(figures):
    assert "## Figures" not in text(figures=figures)


@pytest.mark.parametrize("licence", [["cc0"], {"a": 1}, 7])
def test_a_licence_that_is_no_text_is_not_stated(licence):
    assert "is not stated" in text(licence=licence)


def test_names_are_no_markup():
    name = "<script>x</script> [here](http://127.0.0.1) `code` | cell"
    made = text(name=name, licence="<b>", figures={"pictures": 1, "values": {"a": VALUE | {"title": name}}})
    body = made.split("---", 2)[2]
    assert "<script>" not in body and "[here]" not in body.replace("\\[here]", "") and "<b>" not in body
