//! Sequences of calls of the C functions, in any order. All arguments lie in one block of memory: by default each in a place of its
//! own, but the input moves them on top of each other, to null or to misaligned addresses, and changes sizes and numbers. No call
//! panics, and none writes anything but its outputs.
//!
//! The one rule that the target keeps is the header's: memory of the stated size exists, and callbacks are functions.

use crate::input::Input;
use crate::memory::Aligned;
use crate::random_model::{Random, random_model};
use beitle_ffi::*;
use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

// Places of the arguments in the memory.
const ENGINES: [usize; 2] = [0, 0x1000];
const PARAMS: usize = 0x2000;
const POOL: usize = 0x2400;
const OUT: usize = 0x2800;
const MESSAGE: usize = 0x3000;
const IMAGE: usize = 0x4000;
const MAP: usize = 0x5000;
const CONFIDENCE: usize = 0x5400;
const LABELS: usize = 0x5500;
const POINTS: usize = 0x5600;
const RANKED: usize = 0x5700;
const LOGITS: usize = 0x6000;
const FILE: usize = 0x8000;
const ARENA: usize = 0xD000;
const END: usize = 0x1C000;
const PLACES: [usize; 12] =
    [ENGINES[0], ENGINES[1], PARAMS, POOL, OUT, MESSAGE, IMAGE, MAP, LOGITS, FILE, ARENA, END - 64];
const ENGINE: usize = size_of::<CEngine>();

/// Pixels of the default image, in each direction.
const SIDE: usize = 8;

thread_local! {
    /// Calls of `progress` before it cancels the run.
    static CALLS: Cell<usize> = const { Cell::new(0) };
    /// The argument of the last step.
    static LAST: Cell<*mut c_void> = const { Cell::new(null_mut()) };
}

unsafe extern "C" fn progress(_: *mut c_void) -> c_int {
    CALLS.set(CALLS.get().saturating_sub(1));
    c_int::from(CALLS.get() == 0)
}

/// Calls `worker` 0 to 3 times, then with the argument of an earlier step and with no argument at all.
unsafe extern "C" fn call_workers(context: *mut c_void, worker: WorkerFn, argument: *mut c_void) {
    let late = LAST.replace(argument);
    for argument in (0..context.addr() % 4).map(|_| argument).chain([late, null_mut()]) {
        // SAFETY: `worker` accepts any argument.
        unsafe { worker(argument) };
    }
}

/// A model of eight classes that runs in little time. Its arena for three workers ends before the memory does.
fn weight_file() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| random_model(&mut Random::new(46), 0))
}

/// The memory and what is in it.
struct Memory {
    bytes: Aligned,
    /// The contents before the current call.
    before: Vec<u8>,
    file: &'static [u8],
    /// What `beitle_plan` last returned.
    planned: usize,
    /// Whether the last plan has several views.
    several: bool,
}

/// A pointer argument: an address and the bytes there.
#[derive(Clone, Copy)]
struct Place {
    /// Offset in the memory; `None` for a null pointer.
    at: Option<usize>,
    bytes: usize,
}

impl Memory {
    fn new() -> Memory {
        let (mut bytes, file) = (Aligned::new(END), weight_file());
        bytes[FILE..FILE + file.len()].copy_from_slice(file);
        ENGINES.iter().for_each(|&at| bytes[at..at + ENGINE].fill(0));
        Memory { before: bytes.to_vec(), bytes, file, planned: 0, several: false }
    }

    fn pointer<T>(&mut self, place: Place) -> *mut T {
        let start = self.bytes.as_mut_ptr();
        place.at.map_or(null_mut(), |at| start.wrapping_add(at).cast())
    }

    /// A place for `bytes` bytes, usually the default one.
    fn place(&mut self, input: &mut Input, default: usize, bytes: usize) -> Place {
        let last = END - bytes;
        let at = match input.u8() {
            0..216 => Some(default),
            216..224 => None,
            // On top of another argument, aligned or not.
            224..248 => Some(input.pick(&PLACES) + input.pick(&[0, 0, 0, 1, 2, 4, 8, 64, 200])),
            _ => Some(input.below(END)),
        };
        Place { at: at.map(|at| at.min(last)), bytes }
    }

    /// As [`place`](Memory::place), with a size that may be wrong. Only null pointers have sizes beyond the memory.
    fn buffer(&mut self, input: &mut Input, default: usize, bytes: usize) -> Place {
        let place = self.place(input, default, bytes);
        let wanted = if input.u8() < 224 { bytes } else { input.wild() };
        let room = place.at.map_or(usize::MAX, |at| END - at);
        Place { bytes: wanted.min(room), ..place }
    }

    /// An engine: an open one, one that never was, or something else that is not one.
    fn engine(&mut self, input: &mut Input) -> Place {
        let at = match input.u8() {
            0..160 => Some(ENGINES[0]),
            160..224 => Some(ENGINES[1]),
            224..232 => None,
            _ => Some(input.pick(&[ENGINES[0] + 4, ENGINES[0] + 1, PARAMS, FILE])),
        };
        Place { at, bytes: ENGINE }
    }

    /// Calls a function that may write to `outputs`, and to `engine` if it is an output. Nothing else may change.
    fn call(&mut self, engine: Place, outputs: &[Place], call: impl FnOnce() -> Status) -> Status {
        self.before.copy_from_slice(&self.bytes);
        let status = call();
        assert!(status != Status::InternalError, "a panic");
        let allowed =
            |i: usize| outputs.iter().any(|p| p.at.is_some_and(|at| (at..at + p.bytes).contains(&i)));
        let wrong = (0..END).step_by(64).filter(|&i| self.bytes[i..i + 64] != self.before[i..i + 64]);
        let wrong = wrong.flat_map(|i| i..i + 64).find(|&i| self.bytes[i] != self.before[i] && !allowed(i));
        assert!(wrong.is_none(), "{status:?}, but byte {wrong:x?} was written");
        self.repair(engine, outputs);
        status
    }

    /// Undoes what a correct caller would not have done: calls that do not know of an engine or of the file may have written
    /// there. Such an engine is no longer open.
    fn repair(&mut self, engine: Place, outputs: &[Place]) {
        let file = FILE..FILE + self.file.len();
        let is_file_damaged = self.bytes[file.clone()] != *self.file;
        self.bytes[file].copy_from_slice(self.file);
        for at in ENGINES {
            let range = at..at + ENGINE;
            let own = engine.at == Some(at) && outputs.iter().any(|p| p.at == Some(at) && p.bytes == ENGINE);
            let is_changed = self.bytes[range.clone()] != self.before[range.clone()];
            if is_file_damaged || is_changed && !own {
                self.bytes[range].fill(0);
            }
        }
        // Nothing keeps track of an engine that was opened elsewhere.
        if engine.at == Some(PARAMS) {
            self.bytes[PARAMS..PARAMS + 8].fill(0);
        }
    }

    fn open(&mut self, input: &mut Input) {
        let engine = self.engine(input);
        let file = self.buffer(input, FILE, self.file.len());
        let message = self.buffer(input, MESSAGE, 200);
        let (e, f, m) = (self.pointer(engine), self.pointer::<c_void>(file), self.pointer(message));
        // SAFETY (all calls): the memory exists, and nothing else uses it during the call.
        self.call(engine, &[engine, message], || unsafe { beitle_open(e, f, file.bytes, m, message.bytes) });
    }

    fn plan(&mut self, input: &mut Input) {
        let engine = self.engine(input);
        let numbers = [1 + usize::from(input.u8() % 3), SIDE, SIDE];
        let [workers, width, height] = numbers.map(|n| if input.u8() < 224 { n } else { input.wild() });
        let (out, message) = (self.place(input, OUT, 8), self.buffer(input, MESSAGE, 200));
        let (e, o, m) = (self.pointer(engine), self.pointer::<usize>(out), self.pointer(message));
        let status = self.call(engine, &[engine, out, message], || unsafe {
            beitle_plan(e, workers, width, height, o, m, message.bytes)
        });
        if status == Status::Ok {
            // SAFETY: the function has written it, and reported misalignment.
            self.planned = unsafe { o.read() };
        }
    }

    fn plan_views(&mut self, input: &mut Input) {
        let engine = self.engine(input);
        let mut number = |usual: usize| if input.u8() < 240 { usual } else { input.wild() };
        let plan = CPlanParams {
            size: number(size_of::<CPlanParams>()),
            workers: number(1),
            width: number(SIDE),
            height: number(SIDE),
            mode: number(1) as u32 % 8,
            flip: number(0) as u32 % 4,
            scales: null_mut(),
            scale_count: number(0),
            overlap_bytes: number(0),
        };
        let scales = self.place(input, OUT + 64, 16);
        let plan = CPlanParams { scales: self.pointer(scales), ..plan };
        let (out, count) = (self.place(input, OUT, 8), self.place(input, OUT + 8, 8));
        let (params, message) = (self.place(input, PARAMS, 128), self.buffer(input, MESSAGE, 200));
        let (e, p, m) = (self.pointer(engine), self.pointer(params), self.pointer(message));
        let (o, c) = (self.pointer::<usize>(out), self.pointer::<usize>(count));
        // SAFETY: the memory has room for the parameters and for two ratios at their places.
        unsafe {
            self.bytes.as_mut_ptr().add(PARAMS).cast::<CPlanParams>().write(plan);
            self.bytes.as_mut_ptr().add(OUT + 64).cast::<[f64; 2]>().write([1.0, 1.5]);
        }
        // What the parameters name must exist.
        let room = scales.at.map_or(usize::MAX, |at| (END - at) / 8);
        if plan.scale_count > room {
            return;
        }
        let status = self.call(engine, &[engine, out, count, message], || unsafe {
            beitle_plan_views(e, p, o, c, m, message.bytes)
        });
        if status == Status::Ok {
            // SAFETY: the function has written it, and reported misalignment.
            self.planned = unsafe { o.read() };
            self.several = plan.flip == 1 || plan.scale_count > 1;
        }
    }

    fn look(&mut self, input: &mut Input, function: u8) {
        let engine = self.engine(input);
        let class = if input.u8() < 224 { 3 } else { input.wild() };
        let (info, text) = (self.place(input, OUT, size_of::<CInfo>()), self.buffer(input, MESSAGE, 200));
        let message = self.buffer(input, OUT, 200);
        let m: *mut c_char = self.pointer(message);
        let rgb = Place { bytes: 3, ..text };
        let (e, i, t) = (self.pointer::<CEngine>(engine), self.pointer(info), self.pointer(text));
        match function {
            0 => self.call(engine, &[text], || unsafe { beitle_verify(e, t, text.bytes) }),
            1 => {
                if class == 3
                    && let Some(at) = info.at
                    && at + size_of::<usize>() <= END
                {
                    // SAFETY: the memory has room for a number there.
                    unsafe {
                        self.bytes.as_mut_ptr().add(at).cast::<usize>().write_unaligned(size_of::<CInfo>())
                    };
                }
                self.call(engine, &[info, text], || unsafe { beitle_model_info(e, i, t, text.bytes) })
            }
            2 => self.call(engine, &[text, message], || unsafe {
                beitle_class_name(e, class, t, text.bytes, m, message.bytes)
            }),
            4 => self.call(engine, &[text, message], || unsafe {
                beitle_model_name(e, t, text.bytes, m, message.bytes)
            }),
            _ if rgb.at.is_some_and(|at| at + rgb.bytes > END) => return,
            _ => self.call(engine, &[rgb, message], || unsafe {
                beitle_class_colour(e, class, t.cast(), m, message.bytes)
            }),
        };
    }

    /// How the image is stored and seen; often as it is.
    fn frame(&mut self, input: &mut Input) -> CFrame {
        if input.u8() < 128 {
            return CFrame::default();
        }
        let planes = [0, 0].map(|_| {
            let plane = self.buffer(input, IMAGE, SIDE * SIDE * 2);
            let at = if input.u8() < 128 { None } else { plane.at };
            CPlane { data: self.pointer::<u8>(Place { at, ..plane }), bytes: plane.bytes, stride: 0 }
        });
        let mut number = |usual: usize| if input.u8() < 240 { usual } else { input.wild() };
        let crop = [0, 0, number(0), number(0)];
        let (rotation, mirror) = (number(1) as u32, number(1) as u32);
        let (matrix, range) = (number(1) as u32, number(0) as u32);
        CFrame {
            planes,
            crop,
            rotation,
            mirror,
            matrix,
            range,
            gray16: [number(100) as u16, number(900) as u16],
        }
    }

    /// Evaluates whatever lies in the place of the class map, as a small map.
    fn evaluate(&mut self, input: &mut Input) {
        let data = self.buffer(input, MAP, SIDE * SIDE);
        let mut number = |usual: usize| if input.u8() < 232 { usual } else { input.wild() };
        let (width, height, pixel_bytes) = (number(SIDE), number(SIDE), number(1) as u32);
        let (least, class, x, y) = (number(1), number(1), number(0), number(0));
        let structure = CClassMap { data: self.pointer(data), bytes: data.bytes, width, height, pixel_bytes };
        let connectivity = input.pick(&[4, 8, 8, 5]);
        // Elsewhere the structure would name memory that does not exist.
        let at = input.pick(&[Some(PARAMS), Some(PARAMS), Some(PARAMS), Some(PARAMS + 4), None]);
        let map = Place { at, bytes: size_of::<CClassMap>() };
        let scratch = self.buffer(input, LOGITS, 8 * 18 * SIDE);
        let (out, found) = (self.buffer(input, ARENA, 56 * 20), self.place(input, OUT, 8));
        let message = self.buffer(input, MESSAGE, 200);
        // SAFETY: the memory has room for the structure at its place.
        unsafe { self.bytes.as_mut_ptr().add(PARAMS).cast::<CClassMap>().write(structure) };
        let (p, o) = (self.pointer::<CClassMap>(map), self.pointer::<c_void>(out));
        let f = self.pointer::<usize>(found);
        let (s, m, n) = (self.pointer(scratch), self.pointer::<c_char>(message), message.bytes);
        let room = |place: Place, size| if place.at.is_some() { place.bytes / size } else { place.bytes };
        let engine = Place { at: None, bytes: 0 };
        let written = [scratch, out, found, message];
        // SAFETY (all calls): the memory exists, and nothing else uses it during the call.
        self.call(engine, &written, || unsafe {
            match input.u8() % 4 {
                0 => beitle_areas(p, o.cast(), room(out, 40), f.cast(), m, n),
                1 => {
                    let (scratch, regions) = (room(scratch, 8), room(out, 56));
                    beitle_regions(
                        p,
                        connectivity,
                        least as u64,
                        class as u32,
                        s,
                        scratch,
                        o.cast(),
                        regions,
                        f,
                        m,
                        n,
                    )
                }
                2 => beitle_contour(p, connectivity, x as u32, y as u32, o.cast(), room(out, 8), f, m, n),
                _ => beitle_rle(p, class as u32, o.cast(), room(out, 4), f, m, n),
            }
        });
    }

    fn run(&mut self, input: &mut Input) {
        let engine = self.engine(input);
        let pixel_bytes = if input.u8() < 240 { 1 + u32::from(input.u8() & 1) } else { input.u32() };
        let arena = self.buffer(input, ARENA, self.planned.min(END - ARENA));
        let map = self.buffer(input, MAP, SIDE * SIDE * pixel_bytes.min(2) as usize);
        let logits = self.buffer(input, LOGITS, FILE - LOGITS);
        let logits = if input.u8() & 1 == 0 { Place { at: None, ..logits } } else { logits };
        let options_of_outputs = input.u8();
        let scores = match self.several {
            true => self.buffer(input, LOGITS, 2 * SIDE * SIDE * 8),
            false => Place { at: None, bytes: 0 },
        };
        let features = match options_of_outputs & 15 {
            0 => self.buffer(input, LOGITS, 64),
            _ => Place { at: None, bytes: 0 },
        };
        let mut optional = |wanted, default, bytes| match wanted {
            true => self.buffer(input, default, bytes),
            false => Place { at: None, bytes: 0 },
        };
        let confidence = optional(options_of_outputs & 16 != 0, CONFIDENCE, SIDE * SIDE);
        let labels = optional(options_of_outputs & 32 != 0, LABELS, 2 * 8);
        let points = optional(options_of_outputs & 64 != 0, POINTS, 16 * 2);
        let ranked = optional(options_of_outputs & 64 != 0, RANKED, 8 * 4);
        let min_confidence = if options_of_outputs & 128 != 0 { input.below(300) } else { 0 };
        let (image, message) = (self.buffer(input, IMAGE, SIDE * SIDE * 4), self.buffer(input, MESSAGE, 200));
        let mut number = |usual: usize| if input.u8() < 240 { usual } else { input.wild() };
        let (width, height, map_width, map_height) = (number(SIDE), number(SIDE), number(0), number(0));
        let (size, stride, workers) = (number(size_of::<CRunParams>()), number(0), number(1));
        let format = number(0) as u32;
        let format = if input.u8() < 128 { format } else { u32::from(input.u8() % 14) };
        let options = input.u8();
        let pool = CThreadPool {
            workers,
            run: (options & 3 != 3).then_some(call_workers as _),
            context: std::ptr::without_provenance_mut(usize::from(options >> 2)),
        };
        CALLS.set(if input.u8() < 192 { usize::MAX } else { 1 + usize::from(input.u8()) });
        let pool_at = input.pick(&[None, None, Some(POOL), Some(POOL), Some(POOL), Some(POOL + 4)]);
        let params_at = input.pick(&[Some(PARAMS); 15]).filter(|_| input.u8() < 250);
        let params_at =
            if input.u8() < 250 { params_at } else { Some(input.pick(&[PARAMS + 4, ENGINES[0], FILE])) };
        let frame = self.frame(input);
        let params = CRunParams {
            size,
            arena: self.pointer(arena),
            arena_bytes: arena.bytes,
            image: CImage {
                data: self.pointer::<u8>(image),
                bytes: image.bytes,
                width,
                height,
                stride,
                format,
            },
            map: CClassMap {
                data: self.pointer(map),
                bytes: map.bytes,
                width: map_width,
                height: map_height,
                pixel_bytes,
            },
            logits: self.pointer(logits),
            logits_count: if logits.at.is_some() { logits.bytes / 4 } else { logits.bytes },
            thread_pool: self.pointer::<CThreadPool>(Place { at: pool_at, bytes: 0 }),
            progress: (options & 64 != 0).then_some(progress as _),
            progress_context: null_mut(),
            scores: self.pointer(scores),
            scores_count: if scores.at.is_some() { scores.bytes / 2 } else { scores.bytes },
            window_done: None,
            features: self.pointer(features),
            features_count: features.bytes / 4,
            tokens: null_mut(),
            tokens_count: 0,
            frame,
            confidence: self.pointer(confidence),
            confidence_count: confidence.bytes,
            min_confidence,
            labels: self.pointer(labels),
            labels_count: if labels.at.is_some() { labels.bytes / 2 } else { labels.bytes },
            points: self.pointer(points),
            points_count: if points.at.is_some() { points.bytes / 16 } else { points.bytes },
            ranked: self.pointer(ranked),
            ranked_count: if ranked.at.is_some() { ranked.bytes / 8 } else { ranked.bytes },
            isa: match input.below(16) {
                14 => c"portable".as_ptr(),
                15 => c"none".as_ptr(),
                _ => null(),
            },
        };
        let e = self.pointer::<CEngine>(engine);
        let p = self.pointer::<CRunParams>(Place { at: params_at, bytes: 0 });
        let m = self.pointer::<c_char>(message);
        let start = self.bytes.as_mut_ptr();
        // SAFETY: the memory has room for both at their places.
        unsafe {
            start.add(PARAMS).cast::<CRunParams>().write(params);
            start.add(POOL).cast::<CThreadPool>().write(pool);
        }
        self.call(engine, &[arena, map, logits, scores, confidence, ranked, message], || unsafe {
            beitle_run(e, p, m, message.bytes)
        });
    }
}

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let mut memory = Memory::new();
    LAST.set(null_mut());
    if input.u8() < 224 {
        memory.open(&mut Input(&[]));
        memory.plan(&mut Input(&[]));
    }
    let mut runs = 0;
    for _ in 0..16 {
        match input.u8() % 16 {
            _ if input.is_empty() => break,
            0 => memory.open(&mut input),
            1 => memory.plan(&mut input),
            2 => memory.plan_views(&mut input),
            function @ 3..=6 => memory.look(&mut input, function - 3),
            9 => memory.look(&mut input, 4),
            8 => memory.evaluate(&mut input),
            // A copy of an engine is an engine.
            7 => memory.bytes.copy_within(ENGINES[0]..ENGINES[0] + ENGINE, ENGINES[1]),
            // Runs take most of the time.
            _ if runs == 3 => break,
            _ => {
                runs += 1;
                memory.run(&mut input);
            }
        }
    }
}
