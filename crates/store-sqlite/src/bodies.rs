//! Bodies of deliveries, compressed.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

/// GitHub's largest body, with room; what claims to be larger is not ours.
const LARGEST: usize = 64 * 1024 * 1024;

/// Compresses quickly: JSON shrinks to a fifth, and less is synced.
pub(crate) fn compress(body: &[u8]) -> std::io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some(compressor) => compressor,
            None => slot.insert(Compressor::new(1)?),
        };
        compressor.compress(body)
    })
}

pub(crate) fn decompress(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let size = Decompressor::upper_bound(body).unwrap_or(LARGEST).min(LARGEST);
    Decompressor::new()?.decompress(body, size)
}
