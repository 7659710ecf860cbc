#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| beitle_fuzz::c_api::run(data));
