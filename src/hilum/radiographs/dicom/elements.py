"""Data elements of a DICOM file, up to its pixel data (PS3.5, chapter 7; PS3.10, chapter 7)."""

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from hilum.errors import DataError
from hilum.radiographs.dicom import tags
from hilum.radiographs.dicom.source import Source
from hilum.radiographs.dicom.tags import TRANSFER_SYNTAXES, TransferSyntax

UNDEFINED = 0xFFFF_FFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFE_E000, 0xFFFE_E00D, 0xFFFE_E0DD
#: Value representations whose length takes 32 bits (PS3.5, table 7.1-1).
_LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_VRS = _LONG_VRS | frozenset({
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN",
    b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US",
})  # fmt: skip
_MAX_DEPTH = 32
#: The longest value that is needed is a table of 65,536 16-bit entries.
_MAX_VALUE = 1 << 18


@dataclass(frozen=True, slots=True)
class Element:
    """A value as it stands in the file. vr: None under implicit VR. items: first of a sequence."""

    vr: bytes | None
    value: bytes
    first_item: "Elements | None" = None


@dataclass(slots=True)
class Elements:
    """The elements of one data set. big_endian: the order of bytes in its numbers."""

    source: Source = field(repr=False)
    big_endian: bool
    found: dict[int, Element] = field(default_factory=dict, repr=False)

    def text(self, tag: int) -> str:
        """A string without padding; '' where it is absent or not ASCII."""
        element = self.found.get(tag)
        value = element.value if element else b""
        return value.decode("ascii").strip(" \0") if value.isascii() else ""

    def integers(self, tag: int, *, signed: bool = False) -> tuple[int, ...]:
        """16-bit numbers; () where the element is absent. signed: unless an explicit VR says."""
        element = self.found.get(tag)
        if element is None:
            return ()
        if element.vr in (b"US", b"SS"):
            signed = element.vr == b"SS"
        order = ">" if self.big_endian else "<"
        n = len(element.value) // 2
        return struct.unpack(f"{order}{n}{'h' if signed else 'H'}", element.value[: 2 * n])

    def decimals(self, tag: int, name: str) -> tuple[float, ...]:
        """Decimal strings (PS3.5, 6.2: DS, IS); () where there is none.

        name: for the message. Raises DataError where one is no finite number.
        """
        text = self.text(tag)
        if not text and not (tag in self.found and self.found[tag].value.strip(b" \0")):
            return ()
        try:
            numbers = tuple(float(part) for part in text.split("\\"))
        except ValueError:
            numbers = (float("nan"),)
        if not all(abs(n) < 1e12 for n in numbers):  # and not NaN, which compares as false
            raise self.source.refusal(f"its {name} is no number.")
        return numbers

    def item(self, tag: int) -> "Elements | None":
        """The first item of a sequence; None where the sequence is absent or empty."""
        element = self.found.get(tag)
        return element.first_item if element else None


@dataclass(slots=True)
class Contents:
    """A file read up to its pixels.

    pixel_length: bytes of the pixel data that source stands before; UNDEFINED where they are
    encapsulated, None where there are no pixel data. sop_class: as the file's meta information
    has it, '' where that does not say.
    """

    elements: Elements
    transfer_syntax: TransferSyntax
    sop_class: str
    source: Source
    pixel_length: int | None


def read_contents(file: IO[bytes], path: Path, wanted: frozenset[int]) -> Contents:
    """Read the wanted elements of a file, and stop before its pixel data.

    Raises DataError where the file is damaged or is stored in a way that is not known.
    """
    file.seek(0)
    source = Source(file, path)
    if source.peek(132)[128:] == b"DICM":
        source.skip(132)
    syntax, sop_class = _meta_information(source)
    if syntax.deflated:
        source = source.inflated()
    reader = _Reader(source, syntax.implicit, syntax.big_endian)
    elements, pixel_length = reader.read_file(wanted)
    return Contents(elements, syntax, sop_class, source, pixel_length)


def _meta_information(source: Source) -> tuple[TransferSyntax, str]:
    """Transfer syntax and SOP class as the file's meta information says (PS3.10, 7.1).

    Without, the syntax is guessed from the first element, and the class is ''.
    """
    meta = _Reader(source, implicit=False, big_endian=False)
    uids = {tags.TRANSFER_SYNTAX: "", tags.MEDIA_SOP_CLASS: ""}
    while source.peek(2) == b"\x02\x00":
        tag, _, length = meta.read_head()
        if tag in uids:
            uids[tag] = meta.read_value(length).strip(b" \0").decode("ascii", "replace")
        else:
            source.skip(length)
    uid, sop_class = uids.values()
    known = TRANSFER_SYNTAXES.get(uid) if uid else _guessed_syntax(source)
    if known is None:
        raise source.refusal(
            "its transfer syntax is none that Hilum reads (docs/data.md lists them); convert it "
            "to Explicit VR Little Endian."
        )
    return known, sop_class


def _guessed_syntax(source: Source) -> TransferSyntax:
    start = source.peek(6)
    if start[4:6] not in _VRS:
        return TRANSFER_SYNTAXES["1.2.840.10008.1.2"]
    # Groups are below 0x0400 at the start, so what looks larger has its bytes the other way round.
    big_endian = int.from_bytes(start[:2], "little") >= 0x0400
    return TRANSFER_SYNTAXES["1.2.840.10008.1.2.2" if big_endian else "1.2.840.10008.1.2.1"]


class _Reader:
    """Reads data elements in one encoding."""

    def __init__(self, source: Source, implicit: bool, big_endian: bool) -> None:
        self.source, self._implicit, self._big_endian = source, implicit, big_endian
        order = ">" if big_endian else "<"
        self._tag = struct.Struct(f"{order}HH").unpack
        self._short = struct.Struct(f"{order}H").unpack
        self._long = struct.Struct(f"{order}L").unpack

    def read_head(self) -> tuple[int, bytes | None, int]:
        """Tag, VR and length of the next element."""
        source = self.source
        source.count_element()
        head = source.read(8)
        group, element = self._tag(head[:4])
        tag = group << 16 | element
        if self._implicit or group == 0xFFFE:
            return tag, None, self._long(head[4:])[0]
        vr = head[4:6]
        if vr not in _VRS:
            raise source.refusal("is damaged: a DICOM element has no value representation.")
        if vr in _LONG_VRS:
            return tag, vr, self._long(source.read(4))[0]
        return tag, vr, self._short(head[6:])[0]

    def read_value(self, length: int) -> bytes:
        if length > _MAX_VALUE:
            raise self.source.refusal("is damaged: a DICOM element is longer than it can be.")
        return self.source.read(length)

    def read_file(self, wanted: frozenset[int]) -> tuple[Elements, int | None]:
        """The wanted elements, and the length of the pixel data, None where there are none."""
        found = Elements(self.source, self._big_endian)
        while not self.source.at_end:
            tag, vr, length = self.read_head()
            if tag == tags.PIXEL_DATA:
                return found, length
            if tag in (ITEM, ITEM_END, SEQUENCE_END):
                raise self._misplaced()
            self._read_element(found, tag, vr, length, wanted, 0)
        return found, None

    def _read_element(
        self, into: Elements, tag: int, vr: bytes | None, length: int, wanted: frozenset[int],
        depth: int,
    ) -> None:  # fmt: skip
        is_sequence = tag in wanted and tag in _SEQUENCES  # whatever VR it has been written with
        if is_sequence or length == UNDEFINED:
            if vr in (b"OB", b"OW") and not is_sequence:  # compressed pixels of an icon
                self._skip_fragments()
                return
            reader = self if vr in (None, b"SQ") else self._reader_of_items()
            first = reader._read_sequence(length, tags.OF_A_LUT if is_sequence else _NONE, depth)
            if is_sequence:
                into.found[tag] = Element(vr, b"", first)
        elif tag in wanted:
            into.found[tag] = Element(vr, self.read_value(length))
        else:
            self.source.skip(length)

    def _reader_of_items(self) -> "_Reader":
        """For items of a sequence that is not called one.

        They are implicit VR, little-endian (PS3.5, 6.2.2; CP-246), but some writers leave them
        as they were, which their first bytes show.
        """
        start = self.source.peek(14)  # the head of an item, and tag and VR of its first element
        big_endian = start.startswith(b"\xff\xfe\xe0\x00")
        return _Reader(self.source, start[12:14] not in _VRS, big_endian)

    def _read_sequence(self, length: int, wanted: frozenset[int], depth: int) -> Elements | None:
        """The first item of a sequence; all of it is passed over."""
        if depth >= _MAX_DEPTH:
            raise self.source.refusal(
                f"has DICOM sequences nested more than {_MAX_DEPTH} deep; no radiograph does."
            )
        first: Elements | None = None
        end = self._end(length)
        while end is None or self.source.position < end:
            tag, _, item_length = self.read_head()
            if tag == SEQUENCE_END and end is None:
                break
            if tag != ITEM:
                raise self._misplaced()
            if first is None or item_length == UNDEFINED:
                item = self._read_item(item_length, wanted if first is None else _NONE, depth + 1)
                first = first or item
            else:
                self.source.skip(item_length)
        self._check_end(end)
        return first

    def _read_item(self, length: int, wanted: frozenset[int], depth: int) -> Elements:
        item = Elements(self.source, self._big_endian)
        end = self._end(length)
        while end is None or self.source.position < end:
            tag, vr, element_length = self.read_head()
            if tag == ITEM_END and end is None:
                break
            if tag in (ITEM, ITEM_END, SEQUENCE_END):
                raise self._misplaced()
            self._read_element(item, tag, vr, element_length, wanted, depth)
        self._check_end(end)
        return item

    def _skip_fragments(self) -> None:
        while True:
            tag, _, length = self.read_head()
            if tag == SEQUENCE_END:
                return
            if tag != ITEM:
                raise self._misplaced()
            self.source.skip(length)

    def _end(self, length: int) -> int | None:
        return None if length == UNDEFINED else self.source.position + length

    def _check_end(self, end: int | None) -> None:
        if end is not None and self.source.position != end:
            raise self._misplaced()

    def _misplaced(self) -> DataError:
        return self.source.refusal("is damaged: its DICOM sequences do not end where they say.")


_SEQUENCES = frozenset({tags.MODALITY_LUT_SEQUENCE, tags.VOI_LUT_SEQUENCE})
_NONE: frozenset[int] = frozenset()
