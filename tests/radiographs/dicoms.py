"""Small DICOM files, written by pydicom."""

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filereader import dcmread
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

RAMP = np.arange(256, dtype=np.uint16).reshape(16, 16) * 16  # 0 to 4080, of 12 bits


def dicom(
    pixels: npt.NDArray[Any] = RAMP,
    *,
    bits: int = 12,
    syntax: str = ExplicitVRLittleEndian,
    data: bytes | None = None,
    **tags: Any,
) -> Dataset:
    """A digital radiograph; keywords add or replace tags, None removes them.

    data: the bytes of the pixel data; without it the pixels as they are. pydicom warns of the odd
    values that tests are about.
    """
    ds = Dataset()
    ds.SOPClassUID = DigitalXRayImageStorageForPresentation
    ds.SOPInstanceUID = "1.2.3.4"
    ds.StudyInstanceUID = "1.2.3"
    ds.Modality = "DX"
    ds.PatientName = "Zzyzx^Jane"
    ds.PatientID = "4711"
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated = 8 * pixels.dtype.itemsize
    ds.BitsStored, ds.HighBit = bits, bits - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    order: Literal["<", ">"] = ">" if syntax == "1.2.840.10008.1.2.2" else "<"
    ds.PixelData = (
        pixels.astype(pixels.dtype.newbyteorder(order)).tobytes() if data is None else data
    )
    ds["PixelData"].VR = "OW" if pixels.dtype.itemsize == 2 else "OB"
    for keyword, value in tags.items():
        if value is None:
            delattr(ds, keyword)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    ds.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", "1.2.3")
    ds.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
    return ds


def save(path: Path, ds: Dataset) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(as_bytes(ds))
    return path


def as_bytes(ds: Dataset) -> bytes:
    """The file that a data set makes."""
    buffer = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def bundled(name: str, **tags: Any) -> FileDataset:
    """One of the files that come with pydicom, as a radiograph, with other tags."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = get_testdata_file(name, download=False)
        assert isinstance(path, str)
        ds = dcmread(path)
        ds.Modality = "DX"
        for keyword, value in tags.items():
            setattr(ds, keyword, value)
    return ds


def lut(entries: list[int], first: int, bits: int) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", entries)
    return item
