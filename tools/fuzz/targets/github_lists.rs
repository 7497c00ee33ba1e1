//! The program that fuzzes the target `github_lists`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (beadle_fuzz::GITHUB_LISTS.run)(data));
