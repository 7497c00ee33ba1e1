//! The program that fuzzes the target `policy`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (beadle_fuzz::POLICY.run)(data));
