"""Which label configs are supported, and what the others are told."""

from __future__ import annotations

import pytest

from backend.errors import LabelConfigError
from backend.label_studio.label_config import ImageChoices, parse_label_config

IMAGE = '<Image name="image" value="$photo"/>'
TWO = '<Choice value="cat"/><Choice value="dog"/>'


def config(*tags: str) -> str:
    return f"<View>{''.join(tags)}</View>"


def choices(inner: str = TWO, attributes: str = "", name: str = "kind") -> str:
    return f'<Choices name="{name}" toName="image" {attributes}>{inner}</Choices>'


def test_parse_label_config_returns_names_and_classes_in_order():
    found = parse_label_config(config("<Header value='Which?'/>", IMAGE, choices()))
    assert found == ImageChoices("kind", "image", "photo", ("cat", "dog"))


def test_parse_label_config_returns_the_alias_when_a_choice_has_one():
    # Annotations hold the alias instead of the value.
    inner = '<Choice value="A cat" alias="cat"/><Choice value="dog"/>'
    assert parse_label_config(config(IMAGE, choices(inner))).classes == ("cat", "dog")


def test_parse_label_config_ignores_other_controls():
    box = '<RectangleLabels name="box" toName="image"><Label value="ear"/></RectangleLabels>'
    assert parse_label_config(config(IMAGE, choices(), box)).from_name == "kind"


@pytest.mark.parametrize(
    ("xml", "found"),
    [
        ("", "cannot be read"),
        ("<View><Image", "cannot be read"),
        (config(IMAGE), "no <Choices>"),
        (config(IMAGE, choices(), choices(name="other")), "2 <Choices>"),
        (config(IMAGE, choices(attributes='choice="multiple"')), 'choice="multiple"'),
        (config(IMAGE, choices(attributes='perRegion="true"')), "perRegion"),
        (config(IMAGE, choices('<Choice value="cat"/><Choice value=""/>')), "empty name"),
        (config(IMAGE, choices('<Choice value="cat"/>')), "1 classes"),
        (config(IMAGE, choices("", 'value="$options"')), "$options"),
        (config(IMAGE, choices(f'<Choice value="pet">{TWO}</Choice>')), "inside a <Choice>"),
        (config('<Text name="image" value="$text"/>', choices()), "no <Image>, but <Text>"),
        (config('<Image name="image" valueList="$photos"/>', choices()), "valueList"),
        (
            config(
                '<RectangleLabels name="b" toName="image"><Label value="x"/></RectangleLabels>',
                IMAGE,
            ),
            "beside <RectangleLabels>",
        ),
        (config(IMAGE.replace('name="image"', 'name="picture"'), choices()), "not for the image"),
    ],
)
def test_parse_label_config_says_what_was_found_and_needed_when_unsupported(xml, found):
    with pytest.raises(LabelConfigError) as caught:
        parse_label_config(xml)
    assert found in str(caught.value)
    assert "needed is one <Image>" in str(caught.value)
