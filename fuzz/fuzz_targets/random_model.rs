#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| beitle_fuzz::random_model::run(data));
