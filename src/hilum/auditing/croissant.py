"""A data set and what its audit found as Croissant 1.1, which search engines and libraries read.

The format: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html, with the terms of its
RAI vocabulary that an audit can fill truly; what only who made the data knows is left out. Files
are named below the data's folder, never with a place on this machine.
"""

import mimetypes
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hilum.auditing.audit import Audit
from hilum.auditing.findings import Finding
from hilum.codec import write_plain
from hilum.errors import DataError, plural
from hilum.files import file_sha256, refuse_ending
from hilum.radiographs.dataset import Dataset
from hilum.records import ABSENT, MISSING, PRESENT, UNCERTAIN

VERSION = "http://mlcommons.org/croissant/1.1"
RAI = "http://mlcommons.org/croissant/RAI/1.0"
UNKNOWN = "unknown"

_IMAGES, _FILES, _PICTURES, _LISTING = "images", "files", "pictures", "listing"
_MARKS = {PRESENT: "present", ABSENT: "absent", UNCERTAIN: "uncertain", MISSING: "not said"}
#: Endings that mimetypes does not know everywhere.
_TYPES = {".dcm": "application/dicom", ".npz": "application/zip", ".webp": "image/webp"}
_TERMS = (
    "citeAs", "column", "equivalentProperty", "extract", "fileProperty", "fileObject", "fileSet",
    "format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path",
    "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator",
    "source", "subField", "transform", "field", "containedIn", "isArray", "arrayShape",
)  # fmt: skip
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{term: f"cr:{term}" for term in _TERMS},
}


def write_croissant(dataset: Dataset, audit: Audit, file: Path) -> None:
    """Write a data set's Croissant as JSON-LD. Raises DataError where that is not possible.

    audit: of this data set. A library that is to open the images looks for them beside the file,
    so it belongs into the data's folder. Its name ends in .json or .jsonld.
    """
    refuse_ending(file, (".json", ".jsonld"))
    write_plain(file, make_croissant(dataset, audit), error=DataError, indent=2, errors="replace")


def make_croissant(dataset: Dataset, audit: Audit) -> dict[str, Any]:
    """The same as plain values."""
    known = [m.source for m in audit.provenance if m.confidence != "possible"]
    source = known[0] if known and not dataset.synthetic else None
    counts = ", ".join(f"{split} {len(dataset.indices(split)):,}" for split in dataset.splits)
    description = (
        f"{plural(len(dataset.records), 'chest radiograph')} labelled {dataset.tree} ({counts}). "
        f"SHA-256 over all contents, splits and labels: {dataset.fingerprint}."
    )
    if source:
        description += f" {source.title}. {source.source}"
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [VERSION, RAI],
        "name": dataset.name,
        "description": description,
        "license": source.licence if source else UNKNOWN,
        "keywords": ["chest radiograph", *dataset.tree.classes * bool(dataset.tree.decisions),
                     *(finding.name for finding in dataset.tree.findings)],
        **_responsible(dataset, audit, source.meaning if source else None),
        "distribution": _distribution(dataset),
        "recordSet": _record_sets(dataset),
    }  # fmt: skip


def _responsible(dataset: Dataset, audit: Audit, meaning: str | None) -> dict[str, Any]:
    """The terms of RAI that an audit can fill, those alone of which there is something to say."""
    grave = [f for f in audit.findings if f.severity in ("critical", "warning")]
    biases = [f for f in grave if f.code.startswith("shortcut") and f.code != "shortcut-unknown"]
    missing = [f.title for f in audit.findings if f.code == "damaged"]
    missing += [left.note for left in dataset.left_out if left.names]
    unknown = int((dataset.marks < ABSENT).sum())
    if unknown:
        missing.append(f"Of {unknown:,} findings of images it is not known whether they are there.")
    people = "Radiographs of the chest, which are data on the health of people."
    if audit.patients.count:
        people += f" They name {plural(audit.patients.count, 'patient')}."
    found = {
        "dataAnnotationProtocol": [meaning] if meaning else [],
        "dataBiases": [_in_words(f) for f in biases],
        "dataLimitations": [_in_words(f) for f in grave if f not in biases],
        "dataCollectionMissingData": " ".join(missing),
        "dataCollectionType": ["Synthetic data"] if dataset.synthetic else [],
        "personalSensitiveInformation": [
            "None: every image was computed." if dataset.synthetic else people
        ],
    }
    return {f"rai:{term}": value for term, value in found.items() if value}


def _in_words(finding: Finding) -> str:
    return f"{finding.title}. {finding.meaning}".strip()


def _distribution(dataset: Dataset) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if dataset.file:
        found.append(
            {
                "@type": "cr:FileObject",
                "@id": _LISTING,
                "name": dataset.file.name,
                "contentUrl": dataset.file.name,
                "encodingFormat": _type_of(dataset.file.suffix),
                "sha256": file_sha256(dataset.file),
            }
        )
    if _lies_in_files(dataset):
        endings = sorted({Path(record.name).suffix for record in dataset.records})
        found.append(
            {
                "@type": "cr:FileSet",
                "@id": _FILES,
                "name": _FILES,
                "encodingFormat": sorted({_type_of(ending) for ending in endings}),
                "includes": [f"*{ending}" for ending in endings],
            }
        )
    return found


def _lies_in_files(dataset: Dataset) -> bool:
    return dataset.file is None or dataset.file.suffix != ".npz"


def _record_sets(dataset: Dataset) -> list[dict[str, Any]]:
    tree = dataset.tree
    names = [finding.name for finding in tree.findings]
    columns = {"path": None, "sha256": None, "split": "splits"}
    if tree.decisions:
        columns["label"] = "labels"
    columns |= {f"finding/{name}": "marks" for name in names}
    rows = [
        {
            "path": record.name,
            "sha256": digest,
            "split": record.split,
            **({"label": tree.classes[record.label]} if tree.decisions else {}),
            **{
                f"finding/{name}": _MARKS[mark]
                for name, mark in zip(names, record.marks, strict=True)
            },
        }
        for record, digest in zip(dataset.records, dataset.digests, strict=True)
    ]
    found = [_words("splits", dataset.splits, "cr:Split")]
    if tree.decisions:
        found.append(_words("labels", tree.classes))
    if names:
        found.append(_words("marks", _MARKS.values()))
    found.append(
        {
            "@type": "cr:RecordSet",
            "@id": _IMAGES,
            "name": _IMAGES,
            "description": "Every image: its place below the data's folder, and what it is.",
            "key": {"@id": f"{_IMAGES}/path"},
            "field": [_field(f"{_IMAGES}/{name}", of=of) for name, of in columns.items()],
            "data": [{f"{_IMAGES}/{key}": value for key, value in row.items()} for row in rows],
        }
    )
    if _lies_in_files(dataset):
        found.append(_pictures())
    return found


def _pictures() -> dict[str, Any]:
    """The files themselves, by the same paths."""

    def of(what: str) -> dict[str, Any]:
        return {"fileSet": {"@id": _FILES}, "extract": {"fileProperty": what}}

    return {
        "@type": "cr:RecordSet",
        "@id": _PICTURES,
        "name": _PICTURES,
        "description": f"The files themselves, to be joined with '{_IMAGES}' by their paths.",
        "key": {"@id": f"{_PICTURES}/path"},
        "field": [
            _field(f"{_PICTURES}/path", source=of("fullpath")),
            _field(f"{_PICTURES}/image", kind="sc:ImageObject", source=of("content")),
        ],
    }


def _words(name: str, words: Iterable[str], *kinds: str) -> dict[str, Any]:
    """A list of words that fields refer to."""
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "dataType": ["sc:Enumeration", *kinds],
        "key": {"@id": f"{name}/name"},
        "field": [_field(f"{name}/name")],
        "data": [{f"{name}/name": word} for word in words],
    }


def _field(
    at: str,
    *,
    kind: str = "sc:Text",
    of: str | None = None,
    source: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """of: the list whose words its values are. source: where they come from."""
    more = {
        "references": {"field": {"@id": f"{of}/name"}} if of else None,
        "source": source,
    }
    return {
        "@type": "cr:Field",
        "@id": at,
        "name": at.partition("/")[2],
        "dataType": kind,
        **{key: value for key, value in more.items() if value},
    }


def _type_of(ending: str) -> str:
    ending = ending.lower()
    known = _TYPES.get(ending) or mimetypes.types_map.get(ending)
    return known or "application/octet-stream"
