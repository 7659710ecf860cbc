//! The class `Model`: a weight file, and what is computed with it.

use crate::errors::{self, TaskError, value};
use crate::image::Image;
use crate::predict;
use crate::request::{self, Map, zeros};
use crate::session::{Job, Sessions};
use beitle::engine::Output;
use beitle::file::format::Task;
use beitle::memory::FileBytes;
use beitle::views::{Mode, Views};
use beitle::{Facts, Isa};
use numpy::{PyArray1, PyArray2, PyArrayDyn, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::path::PathBuf;

/// A BEiT model, opened from a weight file.
///
/// path: a `.beitle` file, made by `beitle.convert` or by the program `beitle-quantize`.
/// threads: number of threads of a run; None: one for each fast processor that the calling thread may use (`os.sched_setaffinity`).
///     Processors with less than half the speed of the fastest are slow. Results do not depend on it.
/// mmap: map the file into memory instead of reading it. The operating system then loads what is used, and shares it between
///     processes. Nothing may change a mapped file while the model exists (to replace it by renaming another file is fine on
///     Unix).
/// max_memory: most bytes of working memory of a run, the scores of several views included. Files from strangers may ask for any
///     amount.
/// isa: instruction set, such as "avx2"; None: the fastest that the processor has. Results do not depend on it.
///
/// Raises OSError if the file cannot be read, and beitle.ModelError if it is not a weight file or is damaged.
///
/// Images are NumPy arrays of dtype uint8 and shape (height, width, 3) for red, green and blue, (height, width, 4), whose fourth
/// value is ignored, or (height, width) for grey; images of Pillow, converted to RGB as it does; or paths of JPEG, PNG, BMP, WebP
/// or PNM files. Models for 1, 2 or 4 channels take arrays of as many. An array is not copied if the bytes of each row are
/// contiguous, whatever the distance of its rows; it must not change while it is read.
///
/// All methods may be called from several threads at the same time, without Python's lock while they compute. Each of these calls
/// has working memory and threads of its own: for many at the same time, choose few threads. A model works in a process that was
/// forked, and can be pickled, by its path.
#[pyclass(frozen, module = "beitle", name = "Model")]
pub struct Model {
    path: PathBuf,
    mmap: bool,
    threads: Option<usize>,
    max_memory: usize,
    isa_name: Option<String>,
    file: FileBytes,
    facts: Facts,
    classes: Py<PyTuple>,
    sessions: Sessions,
}

#[pymethods]
impl Model {
    #[new]
    #[pyo3(signature = (path, *, threads = None, mmap = true, isa = None, max_memory = 1_073_741_824))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        threads: Option<i64>,
        mmap: bool,
        isa: Option<String>,
        max_memory: i64,
    ) -> PyResult<Self> {
        let threads = match threads {
            None => None,
            Some(n @ 1..=1024) => Some(n as usize),
            Some(n) => {
                return Err(value(
                    "threads",
                    format_args!("expected a number from 1 to 1024 or None, got {n}"),
                ));
            }
        };
        let chosen = match &isa {
            None => Isa::detect(),
            Some(name) => Isa::by_name(name).ok_or_else(|| {
                let names: Vec<_> = Isa::available().map(Isa::name).collect();
                value("isa", format_args!("expected one of {}, got {name:?}", names.join(", ")))
            })?,
        };
        let Ok(max_memory) = usize::try_from(max_memory) else {
            return Err(value("max_memory", format_args!("expected a number of bytes, got {max_memory}")));
        };
        let open = || match mmap {
            // SAFETY: the documentation of the class requires that nothing changes a mapped file.
            true => unsafe { FileBytes::map(&path) },
            false => FileBytes::read(&path),
        };
        let file = py.detach(open).map_err(|e| errors::os(&path, &e))?;
        let model = beitle::Model::new(file.bytes()).map_err(|e| errors::model(&path, e))?;
        let facts = *model.facts();
        let mut names: Vec<String> = model.class_names().map(str::to_owned).collect();
        names.extend((names.len()..facts.classes).map(|class| format!("class {class}")));
        let classes = PyTuple::new(py, names)?.unbind();
        let sessions = Sessions::new(threads.unwrap_or(0), chosen, max_memory);
        Ok(Model { path, mmap, threads, max_memory, isa_name: isa, file, facts, classes, sessions })
    }

    /// The path of the weight file.
    #[getter]
    fn path(&self) -> &PathBuf {
        &self.path
    }

    /// What the model computes: "segmentation", "classification" or "features".
    #[getter]
    fn task(&self) -> &'static str {
        self.facts.task.name()
    }

    /// The names of the classes, in the order of their numbers. Empty if the model has no classes.
    #[getter]
    fn classes(&self, py: Python<'_>) -> Py<PyTuple> {
        self.classes.clone_ref(py)
    }

    /// The colours of the classes, uint8 [classes, 3]: `model.palette[class_map]` is a picture. Black if the model does not
    /// segment pictures.
    #[getter]
    fn palette<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<u8>>> {
        let model = self.model()?;
        let colours: Vec<u8> = (0..self.facts.classes).flat_map(|class| model.colour(class)).collect();
        PyArray1::from_vec(py, colours).reshape([self.facts.classes, 3])
    }

    /// Height and width of the network's input, to which pictures or windows are resized.
    #[getter]
    fn input_size(&self) -> (usize, usize) {
        (self.facts.height, self.facts.width)
    }

    /// Channels of the pictures that the model takes: 3 for red, green and blue, or 1, 2 or 4.
    #[getter]
    fn input_channels(&self) -> usize {
        self.facts.picture_channels
    }

    /// Side of a patch in pixels.
    #[getter]
    fn patch_size(&self) -> usize {
        self.facts.patch
    }

    /// Width of the tokens, and of the features of a picture.
    #[getter]
    fn hidden_size(&self) -> usize {
        self.facts.channels
    }

    /// How pictures are segmented by default: "whole" or "slide".
    #[getter]
    fn mode(&self) -> &'static str {
        if Views::of(&self.facts).mode() == Mode::Slide { "slide" } else { "whole" }
    }

    /// The precision that was asked of the converter: "f32", "f16", "int8" or "int4".
    #[getter]
    fn precision(&self) -> &'static str {
        self.facts.precision.name()
    }

    /// Which implementation the model follows: "hf" or "paper".
    #[getter]
    fn recipe(&self) -> &'static str {
        self.facts.recipe.name()
    }

    /// The name of the checkpoint.
    #[getter]
    fn source(&self) -> PyResult<String> {
        Ok(self.model()?.source().to_owned())
    }

    /// The SHA-256 of the checkpoint, in hexadecimal digits.
    #[getter]
    fn source_sha256(&self) -> String {
        self.facts.source_sha256.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Name and version of the converter.
    #[getter]
    fn converter(&self) -> PyResult<String> {
        Ok(self.model()?.tool().to_owned())
    }

    /// The converter's report, as text in JSON.
    #[getter]
    fn report(&self) -> PyResult<String> {
        Ok(self.model()?.report().to_owned())
    }

    /// The number of threads of a run; None: one for each fast processor.
    #[getter]
    fn threads(&self) -> Option<usize> {
        self.threads
    }

    /// The instruction set that runs use.
    #[getter]
    fn isa(&self) -> &'static str {
        self.sessions.isa().name()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let path = self.path.clone().into_pyobject(py)?.str()?.repr()?;
        let (height, width) = self.input_size();
        let classes = self.facts.classes;
        Ok(format!(
            "Model({path}, task='{}', classes={classes}, input_size=({height}, {width}), precision='{}')",
            self.task(),
            self.precision()
        ))
    }

    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        let options = PyDict::new(py);
        options.set_item("threads", self.threads)?;
        options.set_item("mmap", self.mmap)?;
        options.set_item("isa", &self.isa_name)?;
        options.set_item("max_memory", self.max_memory)?;
        Ok((PyTuple::new(py, [&self.path])?, options))
    }

    /// Read the whole weight file and check the contents of every tensor.
    ///
    /// Raises beitle.ModelError if the file is damaged.
    fn verify(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.model()?.verify().map_err(|e| errors::model(&self.path, e)))
    }

    /// The class of every pixel: an array [height, width] of the size of the image.
    ///
    /// mode: "whole" stretches the image to the network's input; "slide" resizes it, keeping its aspect ratio, and slides a
    ///     window over it; "native" slides a window over it at its own resolution; "default" is as the weight file says.
    /// flip: average with the mirrored image; twice the time.
    /// scales: average over several scales, for mode "slide": ratios of the window's size, or "published" for the six of the
    ///     published results.
    /// size: (height, width) of the result; None: those of the image.
    /// confidence: also return the probability of each pixel's class in units of 1/255, uint8 [height, width].
    /// min_confidence: pixels whose class has a lower probability get the value 255, in maps of 16 bits 65535.
    /// labels: what the map holds instead of the numbers of the classes: an integer for each class, or a mapping of names or
    ///     numbers of classes to integers, with 0 for all others: `{"road": 1}` gives a mask. 65535 is the value of unknown
    ///     pixels.
    /// bgr: arrays have blue first, as those of OpenCV.
    /// out: the array to write and return: C-contiguous, [height, width], uint8 or uint16. It may not overlap the image or
    ///     an array that another call uses, and after an exception its contents are undefined.
    ///
    /// Returns a new array, or `out`, which the engine has written without a copy; with `confidence`, a pair of arrays. The dtype
    /// is uint8 if all values fit, else uint16.
    #[allow(clippy::too_many_arguments)] // keyword arguments of Python
    #[pyo3(signature = (image, *, mode = "default", flip = false, scales = None, size = None, confidence = false,
        min_confidence = None, labels = None, bgr = false, out = None))]
    fn segment<'py>(
        &self,
        py: Python<'py>,
        image: &Bound<'py, PyAny>,
        mode: &str,
        flip: bool,
        scales: Option<&Bound<'py, PyAny>>,
        size: Option<&Bound<'py, PyAny>>,
        confidence: bool,
        min_confidence: Option<f64>,
        labels: Option<&Bound<'py, PyAny>>,
        bgr: bool,
        out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.expect(&[Task::Segmentation], "segment")?;
        let views = request::views(&self.facts, mode, flip, scales)?;
        let size = size.map(request::size).transpose()?;
        let min_confidence = request::min_confidence(min_confidence)?;
        let labels = match labels {
            Some(labels) => request::labels(&self.model()?, labels)?,
            None => Vec::new(),
        };
        let image = Image::new(image, self.facts.picture_channels, bgr)?;
        let size = size.unwrap_or(image.size());
        let classes = self.facts.classes;
        let wide = request::needs_u16(classes, &labels, min_confidence);
        let (mut map, array, _registered) = match out {
            Some(out) => {
                let (map, registered) = Map::of_caller(out, size, &image)?;
                (map, out.clone(), Some(registered))
            }
            None => {
                let (map, array) = Map::new(py, size, wide)?;
                (map, array, None)
            }
        };
        if wide && matches!(map, Map::U8(_)) {
            return Err(value("out", "the values of this map need dtype uint16, got uint8"));
        }
        let confidences = confidence.then(|| Map::new(py, size, false)).transpose()?;
        let (mut confidences, confidence_array) = confidences.unzip();
        let len = views.scores_len(size, classes).ok_or_else(|| errors::memory(usize::MAX))?;
        self.sessions.check_memory(len.saturating_mul(size_of::<u16>()))?;
        let mut scores = request::memory::<u16>(len)?;
        let mut output = Output::map(size, map.view()?);
        output.labels = &labels;
        output.min_confidence = min_confidence;
        output.scores = views.are_several().then_some(&mut scores);
        if let Some(Map::U8(confidences)) = &mut confidences {
            output.confidence = Some(confidences.as_slice_mut()?);
        }
        self.run(py, &image, views, &mut output)?;
        match confidence_array {
            Some(confidences) => Ok((array, confidences).into_pyobject(py)?.into_any()),
            None => Ok(array),
        }
    }

    /// The logits of an image: of a segmentation model float32 [classes, 4 * rows of patches, 4 * columns of patches], for the
    /// image stretched to the network's input; of a classifier float32 [classes].
    #[pyo3(signature = (image, *, bgr = false))]
    fn logits<'py>(
        &self,
        py: Python<'py>,
        image: &Bound<'py, PyAny>,
        bgr: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.expect(&[Task::Segmentation, Task::Classification], "logits")?;
        let (width, height) = self.facts.level(0);
        let shape = match self.facts.task {
            Task::Segmentation => vec![self.facts.classes, height, width],
            _ => vec![self.facts.classes],
        };
        self.floats(py, image, bgr, shape, |logits| Output::logits(logits))
    }

    /// The most probable classes of an image, at most `top`: a list of `beitle.Prediction`, the most probable first.
    #[pyo3(signature = (image, *, top = 5, bgr = false))]
    fn classify<'py>(
        &self,
        py: Python<'py>,
        image: &Bound<'py, PyAny>,
        top: i64,
        bgr: bool,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.expect(&[Task::Classification], "classify")?;
        let Some(top) = usize::try_from(top).ok().filter(|top| *top > 0) else {
            return Err(value("top", format_args!("expected a number from 1, got {top}")));
        };
        let mut logits = request::memory::<f32>(self.facts.classes)?;
        let image = Image::new(image, self.facts.picture_channels, bgr)?;
        self.run(py, &image, Views::new(Mode::Whole), &mut Output::logits(&mut logits))?;
        self.check_finite(&logits)?;
        predict::largest(&logits, top, self.classes.bind(py))
    }

    /// The features of an image, float32 [hidden_size]: transformers' `pooler_output`. For classifiers and models without head.
    #[pyo3(signature = (image, *, bgr = false))]
    fn features<'py>(
        &self,
        py: Python<'py>,
        image: &Bound<'py, PyAny>,
        bgr: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.expect(&[Task::Classification, Task::Features], "features")?;
        self.floats(py, image, bgr, vec![self.facts.channels], |features| Output::features(features))
    }

    /// The tokens of an image after the last block, float32 [tokens, hidden_size], the class token first, then the patches row by
    /// row: transformers' `last_hidden_state`. For classifiers and models without head.
    #[pyo3(signature = (image, *, bgr = false))]
    fn tokens<'py>(
        &self,
        py: Python<'py>,
        image: &Bound<'py, PyAny>,
        bgr: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.expect(&[Task::Classification, Task::Features], "tokens")?;
        let shape = vec![self.facts.tokens(), self.facts.channels];
        self.floats(py, image, bgr, shape, |tokens| Output { tokens: Some(tokens), ..Output::default() })
    }
}

impl Model {
    fn model(&self) -> PyResult<beitle::Model<'_>> {
        beitle::Model::new(self.file.bytes()).map_err(|e| errors::model(&self.path, e))
    }

    /// Checks that the model is for one of these tasks, which a method needs.
    fn expect(&self, tasks: &[Task], method: &str) -> PyResult<()> {
        if tasks.contains(&self.facts.task) {
            return Ok(());
        }
        let needed = tasks.iter().map(|task| task.name()).collect::<Vec<_>>().join(" or ");
        let (path, task) = (self.path.display(), self.task());
        Err(TaskError::new_err(format!(
            "{path}: {method} needs a model for {needed}; this one is for {task}"
        )))
    }

    fn run(&self, py: Python<'_>, image: &Image<'_>, views: Views, output: &mut Output<'_>) -> PyResult<()> {
        let scores_bytes = output.scores.as_ref().map_or(0, |scores| size_of_val(&**scores));
        let job = Job { file: &self.file, image: image.view()?, views, scores_bytes };
        self.sessions.run(py, &job, output)
    }

    /// A new array that a run fills.
    fn floats<'py>(
        &self,
        py: Python<'py>,
        image: &Bound<'py, PyAny>,
        bgr: bool,
        shape: Vec<usize>,
        output: impl Fn(&mut [f32]) -> Output<'_>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let image = Image::new(image, self.facts.picture_channels, bgr)?;
        let array = zeros::<f32>(py, PyTuple::new(py, shape)?)?;
        let mut values = array.cast::<PyArrayDyn<f32>>()?.try_readwrite()?;
        let values = values.as_slice_mut()?;
        self.run(py, &image, Views::new(Mode::Whole), &mut output(values))?;
        if self.facts.task != Task::Segmentation {
            self.check_finite(values)?;
        }
        Ok(array)
    }

    fn check_finite(&self, values: &[f32]) -> PyResult<()> {
        if values.iter().all(|x| x.is_finite()) {
            return Ok(());
        }
        let what = "the results are not finite; the model's weights overflow on this picture";
        Err(errors::Error::new_err(format!("{}: {what}", self.path.display())))
    }
}
