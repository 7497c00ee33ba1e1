//! The program that fuzzes the target `okta_hook`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (beadle_fuzz::OKTA_HOOK.run)(data));
