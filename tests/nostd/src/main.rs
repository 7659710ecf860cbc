//! Links the whole engine without `std` and `alloc`. `.ci/no-std` builds it for the host, `.ci/arm` for bare metal.
#![no_std]
#![no_main]

#[cfg(target_os = "linux")]
mod mem;

use beitle::engine::{Engine, Output};
use beitle::image::{ImageView, PixelFormat};
use beitle::parallel::Serial;
use beitle::plan::Plan;
use beitle::output::ClassMapMut;
use beitle::{Error, Isa, Model};
use core::hint::black_box;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

fn segment(weights: &[u8], arena: &mut [u8], rgb: &[u8], map: &mut [u8]) -> Result<(), Error> {
    let model = Model::new(weights)?;
    model.verify()?;
    let plan = Plan::new(&model, 1, (64, 48))?;
    let mut engine = Engine::new(&model, &plan, Isa::detect(), arena)?;
    let picture = ImageView::packed(rgb, 64, 48, PixelFormat::Rgb8)?;
    engine.run(&Serial, &picture, &mut Output::map((64, 48), ClassMapMut::U8(map)), &mut ())
}

/// The entry point. `black_box` hides the buffers from the compiler, which could otherwise remove parts of the engine.
#[unsafe(no_mangle)]
pub extern "C" fn _start() -> ! {
    let mut arena = [0u8; 64];
    let mut map = [0u8; 64 * 48];
    let rgb = [0u8; 3 * 64 * 48];
    let result = segment(black_box(&[0u8; 64]), black_box(&mut arena), black_box(&rgb), black_box(&mut map));
    black_box(result.is_ok());
    loop {}
}
