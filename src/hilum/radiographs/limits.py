"""How large an image may be before it is refused unread."""

#: The largest image that is decoded. The largest detectors give about 20 million pixels.
MAX_PIXELS = 80_000_000
