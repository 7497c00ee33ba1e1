//! The program that fuzzes the target `github_webhook`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (beadle_fuzz::GITHUB_WEBHOOK.run)(data));
