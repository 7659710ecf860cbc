"""Results and exceptions, which the native module makes."""

from typing import List, NamedTuple


class Error(Exception):
    """Base of the exceptions of this package, and what the engine refuses for any other reason.

    Wrong arguments are ValueError or TypeError, files that cannot be read or written are OSError, and too little memory is MemoryError.
    """


class ModelError(Error, ValueError):
    """A weight file or a checkpoint is damaged, or none that this version reads."""


class PictureError(Error, ValueError):
    """A picture file is damaged, too large, or in a format that is not read."""


class TaskError(Error, ValueError):
    """The model is for another task, and does not have the results that were asked for."""


class Prediction(NamedTuple):
    """A class of a picture."""

    id: int
    """The number of the class."""
    name: str
    """Its name."""
    probability: float
    """Its probability, the softmax of the logits."""


class Report(NamedTuple):
    """What a conversion did."""

    file_bytes: int
    """Length of the weight file in bytes."""
    notes: List[str]
    """Remarks for the user."""
    ignored: List[str]
    """Names of the checkpoint's tensors that the model does not need."""
    text: str
    """A table of the groups of tensors: sizes and quantisation noise."""


# As users see and pickle them.
for _class in (Error, ModelError, PictureError, TaskError, Prediction, Report):
    _class.__module__ = "beitle"
