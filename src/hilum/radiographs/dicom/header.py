"""What a DICOM file says of its image, checked before any pixel is touched."""

from collections.abc import Callable
from dataclasses import dataclass

from hilum.errors import DataError
from hilum.radiographs.dicom import tags
from hilum.radiographs.dicom.elements import Contents, Elements
from hilum.records import MAX_PIXELS

#: Modalities that project (PS3.3, C.7.3.1.1.1): computed and digital radiography, radiographic
#: imaging on film, radio fluoroscopy; and DR, which the standard does not have but devices write.
_RADIOGRAPHS = frozenset({"CR", "DX", "DR", "RG", "RF"})
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_RAW_CLASS = f"{_STORAGE}1.1.1"
#: What a SOP class (PS3.4, B.5) says where the modality is left out, as some de-identify.
#: Secondary captures, which are exported and digitised films, need not have one.
_CLASSES = {
    f"{_STORAGE}1": "CR", f"{_STORAGE}1.1": "DX", _RAW_CLASS: "DX", f"{_STORAGE}12.2": "RF",
    **{f"{_STORAGE}7{multi_frame}": "" for multi_frame in ("", ".1", ".2", ".3", ".4")},
}  # fmt: skip
_GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})
_RAW = "FOR PROCESSING"


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Facts of one grey radiograph, none about the patient.

    rows, columns: pixels. bits_allocated: 8 or 16. bits_stored: at most that. high_bit: where
    the most significant stored bit lies. signed: two's complement. white_is_zero: the smallest
    value is shown white. modality: such as 'DX', or '' of a secondary capture.
    """

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    white_is_zero: bool
    modality: str


def image_header(contents: Contents) -> ImageHeader:
    """Check and collect what is needed of a file's elements.

    Raises DataError where it is no single grey radiograph for display, or contradicts itself.
    """
    elements, refusal = contents.elements, contents.source.refusal
    sop_class = elements.text(tags.SOP_CLASS) or contents.sop_class
    modality = _modality(elements.text(tags.MODALITY), sop_class, refusal)
    if contents.pixel_length is None:
        raise refusal("holds no pixel data; expected a radiograph.")
    if (elements.text(tags.PRESENTATION_INTENT) or (sop_class == _RAW_CLASS and _RAW)) == _RAW:
        raise refusal(
            "holds raw values of the detector (FOR PROCESSING), not a picture; export the image "
            "that is FOR PRESENTATION."
        )
    frames = elements.decimals(tags.NUMBER_OF_FRAMES, "number of frames") or (1.0,)
    if frames != (1.0,):
        raise refusal("holds several frames or none; a radiograph is one image.")
    photometric = elements.text(tags.PHOTOMETRIC_INTERPRETATION)
    if elements.integers(tags.SAMPLES_PER_PIXEL) not in ((), (1,)) or photometric not in _GREY:
        raise refusal("is in colour, or does not say that it is grey; a radiograph is grey.")
    rows, columns = (
        _number(elements, tag, name, refusal)
        for tag, name in ((tags.ROWS, "number of rows"), (tags.COLUMNS, "number of columns"))
    )
    if rows * columns > MAX_PIXELS:
        raise refusal(
            f"{columns} x {rows} pixels are too many (at most {MAX_PIXELS // 1_000_000} million)."
        )
    allocated = _number(elements, tags.BITS_ALLOCATED, "number of bits allocated", refusal)
    stored = (elements.integers(tags.BITS_STORED) or (allocated,))[0]
    high = (elements.integers(tags.HIGH_BIT) or (stored - 1,))[0]
    sign = elements.integers(tags.PIXEL_REPRESENTATION) or (0,)
    if not (allocated in (8, 16) and 1 <= stored <= high + 1 <= allocated) or sign[0] not in (0, 1):
        raise refusal(
            f"stores {stored} of {allocated} bits, the highest at {high}; expected up to 16 in 8 "
            "or 16."
        )
    shape = elements.text(tags.PRESENTATION_LUT_SHAPE)
    # PS3.3, C.7.6.3.1.2 and C.8.11.3.1.2: they say one thing twice, so it is done once
    white_is_zero = photometric == "MONOCHROME1" or shape == "INVERSE"
    return ImageHeader(
        rows, columns, allocated, stored, high, sign == (1,), white_is_zero, modality
    )


def _modality(modality: str, sop_class: str, refusal: Callable[[str], DataError]) -> str:
    if modality in _RADIOGRAPHS:
        return modality
    if not modality and sop_class in _CLASSES:
        return _CLASSES[sop_class]
    # Two capital letters tell a modality, not a patient; anything else is not repeated.
    found = modality if modality.isalpha() and len(modality) == 2 else "none that is known"
    raise refusal(
        f"is no radiograph: its modality is {found}; expected CR or DX (DR, RG, RF, and a "
        "secondary capture without one, are read too)."
    )


def _number(elements: Elements, tag: int, name: str, refusal: Callable[[str], DataError]) -> int:
    values = elements.integers(tag)
    if len(values) != 1 or values[0] < 1:
        raise refusal(f"does not say its {name}; expected 1 or more.")
    return values[0]
