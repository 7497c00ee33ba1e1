//! The program that fuzzes the target `records`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (beadle_fuzz::RECORDS.run)(data));
