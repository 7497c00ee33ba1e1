//! The program that fuzzes the target `github_repository`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (beadle_fuzz::GITHUB_REPOSITORY.run)(data));
