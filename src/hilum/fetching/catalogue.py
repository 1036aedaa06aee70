"""Which public data sets can be fetched, and from where."""

from functools import cache

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hilum.auditing.provenance import Source, known_sources
from hilum.errors import DataError, nearest
from hilum.files import read_packaged_folder


class _Place(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PublishedFile(_Place):
    """One file, read as it is.

    size: height and width of its images in pixels. name: what the file is called on the disk.
    md5: the sum that its publisher gives. max_bytes: the most that it may be.
    """

    size: int
    url: str
    name: str
    md5: str = Field(pattern=r"^[0-9a-f]{32}$")
    max_bytes: int


class MendeleyArchive(_Place):
    """An archive on Mendeley Data, whose address and SHA-256 its public interface tells."""

    dataset: str
    version: int
    file: str
    max_bytes: int
    api: str = "https://data.mendeley.com/public-api"


class GitBranch(_Place):
    """A folder on a branch of a git repository."""

    url: str
    branch: str
    folder: str


class KaggleHandle(_Place):
    """A data set on Kaggle: OWNER/NAME."""

    handle: str


class DataSet(_Place):
    """A public data set that can be fetched, from exactly one kind of place.

    name: the file's name. about: its entry in auditing/sources. page: where people read about it.
    layout: the layout that it has once it lies on a disk.
    """

    name: str
    about: str
    page: str
    layout: str
    file: tuple[PublishedFile, ...] = ()
    mendeley: MendeleyArchive | None = None
    git: GitBranch | None = None
    kaggle: KaggleHandle | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "DataSet":
        if sum(map(bool, (self.file, self.mendeley, self.git, self.kaggle))) != 1:
            raise ValueError("a data set lies in one place: file, mendeley, git or kaggle")
        return self

    @property
    def source(self) -> Source:
        """What is known of it: licence, and what the labels mean."""
        return next(s for s in known_sources() if s.name == self.about)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The image sizes in pixels to choose from; empty where there is no choice."""
        return tuple(f.size for f in self.file)

    def check_size(self, size: int | None) -> None:
        """Raise DataError where the images do not come in this size; None is always right."""
        if size is None or size in self.sizes:
            return
        if not self.sizes:
            raise DataError(f"{self.name}: comes in one size only; leave out --size.")
        raise DataError(
            f"{self.name}: there are no images of {size} x {size} pixels; expected one of "
            f"{', '.join(map(str, self.sizes))}."
        )

    def choose(self, size: int | None) -> PublishedFile:
        """The file with images of a size; the largest for None."""
        self.check_size(size)
        return self.file[-1] if size is None else self.file[self.sizes.index(size)]


@cache
def known_sets() -> tuple[DataSet, ...]:
    """Every data set that can be fetched, by name."""
    tables = read_packaged_folder("fetching", "sets")
    return tuple(DataSet(name=name, **table) for name, table in tables.items())


def find_set(name: str) -> DataSet:
    """The data set of a name. Raises DataError, with the nearest name, where there is none."""
    for data_set in known_sets():
        if data_set.name == name:
            return data_set
    raise DataError(
        f"There is no data set '{name}' to get.{nearest(name, (s.name for s in known_sets()))}"
    )
