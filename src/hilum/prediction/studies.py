"""What the studies of DICOM files are called in a table."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hilum.files import sha256
from hilum.radiographs.salt import salt_of, salted_name


@dataclass(frozen=True)
class StudyNames:
    """Names of studies, equal in all tables of one folder.

    folder: of the tables; its salt, in the cache, is made when the first study is named.
    keep_identifiers: studies keep their Study Instance UID, which leads to the patient.
    """

    folder: Path
    keep_identifiers: bool = False

    def name(self, uid: str) -> str:
        """The name of the study with this Study Instance UID; '' where the file has none.

        As salted_name makes it, or the UID itself if it is to be kept.
        Raises DataError where the salt cannot be kept in the cache.
        """
        if not uid or self.keep_identifiers:
            return uid
        return salted_name(self._salt, "study", uid)

    @property
    def salt_digest(self) -> str:
        """SHA-256 of the salt, by which to see that it is still the same. Raises as name does."""
        return sha256(self._salt)

    @cached_property
    def _salt(self) -> bytes:
        return salt_of(self.folder)
