"""How DICOM files store their elements and pixels (PS3.5, chapter 10 and annex A)."""

from dataclasses import dataclass


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
