"""Weights that were trained elsewhere, and the published ones."""

import pytest
import torch

from hilum.classifier.classifier import Classifier
from hilum.classifier.importing import import_checkpoints
from hilum.errors import ClassifierError
from hilum.evaluation.evaluate import evaluate
from hilum.labels import LabelTree
from hilum.networks.registry import create_network
from hilum.radiographs.dataset import open_dataset

TREE = LabelTree.from_text("normal, infected(covid, non-covid)")
SIZE = (32, 32)


def network(outputs=2):
    return create_network("covinet", outputs=outputs, image_size=SIZE)


@pytest.fixture
def files(tmp_path):
    """A bare state dict for root, and one with company, from DataParallel, for infected."""
    torch.save(network().state_dict(), tmp_path / "root.pt")
    state = {f"module.{key}": value for key, value in network().state_dict().items()}
    torch.save({"model_state_dict": state, "epochs": 10}, tmp_path / "infected.pt")
    return {"root": tmp_path / "root.pt", "infected": tmp_path / "infected.pt"}


def test_bare_and_wrapped_state_dicts(tmp_path, files):
    classifier = import_checkpoints("covinet", TREE, files, image_size=SIZE)
    expected = torch.load(files["root"], weights_only=True)
    loaded = classifier.networks["root"].state_dict()
    assert all(torch.equal(loaded[key], expected[key]) for key in expected)
    assert classifier.provenance["imported"]["infected"]["epochs"] == 10
    classifier.save(tmp_path / "c")
    assert Classifier.load(tmp_path / "c", device="cpu").strategy == "cascade"


def test_one_network_makes_a_flat_classifier(tmp_path):
    torch.save(network(3).state_dict(), tmp_path / "all.pt")
    classifier = import_checkpoints("covinet", TREE, {"flat": tmp_path / "all.pt"}, image_size=SIZE)
    assert classifier.strategy == "flat"


class Evil:
    def __reduce__(self):
        return (print, ("this must never be printed",))


def test_a_file_that_needs_unpickling_is_refused(tmp_path, files, capfd):
    torch.save({"model_state_dict": Evil()}, files["root"])
    with pytest.raises(ClassifierError, match="refused: reading it would run code"):
        import_checkpoints("covinet", TREE, files, image_size=SIZE)
    assert "never be printed" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not a checkpoint", "not a PyTorch checkpoint|refused"),
        (b"", "not a PyTorch checkpoint"),
        (b"\x80\x02.", "not a PyTorch checkpoint"),  # an empty stack: IndexError
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(files, content, said):
    files["root"].write_bytes(content)
    with pytest.raises(ClassifierError, match=said):
        import_checkpoints("covinet", TREE, files, image_size=SIZE)


@pytest.mark.parametrize("content", [{"a": 1}, {}, [1, 2], {"model_state_dict": 3}])
def test_a_checkpoint_without_weights_is_refused(files, content):
    torch.save(content, files["root"])
    with pytest.raises(ClassifierError, match="holds no state dict"):
        import_checkpoints("covinet", TREE, files, image_size=SIZE)


def test_what_does_not_fit_is_refused(tmp_path, files):
    for wrong, said in (
        ({"root": files["root"]}, "No checkpoint was given for the decision.* infected"),
        ({**files, "infectd": files["root"]}, "no decision 'infectd'. Did you mean 'infected'"),
        ({**files, "root": tmp_path / "none.pt"}, "there is no such file"),
    ):
        with pytest.raises(ClassifierError, match=said):
            import_checkpoints("covinet", TREE, wrong, image_size=SIZE)
    with pytest.raises(ClassifierError, match="do not fit the network 'naive'"):
        import_checkpoints("naive", TREE, files, image_size=SIZE)
    with pytest.raises(ClassifierError, match="do not fit .* at 48 x 48"):
        import_checkpoints("covinet", TREE, files, image_size=(48, 48))


@pytest.mark.shared
def test_published_weights_give_the_published_confusion_matrix(shared_data, tmp_path):
    weights = shared_data / "published-weights"
    classifier = import_checkpoints(
        "covinet", TREE, {"root": weights / "root.pt", "infected": weights / "infected.pt"}
    )
    classifier.save(tmp_path / "published")
    dataset = open_dataset(
        shared_data / "chest-xray-150", tree=TREE, exclude=["val/infected/covid/8.jpg"]
    )
    result = evaluate(
        Classifier.load(tmp_path / "published", device="cpu"), dataset, "val", rule="route"
    )
    assert result.n == 24
    assert [list(row) for row in result.confusion_matrix] == [[7, 1, 0], [0, 8, 0], [0, 4, 4]]
    assert {k: d.errors_caused for k, d in result.decisions.items()} == {"root": 1, "infected": 4}
    # what these labels mean must be said wherever a figure on them is
    assert any("children" in note for note in result.notes)
