#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| beitle_fuzz::checkpoint::run(data));
