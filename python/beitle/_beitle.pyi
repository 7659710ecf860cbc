import os
from typing import Callable, Iterable, List, Literal, Mapping, Optional, Protocol, Sequence, Tuple, TypeVar, Union, final, overload

import numpy as np
from numpy.typing import NDArray

from beitle._types import Prediction, Report

class _ArrayInterface(Protocol):
    @property
    def __array_interface__(self) -> dict[str, object]: ...

class _Array(Protocol):
    def __array__(self) -> NDArray[np.uint8]: ...

_Path = Union[str, os.PathLike[str]]
_Image = Union[NDArray[np.uint8], _ArrayInterface, _Array, _Path]
_Mode = Literal["default", "whole", "slide", "native"]
_Scales = Union[Literal["published"], Sequence[float], None]
_Labels = Union[Mapping[Union[str, int], int], Mapping[str, int], Mapping[int, int], Iterable[int], NDArray[np.integer], None]
_Map = Union[NDArray[np.uint8], NDArray[np.uint16]]
_Out = TypeVar("_Out", NDArray[np.uint8], NDArray[np.uint16])

__all__ = ["Model", "__version__", "convert"]

__version__: str

@final
class Model:
    def __new__(
        cls, path: _Path, *, threads: Optional[int] = None, mmap: bool = True, isa: Optional[str] = None, max_memory: int = 1073741824
    ) -> Model: ...
    @property
    def path(self) -> os.PathLike[str]: ...
    @property
    def task(self) -> Literal["segmentation", "classification", "features"]: ...
    @property
    def classes(self) -> Tuple[str, ...]: ...
    @property
    def palette(self) -> NDArray[np.uint8]: ...
    @property
    def input_size(self) -> Tuple[int, int]: ...
    @property
    def input_channels(self) -> int: ...
    @property
    def patch_size(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def mode(self) -> Literal["whole", "slide"]: ...
    @property
    def precision(self) -> Literal["f32", "f16", "int8", "int4"]: ...
    @property
    def recipe(self) -> Literal["hf", "paper"]: ...
    @property
    def source(self) -> str: ...
    @property
    def source_sha256(self) -> str: ...
    @property
    def converter(self) -> str: ...
    @property
    def report(self) -> str: ...
    @property
    def threads(self) -> Optional[int]: ...
    @property
    def isa(self) -> str: ...
    def __getnewargs_ex__(self) -> Tuple[Tuple[os.PathLike[str]], dict[str, object]]: ...
    def verify(self) -> None: ...
    @overload
    def segment(
        self,
        image: _Image,
        *,
        mode: _Mode = "default",
        flip: bool = False,
        scales: _Scales = None,
        size: Optional[Tuple[int, int]] = None,
        confidence: Literal[False] = False,
        min_confidence: Optional[float] = None,
        labels: _Labels = None,
        bgr: bool = False,
        out: None = None,
    ) -> _Map: ...
    @overload
    def segment(
        self,
        image: _Image,
        *,
        mode: _Mode = "default",
        flip: bool = False,
        scales: _Scales = None,
        size: Optional[Tuple[int, int]] = None,
        confidence: Literal[False] = False,
        min_confidence: Optional[float] = None,
        labels: _Labels = None,
        bgr: bool = False,
        out: _Out,
    ) -> _Out: ...
    @overload
    def segment(
        self,
        image: _Image,
        *,
        mode: _Mode = "default",
        flip: bool = False,
        scales: _Scales = None,
        size: Optional[Tuple[int, int]] = None,
        confidence: Literal[True],
        min_confidence: Optional[float] = None,
        labels: _Labels = None,
        bgr: bool = False,
        out: None = None,
    ) -> Tuple[_Map, NDArray[np.uint8]]: ...
    @overload
    def segment(
        self,
        image: _Image,
        *,
        mode: _Mode = "default",
        flip: bool = False,
        scales: _Scales = None,
        size: Optional[Tuple[int, int]] = None,
        confidence: Literal[True],
        min_confidence: Optional[float] = None,
        labels: _Labels = None,
        bgr: bool = False,
        out: _Out,
    ) -> Tuple[_Out, NDArray[np.uint8]]: ...
    def logits(self, image: _Image, *, bgr: bool = False) -> NDArray[np.float32]: ...
    def classify(self, image: _Image, *, top: int = 5, bgr: bool = False) -> List[Prediction]: ...
    def features(self, image: _Image, *, bgr: bool = False) -> NDArray[np.float32]: ...
    def tokens(self, image: _Image, *, bgr: bool = False) -> NDArray[np.float32]: ...

def convert(
    source: _Path,
    out: _Path,
    *,
    precision: Literal["int8", "auto", "int4", "f16", "f32"] = "int8",
    calibration: Optional[_Path] = None,
    rounding: Literal["compensated", "nearest"] = "compensated",
    conv: Optional[Literal["winograd4", "winograd2", "direct"]] = None,
    agreement: Optional[float] = None,
    sqnr_floor: Optional[float] = None,
    recipe: Optional[Literal["hf", "paper"]] = None,
    size: Optional[Tuple[int, int]] = None,
    names: Optional[_Path] = None,
    key: Optional[str] = None,
    heads: Optional[int] = None,
    feature_blocks: Optional[Sequence[int]] = None,
    progress: Optional[Callable[[str, int, int], object]] = None,
) -> Report: ...
