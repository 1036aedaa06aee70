from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hilum.auditing import duplicates as module
from hilum.auditing.duplicates import _Merger, find_clusters, find_duplicates, members_of
from hilum.codec import to_plain
from hilum.labels import LabelTree
from hilum.phantoms.phantom import render_phantom
from hilum.radiographs.dataset import open_dataset
from hilum.records import Record


def film(index):
    return Image.fromarray(render_phantom("normal", seed=9, index=index)[0])


@pytest.fixture
def root(tmp_path):
    """Six phantoms in train, two in val, two classes, and nothing twice."""
    names = ["train/normal/0", "train/normal/1", "train/ill/0", "train/ill/1", "train/ill/2"]
    for i, name in enumerate([*names, "train/ill/3", "val/normal/0", "val/ill/0"]):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        film(i).save(path)
    return tmp_path


def found(root):
    """The names in every group, by kind."""
    dataset = open_dataset(root)
    duplicates = find_duplicates(dataset)
    names = [r.name for r in dataset.records]
    found = [
        (kind, [names[i] for i in group.members], group.pairs)
        for kind in ("exact", "pixels", "near", "mirrored")
        for group in getattr(duplicates, kind)
    ]
    return duplicates, found


def across_splits(duplicates):
    return tuple(g for g in duplicates.groups if g.across_splits)


def conflicting_labels(duplicates):
    return tuple(g for g in duplicates.groups if g.conflicting_labels)


def test_different_images_are_no_duplicates(root):
    duplicates, groups = found(root)

    assert groups == []
    assert duplicates.pairs == 0
    assert duplicates.clusters.tolist() == list(range(8))


def test_equal_files_are_exact_duplicates(root):
    for name in ("5", "6"):
        (root / f"train/normal/{name}.png").write_bytes((root / "train/normal/0.png").read_bytes())

    duplicates, groups = found(root)

    members = ["train/normal/0.png", "train/normal/5.png", "train/normal/6.png"]
    assert groups == [("exact", members, 3)]
    (group,) = duplicates.exact
    assert group.correlation == 1
    assert not group.across_splits
    assert not group.conflicting_labels


def test_the_same_pixels_in_another_format_are_found_apart_from_equal_files(root):
    film(0).save(root / "val/normal/1.bmp")

    duplicates, groups = found(root)

    assert groups == [("pixels", ["train/normal/0.png", "val/normal/1.bmp"], 1)]
    assert across_splits(duplicates) == duplicates.pixels
    assert conflicting_labels(duplicates) == ()


def test_a_copy_of_another_size_is_near_and_a_label_may_conflict(root):
    film(0).resize((260, 260)).save(root / "val/ill/1.jpg")

    duplicates, groups = found(root)

    assert groups == [("near", ["train/normal/0.png", "val/ill/1.jpg"], 1)]
    assert across_splits(duplicates) == conflicting_labels(duplicates) == duplicates.near
    assert 0.96 <= duplicates.near[0].correlation < 1


def test_a_mirrored_copy_is_reported_apart(root):
    film(0).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / "val/normal/1.jpg")

    _, groups = found(root)

    assert groups == [("mirrored", ["train/normal/0.png", "val/normal/1.jpg"], 1)]


def test_equal_small_versions_of_different_pixels_are_near(root):
    one = np.asarray(film(0)).copy()
    one[70, 70] ^= 1  # lost in the small version, where nine pixels become one
    Image.fromarray(one).save(root / "train/normal/2.png")

    _, groups = found(root)

    assert groups == [("near", ["train/normal/0.png", "train/normal/2.png"], 1)]


def test_kinds_build_on_one_another_and_pairs_are_counted_once(root):
    mirror = film(0).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    (root / "train/normal/2.png").write_bytes((root / "train/normal/0.png").read_bytes())
    film(0).save(root / "train/normal/3.bmp")
    film(0).resize((200, 200)).save(root / "train/normal/4.png")
    mirror.save(root / "train/normal/5.png")
    mirror.resize((200, 200)).save(root / "train/normal/6.png")

    dataset = open_dataset(root)
    duplicates = find_duplicates(dataset)

    normal = [f"train/normal/{i}" for i in ("0.png", "2.png", "3.bmp", "4.png", "5.png", "6.png")]
    told = {
        kind: [([i["name"] for i in group["images"]], group["pairs"]) for group in groups]
        for kind, groups in to_plain(duplicates).items()
        if kind != "pairs"
    }
    assert told == {
        "exact": [(normal[:2], 1)],
        "pixels": [(normal[:3], 2)],
        "near": [(normal[:4], 3), (normal[4:], 1)],
        "mirrored": [(normal, 8)],  # each of four with each of two
    }
    assert duplicates.pairs == 15  # of six images
    assert len(set(duplicates.clusters.tolist())) == len(dataset.records) - 5


def test_json_says_where_the_images_stand(root):
    (root / "val/ill/9.png").write_bytes((root / "train/normal/0.png").read_bytes())
    dataset = open_dataset(root)

    told = to_plain(find_duplicates(dataset))

    assert told == {
        "pairs": 1,
        "exact": [
            {
                "images": [
                    {"name": "train/normal/0.png", "split": "train", "label": "normal"},
                    {"name": "val/ill/9.png", "split": "val", "label": "ill"},
                ],
                "pairs": 1,
                "correlation": 1.0,
                "across_splits": True,
                "conflicting_labels": True,
            }
        ],
        "pixels": [],
        "near": [],
        "mirrored": [],
    }


def test_progress_is_told(root):
    calls = []

    find_duplicates(open_dataset(root), progress=lambda *call: calls.append(call))

    assert [call for call in calls if call[1] == call[2]] == calls
    assert [what for what, *_ in calls][-2:] == [
        "Looking for copies",
        "Looking for mirrored copies",
    ]


def test_the_same_files_are_searched_once_in_whatever_order(root, cache, monkeypatch):
    for k, original in enumerate(("train/normal/0.png", "train/ill/2.png")):
        with Image.open(root / original) as image:
            image.resize((200, 200)).save(root / f"train/ill/{5 + k}.png")
    (root / "val/ill/7.png").write_bytes((root / "train/ill/2.png").read_bytes())
    dataset = open_dataset(root)
    backwards = dataset.take(range(len(dataset.records))[::-1])
    expected = [find_duplicates(data).clusters.tolist() for data in (dataset, backwards)]
    for kept in (cache / "copies").iterdir():
        kept.unlink()

    searched = find_clusters(backwards)
    with monkeypatch.context() as patch:
        patch.setattr(module, "near_pairs", None)
        remembered = [find_clusters(data).tolist() for data in (dataset, backwards)]
        with pytest.raises(TypeError):  # other files are looked at
            find_clusters(dataset.take(range(3)))

    assert remembered == expected
    assert searched.tolist() == expected[1]
    assert sorted(map(len, members_of(searched))) == [2, 3]


PAIRS = st.sampled_from(list(combinations(range(12), 2)))  # nothing is drawn in vain
LINKS = st.lists(st.builds(lambda pair, r: (*pair, r), PAIRS, st.floats(0.96, 1)))


@given(LINKS, LINKS)
def test_clusters_are_connected_components_and_every_pair_is_counted_once(first, second):
    tree = LabelTree.from_text("normal, other")
    merger = _Merger([Record(Path(str(i)), str(i), "train", 0) for i in range(12)], tree)

    groups = [*merger.merge(first), *merger.merge(second)]

    links = [*first, *second]
    rows, columns = [i for i, _, _ in links], [j for _, j, _ in links]
    graph = coo_array((np.ones(len(links)), (rows, columns)), shape=(12, 12))
    _, expected = connected_components(graph, directed=False)
    together = expected[:, None] == expected
    clusters = np.array(merger.clusters)
    assert np.array_equal(clusters[:, None] == clusters, together)
    assert clusters.tolist() == [int(row.argmax()) for row in together]  # the lowest position
    assert sum(g.pairs for g in groups) == (together.sum() - 12) // 2
    lowest = min((r for *_, r in links), default=1)
    assert all(g.correlation >= lowest and g.pairs >= 1 for g in groups)


@pytest.mark.shared
def test_the_real_radiographs_hold_24_groups_of_equal_files_and_no_others(shared_data):
    dataset = open_dataset(shared_data / "chest-xray-150")

    duplicates = find_duplicates(dataset)

    assert len(duplicates.exact) == 24
    assert sum(g.pairs for g in duplicates.exact) == duplicates.pairs == 28
    assert duplicates.groups == duplicates.exact
    assert {i.split for g in duplicates.exact for i in g.images} == {"train"}
    assert across_splits(duplicates) == conflicting_labels(duplicates) == ()


@pytest.mark.shared
def test_changed_copies_of_real_radiographs_are_found(shared_data, tmp_path):
    dataset = open_dataset(shared_data / "chest-xray-150")
    rows = dataset.indices("val")
    for row in rows:
        record = dataset.records[row]
        for split in ("train", "val"):
            (tmp_path / split / str(record.label)).mkdir(parents=True, exist_ok=True)
        image = Image.open(record.path).convert("L")
        image.save(tmp_path / "train" / str(record.label) / f"{row}.png")
        copy = image.crop((3, 3, image.width - 3, image.height - 3)).resize((100, 100))
        copy.point(lambda x: x * 0.8).save(
            tmp_path / "val" / str(record.label) / f"{row}.jpg", quality=50
        )

    duplicates = find_duplicates(open_dataset(tmp_path))

    assert len(duplicates.near) == len(duplicates.groups) == len(rows) == 25
    assert all(g.across_splits and not g.conflicting_labels for g in duplicates.near)
