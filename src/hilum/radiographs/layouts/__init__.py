"""How radiographs lie on a disk: one reader per layout, the same listing out.

To add one, write a module with a ``LAYOUT`` and put it into ``recognise.SPECIFIC``: no other file
knows the layouts.
"""

from hilum.radiographs.layouts.listing import SPLITS as SPLITS
from hilum.radiographs.layouts.listing import Found as Found
from hilum.radiographs.layouts.listing import Layout as Layout
from hilum.radiographs.layouts.listing import Listing as Listing
from hilum.radiographs.layouts.listing import list_images as list_images
from hilum.radiographs.layouts.listing import natural_key as natural_key
from hilum.radiographs.layouts.listing import walk as walk
from hilum.radiographs.layouts.recognise import LAYOUTS as LAYOUTS
from hilum.radiographs.layouts.recognise import read_layout as read_layout
