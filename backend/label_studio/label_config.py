"""A project's label config as the backend needs it: one image, one single-choice question."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

from label_studio_sdk._legacy.exceptions import (
    LabelStudioXMLSyntaxErrorSentryIgnored,
    LSConfigParseException,
)
from label_studio_sdk.label_interface import LabelInterface
from label_studio_sdk.label_interface.control_tags import ChoicesTag, ControlTag
from label_studio_sdk.label_interface.object_tags import ImageTag, ObjectTag

from backend.errors import LabelConfigError

NEEDED = (
    "needed is one <Image> whose value is one task field (such as $image) and one single-choice "
    "<Choices> for it with at least two classes"
)

SYNTAX_ERRORS = (LabelStudioXMLSyntaxErrorSentryIgnored, LSConfigParseException)


@dataclass(frozen=True)
class ImageChoices:
    """The names that predictions and annotations use, and the classes in the config's order."""

    from_name: str
    to_name: str
    data_field: str
    classes: tuple[str, ...]


def parse_label_config(xml: str) -> ImageChoices:
    """The one image and the one question of a label config.

    LabelConfigError: anything else; says what was found and what is needed.
    """
    interface = _interface(xml)
    choices = _the_choices(list(interface.controls))
    _refuse_nested_choices(xml)
    image = _the_image(list(interface.objects), choices)
    return ImageChoices(_name(choices), _name(image), _data_field(image), _classes(choices))


def _interface(xml: str) -> LabelInterface:
    try:
        return LabelInterface(xml)
    except (*SYNTAX_ERRORS, ValueError, KeyError, TypeError) as error:
        raise LabelConfigError(
            f"found a label config that cannot be read ({error}); {NEEDED}"
        ) from error


def _the_choices(controls: list[ControlTag]) -> ChoicesTag:
    choices = [control for control in controls if isinstance(control, ChoicesTag)]
    if len(choices) != 1:
        others = sorted({f"<{control.tag}>" for control in controls} - {"<Choices>"})
        found = f"{len(choices)} <Choices>" if choices else "no <Choices>"
        beside = f" beside {', '.join(others)}" if others and not choices else ""
        raise LabelConfigError(f"found {found}{beside}; {NEEDED}")
    tag, attributes = choices[0], _attributes(choices[0])
    kind = attributes.get("choice", "single")
    if kind not in ("single", "single-radio"):
        raise LabelConfigError(f'found <Choices name="{tag.name}" choice="{kind}">; {NEEDED}')
    for attribute in ("perRegion", "perItem"):
        if attributes.get(attribute, "false").lower() == "true":
            raise LabelConfigError(f'found <Choices name="{tag.name}" {attribute}>; {NEEDED}')
    return tag


def _refuse_nested_choices(xml: str) -> None:
    # The SDK lists nested choices flat, but their annotations hold paths.
    if ElementTree.fromstring(xml).find(".//Choice/Choice") is not None:
        raise LabelConfigError(f"found a <Choice> inside a <Choice>; {NEEDED}")


def _the_image(objects: list[ObjectTag], choices: ChoicesTag) -> ImageTag:
    images = [tag for tag in objects if isinstance(tag, ImageTag)]
    if len(images) != 1:
        others = sorted({f"<{tag.tag}>" for tag in objects} - {"<Image>"})
        found = f"{len(images)} <Image>" if images else f"no <Image>, but {', '.join(others)}"
        raise LabelConfigError(f"found {found}; {NEEDED}")
    to_names = list(choices.to_name or ())
    if to_names != [images[0].name]:
        raise LabelConfigError(
            f'found <Choices name="{choices.name}"> for {to_names}, not for the '
            f'image "{images[0].name}"; {NEEDED}'
        )
    return images[0]


def _data_field(image: ImageTag) -> str:
    value, attributes = image.value or "", _attributes(image)
    if "valueList" in attributes:
        value = attributes["valueList"]
        raise LabelConfigError(
            f'found <Image name="{image.name}" valueList="{value}">, several images; {NEEDED}'
        )
    if not value.startswith("$") or len(value) < 2:
        raise LabelConfigError(f'found <Image name="{image.name}" value="{value}">; {NEEDED}')
    return value[1:]


def _classes(choices: ChoicesTag) -> tuple[str, ...]:
    classes = tuple(str(name) for name in choices.labels or ())
    value = _attributes(choices).get("value", "")
    if value.startswith("$"):
        raise LabelConfigError(
            f'found <Choices name="{choices.name}"> whose classes come from the task data '
            f"({value}); {NEEDED}"
        )
    if any(not name.strip() for name in classes):
        raise LabelConfigError(f"found a class with an empty name in {list(classes)}; {NEEDED}")
    if len(classes) < 2:
        raise LabelConfigError(f"found {len(classes)} classes {list(classes)}; {NEEDED}")
    return classes


# The SDK's tags leave out what every tag of a parsed config has.


def _name(tag: ControlTag | ObjectTag) -> str:
    return tag.name or ""


def _attributes(tag: ControlTag | ObjectTag) -> dict[str, str]:
    return tag.attr or {}
