"""BEiT for edge devices: segmentation, classification and features of pictures on CPUs.

>>> import beitle
>>> model = beitle.Model("models/demo.beitle")
>>> class_map = model.segment("models/sample.png")  # uint8 [height, width]
>>> picture = model.palette[class_map]              # uint8 [height, width, 3]

`Model` opens a weight file and runs it, `convert` makes one from a checkpoint.
"""

from beitle._beitle import Model, __version__, convert
from beitle._types import Error, ModelError, PictureError, Prediction, Report, TaskError

__all__ = [
    "Error",
    "Model",
    "ModelError",
    "PictureError",
    "Prediction",
    "Report",
    "TaskError",
    "__version__",
    "convert",
]
