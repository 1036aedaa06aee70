"""DICOM files of one grey radiograph, read in bounded time and memory.

``reading`` gives pixels, the image's header and what a file says of its patient; each step is a
module: ``source`` (bytes), ``elements`` (tags), ``header`` (what the image is), ``stored`` (its
values, decoded by pydicom where they are compressed), ``greyscale`` (from values to a picture).

The tags are read here rather than by pydicom.dcmread, whose recursion, deflation and number of
elements are not bounded, and whose warnings quote values of a patient and can only be caught for
the whole process, while Hilum decodes in threads. The tests compare with it.
"""

__all__ = ["is_dicom", "reading", "START"]  # noqa: RUF022 - without regard to case

#: How much of a file's start tells whether it is DICOM.
START = 132

_FIRST_GROUPS = frozenset({b"\x02\x00", b"\x08\x00", b"\x00\x08"})
_VRS = frozenset({b"UL", b"OB", b"UI", b"CS", b"SH", b"LO", b"DA"})
_LAST_FIRST_ELEMENT = 0x18  # (0008,0018), SOP Instance UID
_LONGEST = 128


def is_dicom(start: bytes) -> bool:
    """Whether a file that begins so is DICOM.

    start: its first START bytes. It is where 'DICM' follows a preamble of 128 bytes (PS3.10,
    7.1); or where no preamble is there, as old files have it, but a first data element of group
    0002 or 0008 that is plausible.
    """
    if start[128:132] == b"DICM":
        return True
    if len(start) < 16 or start[:2] not in _FIRST_GROUPS:
        return False
    big_endian = start[:2] == b"\x00\x08"
    element = int.from_bytes(start[2:4], "big" if big_endian else "little")
    if start[4:6] in _VRS:
        return element <= _LAST_FIRST_ELEMENT
    # implicit VR, little-endian: a short value of even length
    length = int.from_bytes(start[4:8], "little")
    return not big_endian and 0 < length <= _LONGEST and length % 2 == 0 and (
        element <= _LAST_FIRST_ELEMENT
    )  # fmt: skip
