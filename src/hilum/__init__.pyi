from hilum.api import Run as Run
from hilum.api import audit as audit
from hilum.api import calibrate as calibrate
from hilum.api import export as export
from hilum.api import predict_folder as predict_folder
from hilum.api import split as split
from hilum.api import watch as watch
from hilum.classifier.classifier import Classifier as Classifier
from hilum.evaluation.assess import assess as assess
from hilum.evaluation.compare import compare as compare
from hilum.evaluation.evaluate import evaluate as evaluate
from hilum.explanation.explain import explain as explain
from hilum.judging.judge import judge as judge
from hilum.labels import LabelTree as LabelTree
from hilum.radiographs.dataset import open_dataset as open_dataset
from hilum.radiographs.image import read_radiograph as read_radiograph
from hilum.recipe import Recipe as Recipe
from hilum.reporting.report import write_report as write_report
from hilum.serving.app import create_app as create_app
from hilum.training.run import train as train

__version__: str
__all__: list[str]
