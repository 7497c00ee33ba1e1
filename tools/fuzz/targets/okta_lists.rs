//! The program that fuzzes the target `okta_lists`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (beadle_fuzz::OKTA_LISTS.run)(data));
