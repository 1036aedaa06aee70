"""Read a DICOM file: its pixels, its header, or what it says of patient and study."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from hilum.errors import DataError
from hilum.radiographs.cache import salted_name
from hilum.radiographs.dicom import tags
from hilum.radiographs.dicom.elements import Elements, read_contents
from hilum.radiographs.dicom.greyscale import to_grey
from hilum.radiographs.dicom.header import ImageHeader, image_header
from hilum.radiographs.dicom.stored import stored_values
from hilum.records import PixelArray

_LATERAL = frozenset({"LL", "RL", "LATERAL", "LAT"})
#: Codes as PS3.3 defines them. Free text in their place could say anything, and is dropped.
_VIEW = re.compile(r"[A-Z][A-Z0-9 _]{0,15}")
_AGE = re.compile(r"\d{3}[DWMY]")
_SEX = re.compile(r"[MFO]")


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What a file says of its patient and study, for grouping; never for showing.

    patient_id, issuer: as the file has them; '' where it does not say. sop_instance,
    study_instance: UIDs of the image and of its study. view, age, sex: as codes of DICOM.
    burned_in: the file says that text is part of its pixels. modality: '' where it is left out.
    spacing: between pixels down and across, in mm; None where the file does not say. calibrated:
    by something of known size in the picture; otherwise spacing holds at the detector, where a
    chest is shown larger than it is (PS3.3, 10.7.1.3).
    """

    patient_id: str = field(repr=False)
    issuer: str = field(repr=False)
    sop_instance: str = field(repr=False)
    study_instance: str = field(repr=False)
    view: str
    age: str
    sex: str
    burned_in: bool
    modality: str
    spacing: tuple[float, float] | None
    calibrated: bool

    @property
    def is_lateral(self) -> bool:
        """Whether the image was taken from the side (PS3.3, C.8.1.1: View Position)."""
        return self.view in _LATERAL

    @property
    def attributes(self) -> dict[str, str]:
        """What images can be grouped by, under the names of layouts.listing.COLUMNS."""
        cells = {"view": self.view, "age": self.age, "sex": self.sex}
        return {name: cell for name, cell in cells.items() if cell}


def read_dicom(file: IO[bytes], path: Path) -> PixelArray:
    """Read a radiograph as it is meant to be seen: (H, W) uint8, 255 being white.

    Raises DataError where the file is damaged or does not hold one grey radiograph; its text
    quotes no value that could identify the patient.
    """
    contents = read_contents(file, path, tags.OF_THE_IMAGE)
    header = image_header(contents)
    return to_grey(stored_values(contents, header), header, contents.elements)


def read_dicom_header(file: IO[bytes], path: Path) -> ImageHeader:
    """What the file says of its image. Raises DataError as read_dicom does."""
    return image_header(read_contents(file, path, tags.OF_THE_IMAGE))


def read_study(file: IO[bytes], path: Path) -> StudyFacts:
    """What the file says of patient and study. Raises DataError where it is damaged."""
    wanted = tags.OF_THE_STUDY | {tags.MODALITY}
    elements = read_contents(file, path, wanted).elements
    at_detector = _spacing(elements, tags.IMAGER_PIXEL_SPACING)
    spacing = _spacing(elements, tags.PIXEL_SPACING) or at_detector
    return StudyFacts(
        patient_id=_raw(elements, tags.PATIENT_ID),
        issuer=_raw(elements, tags.ISSUER_OF_PATIENT_ID),
        sop_instance=elements.text(tags.SOP_INSTANCE),
        study_instance=elements.text(tags.STUDY_INSTANCE),
        view=_code(elements, tags.VIEW_POSITION, _VIEW),
        age=_code(elements, tags.PATIENT_AGE, _AGE),
        sex=_code(elements, tags.PATIENT_SEX, _SEX),
        burned_in=elements.text(tags.BURNED_IN_ANNOTATION) == "YES",
        modality=elements.text(tags.MODALITY),
        spacing=spacing,
        calibrated=at_detector is not None and spacing != at_detector,
    )


def patient_key(patient_id: str, salt: bytes, issuer: str = "") -> str:
    """A name for a patient that stays the same and cannot be guessed back without the salt.

    issuer: who gave the number, since two hospitals may give one (PS3.3, C.7.1.1).
    Returns what salted_name does.
    """
    return salted_name(salt, issuer, patient_id)


def _raw(elements: Elements, tag: int) -> str:
    """A string of any character set, told apart by its bytes; '' where it is absent."""
    element = elements.found.get(tag)
    return element.value.strip(b" \0").decode("utf-8", "surrogateescape") if element else ""


def _spacing(elements: Elements, tag: int) -> tuple[float, float] | None:
    """In mm; None where there is none, or none that can be: a picture is not refused for it."""
    try:
        found = elements.decimals(tag, "spacing")
    except DataError:
        return None
    return (found[0], found[1]) if len(found) == 2 and all(0 < mm < 10 for mm in found) else None


def _code(elements: Elements, tag: int, pattern: re.Pattern[str]) -> str:
    text = elements.text(tag)
    return text if pattern.fullmatch(text) else ""
