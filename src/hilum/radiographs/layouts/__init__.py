"""How radiographs lie on a disk: one reader per layout, the same listing out.

To add one, write a module with a ``LAYOUT`` and put it into ``recognise.SPECIFIC``: no other file
knows the layouts.
"""

from hilum.radiographs.layouts.boxes import Box, Boxes, read_boxes
from hilum.radiographs.layouts.listing import (
    FROM_DICOM,
    FROM_LIST,
    SPLITS,
    Found,
    Layout,
    LeftOut,
    Listing,
    list_images,
    natural_key,
    nfc,
    no_images,
    walk,
)
from hilum.radiographs.layouts.recognise import LAYOUTS, read_layout, tables_not_read
from hilum.radiographs.layouts.tables import same_numbers

__all__ = [  # noqa: RUF022 - without regard to case
    "Box",
    "Boxes",
    "Found",
    "FROM_DICOM",
    "FROM_LIST",
    "Layout",
    "LAYOUTS",
    "LeftOut",
    "list_images",
    "Listing",
    "natural_key",
    "nfc",
    "no_images",
    "read_boxes",
    "read_layout",
    "same_numbers",
    "SPLITS",
    "tables_not_read",
    "walk",
]
