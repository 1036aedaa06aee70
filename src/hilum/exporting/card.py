"""A classifier as a folder to give away, with a model card: what it says of itself, the rest left.

The card is after Mitchell et al. 2019, Model Cards for Model Reporting,
doi:10.1145/3287560.3287596. Its front matter is the YAML block that model hubs read, with the
figures as the model-index of Papers with Code.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hilum.auditing.provenance import known_sources
from hilum.classifier.classifier import Classifier
from hilum.classifier.validation import HOLDS
from hilum.errors import plural
from hilum.records import Estimate
from hilum.wording import Style

#: The name of the card in the folder.
CARD = "README.md"

_OPEN = "*For the author to write.*"
_STYLE = Style(3)

#: Without a licence, which is the author's to choose: hubs then show none.
_FRONT_MATTER = """---
library_name: hilum
pipeline_tag: image-classification
tags:
  - hilum
  - chest-radiograph
  - image-classification
# license: for the author to choose
"""
#: What hubs call measures over all classes, where they have another name for it.
_HUBS = {"macro_auroc": "roc_auc"}

_USAGE = """## How to use it

```
pip install hilum
hilum predict THIS-FOLDER radiographs/
```

`classifier.json` names every file with its SHA-256; weights are safetensors.
"""
#: An absolute path of two or more parts, of Unix or Windows; not the path of a web address.
_PATH = re.compile(
    r"(?<![\w.:/\\])(?:/[^/\s'\"]+)+/([^/\s'\"]+)/?|\b[A-Za-z]:\\(?:[^\\\s]+\\)*([^\\\s]+)"
)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What one evaluation found, for the card.

    data, split, n: the name of the data set, which images of it, and how many. overall: by
    measure. per_class: by class and measure.
    """

    data: str
    split: str
    n: int
    overall: Mapping[str, Estimate]
    per_class: Mapping[str, Mapping[str, Estimate]]

    @property
    def title(self) -> str:
        """Which images they are."""
        return f"{self.data}, split {self.split}, {plural(self.n, 'image')}"


def export_folder(
    classifier: Classifier,
    folder: Path | str,
    evaluated: Sequence[Evaluated] = (),
    *,
    beside: Mapping[str, bytes] | None = None,
    usage: str = "",
) -> list[Path]:
    """Write a classifier's folder, complete, and its model card.

    folder: new or empty; its name is the card's title. evaluated: for the card. beside: other
    files, by name. usage: what the card says of them. The files hold no path of this machine.
    Classifier.load and every verb read the folder as they do any classifier's. Returns its files.
    Raises ClassifierError where the folder holds something.
    """
    folder = Path(folder)
    given = replace(classifier, provenance=shareable(classifier.provenance))
    card = write_card(given, folder.resolve().name, evaluated) + usage
    given.save_new(folder, {CARD: card.encode(), **(beside or {})})
    return sorted(folder.iterdir())


def shareable(value: Any) -> Any:
    """A JSON value without the places of files on the machine where it was made.

    Of an absolute path in a text only its last part is kept, and the key 'root' is left out.
    """
    if isinstance(value, dict):
        return {key: shareable(item) for key, item in value.items() if key != "root"}
    if isinstance(value, list | tuple):
        return [shareable(item) for item in value]
    if isinstance(value, str):
        return _PATH.sub(lambda found: found[1] or found[2], value)
    return value


def write_card(classifier: Classifier, name: str, evaluated: Sequence[Evaluated] = ()) -> str:
    """The card as Markdown.

    name: what the classifier is called, for the title. evaluated: what was found of it, the most
    telling first.
    """
    facts = shareable(classifier.provenance)
    lines = [_FRONT_MATTER + _model_index(name, evaluated) + "---\n", f"# {name}", ""]
    for title, fields in _sections(classifier, facts, evaluated).items():
        lines += [f"## {title}", ""]
        lines += [f"- **{field}**: {text or _OPEN}" for field, text in fields.items()]
        lines.append("")
        if title == "Quantitative analyses":
            for found in evaluated:
                lines += [*_figures(found), ""]
    return "\n".join([*lines, _USAGE])


def _model_index(name: str, evaluated: Sequence[Evaluated]) -> str:
    """The figures as YAML, of which JSON is a part; '' where there are none."""
    results = [
        {
            "task": {"type": "image-classification"},
            "dataset": {"type": found.data, "name": found.title, "split": found.split},
            "metrics": [
                {"type": _HUBS.get(k, k), "name": k.replace("_", " "), "value": round(e.value, 6)}
                for k, e in found.overall.items()
                if e.value is not None
            ],
        }
        for found in evaluated
    ]
    if not results:
        return ""
    index = [{"name": name, "results": results}]
    return f"model-index: {json.dumps(index, indent=2, ensure_ascii=False)}\n"


def _figures(found: Evaluated) -> list[str]:
    """An evaluation as tables of Markdown."""
    measures = list(next(iter(found.per_class.values()), {}))
    head = [_row(["class", *measures]), _row(["---"] * (1 + len(measures)))]
    overall = [
        f"- {name.replace('_', ' ')}: {_STYLE.words(e)}" for name, e in found.overall.items()
    ]
    rows = [
        _row([name, *(_STYLE.words(e) for e in of.values())])
        for name, of in found.per_class.items()
    ]
    return [f"### {found.title}", "", *overall, "", *head, *rows]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _sections(
    classifier: Classifier, facts: Mapping[str, Any], evaluated: Sequence[Evaluated]
) -> dict[str, dict[str, str | None]]:
    """The nine groups of the paper in its order: fields, and None where the author has to."""
    height, width = classifier.preprocessing.image_size
    return {
        "Model details": {
            "Person or organisation that develops it": None,
            "Date": _date(facts),
            "Version": None,
            "Type": _type(classifier),
            "Labels": f"`{classifier.tree}`",
            "Made with": _versions(facts),
            "Paper or other resource": None,
            "Citation": None,
            "Licence": None,
            "Where to send questions": None,
        },
        "Intended use": {
            "Primary uses": None,
            "Primary users": None,
            "Out of scope": "The care of patients: Hilum is for research, no medical device.",
        },
        "Factors": {"Relevant factors": None, "Evaluation factors": None},
        "Metrics": {
            "Performance measures": _measures(evaluated),
            "Decision thresholds": _rule(classifier),
            "Temperatures": _temperatures(classifier),
            "Variation": "95 % intervals over the evaluated images; how figures vary from training "
            "to training is not measured"
            if evaluated
            else None,
        },
        "Evaluation data": {
            "Data sets": "; ".join(found.title for found in evaluated) or None,
            "Why these": None,
            "Preprocessing": f"Grey, {height} × {width} pixels (height × width); "
            f"`{_settings(classifier)}`",
        },
        "Training data": {
            "Data sets": _trained_on(facts),
            "What the labels mean": _meaning(facts),
            "Calibrated on": _calibrated_on(classifier),
        },
        "Quantitative analyses": {
            "Unitary results": "below, in brackets the 95 % intervals" if evaluated else None,
            "Intersectional results": None,
        },
        "Ethical considerations": {
            "Ethical considerations": None,
            "What the files hold of training images": _remembered(classifier),
        },
        "Caveats and recommendations": {
            "Notes": " ".join(str(note) for note in facts.get("notes") or ()) or None
        },
    }


def _type(classifier: Classifier) -> str:
    kinds = ", ".join(sorted(set(classifier.network_names.values())))
    parameters = sum(p.numel() for n in classifier.networks.values() for p in n.parameters())
    count = len(classifier.networks)
    what = (
        f"One network ({kinds}) over all classes"
        if classifier.strategy == "flat"
        else f"A cascade of {count} network{'s' * (count > 1)} ({kinds}), one for each decision "
        f"({', '.join(classifier.networks)})"
    )
    return f"{what}; {parameters:,} parameters"


def _measures(evaluated: Sequence[Evaluated]) -> str | None:
    if not evaluated:
        return None
    names = [name.replace("_", " ") for name in evaluated[0].overall]
    each = next(iter(evaluated[0].per_class.values()), {})
    return f"{', '.join(names)}; of each class {', '.join(each)}"


def _rule(classifier: Classifier) -> str:
    return {
        "route": "`route`: the most probable option of each decision, from the root down",
        "argmax": "`argmax`: the most probable class",
    }[classifier.rule]


def _temperatures(classifier: Classifier) -> str:
    if classifier.validation is None:
        return "None: the probabilities are not calibrated."
    found = (f"{n} {t:.3f}" for n, t in classifier.temperatures.items())
    shifted = "shifted copies of " if classifier.holds == "elsewhere" else ""
    return f"{', '.join(found)}, fitted on {shifted}the images named below"


def _settings(classifier: Classifier) -> str:
    settings = classifier.preprocessing.model_dump(mode="json", exclude={"image_size"})
    return json.dumps(settings)


def _date(facts: Mapping[str, Any]) -> str | None:
    return str(facts["finished"]) if facts.get("finished") else None


def _versions(facts: Mapping[str, Any]) -> str | None:
    return ", ".join(f"{k} {v}" for k, v in (facts.get("versions") or {}).items()) or None


def _trained_on(facts: Mapping[str, Any]) -> str | None:
    data = facts.get("data") or {}
    counts = (data.get("counts") or {}).get("train") or {}
    if not counts:
        return None
    kind = "synthetic phantoms, not patients: " if data.get("synthetic") else ""
    classes = ", ".join(f"{n:,} {label}" for label, n in counts.items())
    return f"{data.get('name') or 'data of an unrecorded name'}, split train: {kind}{classes}"


def _meaning(facts: Mapping[str, Any]) -> str | None:
    name = (facts.get("data") or {}).get("source")
    return next((source.meaning for source in known_sources() if source.name == name), None)


def _calibrated_on(classifier: Classifier) -> str:
    if classifier.validation is None:
        return "Nothing."
    about = classifier.validation.about
    images = f"{about.get('name')}, split {about.get('split')}: {about.get('n'):,} images"
    return f"{images}. {HOLDS[classifier.holds]}" if classifier.holds else images


def _remembered(classifier: Classifier) -> str:
    found = []
    if classifier.reference is not None:
        found.append("features and labels of training images, to find similar ones")
    if classifier.gate is not None:
        found.append("statistics of training images, to tell what is unlike them")
    if classifier.validation is not None:
        copies = " and of shifted copies" if classifier.holds == "elsewhere" else ""
        found.append(f"classes and logits of validation images{copies}")
    parts = (classifier.reference, classifier.validation)
    if any(part is not None and part.seen is not None for part in parts):
        found.append("digests of these images' files, by which who has one sees that it was used")
    pictures = classifier.thumbnails
    if pictures is None:
        return ("; ".join(found) or "nothing beside the weights") + "; no image and no file name"
    height, width = pictures.pictures.shape[1:]
    shown = f"**small pictures of {len(pictures):,} training images** ({width} × {height} pixels)"
    return "; ".join([*found, f"{shown}, to show the nearest beside a radiograph; no file name"])
