"""The report's section on limits: what its figures do not say, as far as the runs tell."""

from hilum.reporting.sections.conditions import holding
from hilum.reporting.subject import Subject


def list_limits(subject: Subject) -> list[str]:
    """Sentences for readers; what was checked is not named as unchecked."""
    holds = holding(subject)
    found = [
        "Hilum is research software, not a medical device. Nothing here may guide the care of a "
        "patient."
    ]
    if any(run.synthetic for run in subject.runs):
        found.append(
            "Phantoms are simple renderings. A classifier that tells them apart need not tell "
            "patients apart."
        )
    found.append(
        "Figures hold for images like those evaluated: the same source, devices, patients and "
        "share of each class. Elsewhere they may be far worse, and precision changes with "
        "prevalence."
    )
    if "audit" in holds:
        found.append(
            "The audit looks for duplicates, for patients in two splits and for marks that give a "
            "label away; what it finds is above, and what it cannot see may still be there."
        )
    else:
        found.append(
            "This report did not check for duplicates, for patients that stand in two splits, or "
            "for marks and borders that give a label away. Each of these makes figures look "
            "better than they are."
        )
    found.append(
        "The labels were taken as given. A classifier learns what the labels are, not what their "
        "names promise."
    )
    if any(not run.imported for run in subject.runs):
        found.append(
            "Each run is one training with one seed. Another seed gives other figures; the "
            "intervals do not cover that."
        )
    if any(run.imported for run in subject.runs):
        found.append(
            "Weights that were trained elsewhere may have seen the images that they are evaluated "
            "on; nothing here can tell."
        )
    if "external" not in holds:
        found.append("Images from another hospital were not evaluated here.")
    if "calibration" not in holds:
        found.append(
            "The probabilities were not checked for calibration: 90 % need not mean right nine "
            "times in ten."
        )
    return found
