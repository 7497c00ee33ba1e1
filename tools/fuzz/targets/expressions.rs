//! The program that fuzzes the target `expressions`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (beadle_fuzz::EXPRESSIONS.run)(data));
