"""A folder of Parquet parts: complete, in order, and the same whatever happened on the way."""

import json

import pyarrow.parquet
import pytest

from hilum.errors import DataError
from hilum.prediction import parts
from hilum.prediction.predict import made_by, predict_files
from hilum.prediction.table import StudyNames, Table
from tests.prediction.test_predict import repaint
from tests.spots import write_spots

SIZE = 64


@pytest.fixture
def many(tmp_path):
    """150 radiographs: three parts of up to 64."""
    return write_spots(tmp_path / "folder", {"new": 50}, seed=7) / "new"


def by_turns(classifier, inputs, out, *, stop_after=None, **options):
    """predict_parts by this process alone. stop_after: so many parts, then an interrupt."""
    names = StudyNames(out, keep_identifiers=True)
    table = Table.of(classifier, studies=names)

    def engine(chunks):
        for done, chunk in enumerate(chunks):
            if done == stop_after:
                raise KeyboardInterrupt
            yield parts.make_part(classifier, table, chunk, out)

    made = made_by(classifier, table, "torch")
    return parts.predict_parts(
        classifier, [str(path) for path in inputs], out, engine, made=made, size=SIZE, **options
    )


def table_of(out):
    return pyarrow.parquet.read_table([str(p) for p in sorted(out.glob("part-*.parquet"))])


def test_parts_hold_the_rows_of_one_table_and_go_on(tmp_path, calibrated, many):
    # keeps the gate, sets and referrals of a calibrated classifier, which are judged over all
    whole = predict_files(calibrated, [str(many)], tmp_path / "p.parquet", keep_identifiers=True)
    out = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        by_turns(calibrated, [many], out, stop_after=1)
    assert sorted(p.name for p in out.glob("*.parquet")) == ["part-000000.parquet"]
    done = by_turns(calibrated, [many], out)
    assert (done.images, done.failed, done.found, done.redone) == (150, 0, 64, 0)
    assert done.arrivals == whole.arrivals
    assert table_of(out).equals(pyarrow.parquet.read_table(tmp_path / "p.parquet"))
    assert json.loads((out / parts.MANIFEST).read_text())["finished"]
    again = by_turns(calibrated, [many], out)
    assert (again.found, again.redone) == (150, 0)


def test_what_does_not_hold_is_made_anew(tmp_path, plain, many):
    out = tmp_path / "parts"
    by_turns(plain, [many], out)
    before = table_of(out)
    torn = out / "part-000000.parquet"
    torn.write_bytes(torn.read_bytes()[:-9])
    (out / "part-000002.parquet").unlink()
    done = by_turns(plain, [many], out)
    assert (done.found, done.redone) == (64, 64 + 22)
    assert table_of(out).equals(before)
    repaint(many / "normal/49.png")  # the last
    assert by_turns(plain, [many], out).redone == 22
    assert not table_of(out).equals(before)
    repaint(many / "normal/48.png")
    with pytest.raises(KeyboardInterrupt):
        by_turns(plain, [many], out, stop_after=0)
    manifest = json.loads((out / parts.MANIFEST).read_text())
    assert (manifest["finished"], sorted(manifest["parts"])) == (False, ["0", "1"])
    assert by_turns(plain, [many], out).found == 128
    more = write_spots(tmp_path / "more", {"new": 1}, seed=8) / "new"
    grown = by_turns(plain, [many, more], out)
    assert (grown.images, grown.found, grown.redone) == (153, 128, 0)


def test_what_cannot_be_gone_on_with_is_refused(tmp_path, plain, calibrated, many):
    out = tmp_path / "parts"
    by_turns(plain, [many], out)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    for inputs, classifier, said in (
        ([many / "normal", many], plain, "part 0 is of other files than these inputs"),
        ([many / "infected"], plain, "part 1 is of other files"),
        ([many / "infected/covid/0.png"], plain, "part 0 is of other files"),
        ([many], calibrated, "another classifier or with other options"),
    ):
        with pytest.raises(DataError, match=said):
            by_turns(classifier, inputs, out)
        assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    sound = before[parts.MANIFEST].decode()
    first = json.loads(sound)["parts"]["0"]
    for key, value in (("rows", 999), ("failed", 1), ("number", 1), ("pictures", "x")):
        of_parts = {**json.loads(sound)["parts"], "0": {**first, key: value}}
        (out / parts.MANIFEST).write_text(json.dumps({**json.loads(sound), "parts": of_parts}))
        with pytest.raises(DataError, match=r"manifest\.json: damaged \(part '0'"):
            by_turns(plain, [many], out)
    (out / parts.MANIFEST).write_text("{")
    with pytest.raises(DataError, match="manifest"):
        by_turns(plain, [many], out)
    (out / parts.MANIFEST).unlink()
    with pytest.raises(DataError, match="holds files, and no manifest"):
        by_turns(plain, [many], out)
    assert by_turns(plain, [many], out, restart=True).found == 0
