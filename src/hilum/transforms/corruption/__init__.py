"""What changes between hospitals and folders, done to one radiograph at a time.

Every function takes an image (H, W) uint8 of any size, a physical amount, and a generator from
which the direction or the noise is drawn, and returns a new image of the same shape. Nothing here
is shared with the augmentation of training: it resamples and shades by other code, so that no
error of the one hides in the other.
"""
