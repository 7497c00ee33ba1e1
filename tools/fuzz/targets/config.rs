//! The program that fuzzes the target `config`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (beadle_fuzz::CONFIG.run)(data));
