//! The program that fuzzes the target `scim_lists`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (beadle_fuzz::SCIM_LISTS.run)(data));
