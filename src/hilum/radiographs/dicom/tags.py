"""The data elements that Hilum reads (PS3.6). No name, date or address is among them."""

from dataclasses import dataclass

MEDIA_SOP_CLASS = 0x0002_0002
TRANSFER_SYNTAX = 0x0002_0010
SOP_CLASS = 0x0008_0016
SOP_INSTANCE = 0x0008_0018
MODALITY = 0x0008_0060
PRESENTATION_INTENT = 0x0008_0068
PATIENT_ID = 0x0010_0020
ISSUER_OF_PATIENT_ID = 0x0010_0021
PATIENT_SEX = 0x0010_0040
PATIENT_AGE = 0x0010_1010
IMAGER_PIXEL_SPACING = 0x0018_1164
VIEW_POSITION = 0x0018_5101
STUDY_INSTANCE = 0x0020_000D
SAMPLES_PER_PIXEL = 0x0028_0002
PHOTOMETRIC_INTERPRETATION = 0x0028_0004
NUMBER_OF_FRAMES = 0x0028_0008
ROWS = 0x0028_0010
COLUMNS = 0x0028_0011
PIXEL_SPACING = 0x0028_0030
BITS_ALLOCATED = 0x0028_0100
BITS_STORED = 0x0028_0101
HIGH_BIT = 0x0028_0102
PIXEL_REPRESENTATION = 0x0028_0103
BURNED_IN_ANNOTATION = 0x0028_0301
WINDOW_CENTER = 0x0028_1050
WINDOW_WIDTH = 0x0028_1051
RESCALE_INTERCEPT = 0x0028_1052
RESCALE_SLOPE = 0x0028_1053
VOI_LUT_FUNCTION = 0x0028_1056
MODALITY_LUT_SEQUENCE = 0x0028_3000
LUT_DESCRIPTOR = 0x0028_3002
LUT_DATA = 0x0028_3006
VOI_LUT_SEQUENCE = 0x0028_3010
PRESENTATION_LUT_SHAPE = 0x2050_0020
PIXEL_DATA = 0x7FE0_0010

#: What tells whose image it is and of which study, for those who group images; pixels need none.
OF_THE_STUDY = frozenset({
    SOP_INSTANCE, PATIENT_ID, ISSUER_OF_PATIENT_ID, PATIENT_SEX, PATIENT_AGE, VIEW_POSITION,
    STUDY_INSTANCE, BURNED_IN_ANNOTATION, IMAGER_PIXEL_SPACING, PIXEL_SPACING,
})  # fmt: skip
#: What tells how the pixels are stored and shown.
OF_THE_IMAGE = frozenset({
    SOP_CLASS, MODALITY, PRESENTATION_INTENT, SAMPLES_PER_PIXEL, PHOTOMETRIC_INTERPRETATION,
    NUMBER_OF_FRAMES, ROWS, COLUMNS, BITS_ALLOCATED, BITS_STORED, HIGH_BIT, PIXEL_REPRESENTATION,
    WINDOW_CENTER, WINDOW_WIDTH, RESCALE_INTERCEPT, RESCALE_SLOPE, VOI_LUT_FUNCTION,
    MODALITY_LUT_SEQUENCE, VOI_LUT_SEQUENCE, PRESENTATION_LUT_SHAPE,
})  # fmt: skip
#: Read from the first item of a sequence.
OF_A_LUT = frozenset({LUT_DESCRIPTOR, LUT_DATA})


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """One of TRANSFER_SYNTAXES.

    codec: what compresses the pixels ('' where nothing does). plugin: which of pydicom's decoders
    reads them, named so that pixels do not depend on what else is installed. JPEG of 8
    bits is read by Pillow without pydicom.
    """

    uid: str
    codec: str = ""
    plugin: str = ""
    implicit: bool = False
    big_endian: bool = False
    deflated: bool = False


TRANSFER_SYNTAXES = {
    syntax.uid: syntax
    for syntax in (
        TransferSyntax("1.2.840.10008.1.2", implicit=True),
        TransferSyntax("1.2.840.10008.1.2.1"),
        TransferSyntax("1.2.840.10008.1.2.1.99", deflated=True),
        TransferSyntax("1.2.840.10008.1.2.2", big_endian=True),
        TransferSyntax("1.2.840.10008.1.2.4.50", "JPEG", "gdcm"),
        TransferSyntax("1.2.840.10008.1.2.4.51", "JPEG", "gdcm"),
        TransferSyntax("1.2.840.10008.1.2.4.57", "JPEG Lossless", "gdcm"),
        TransferSyntax("1.2.840.10008.1.2.4.70", "JPEG Lossless", "gdcm"),
        TransferSyntax("1.2.840.10008.1.2.4.80", "JPEG-LS", "pyjpegls"),
        TransferSyntax("1.2.840.10008.1.2.4.81", "JPEG-LS", "pyjpegls"),
        TransferSyntax("1.2.840.10008.1.2.4.90", "JPEG 2000", "pillow"),
        TransferSyntax("1.2.840.10008.1.2.4.91", "JPEG 2000", "pillow"),
        TransferSyntax("1.2.840.10008.1.2.5", "RLE"),
    )
}
