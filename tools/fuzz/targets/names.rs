//! The program that fuzzes the target `names`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (beadle_fuzz::NAMES.run)(data));
