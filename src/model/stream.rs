//! The lock of the one stream that all networks on a GPU share.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// Held by whoever has a network on a GPU do something, and alone by whoever records there: a GPU has one stream for all
/// threads, and what others did there meanwhile would be recorded, too. Training takes no part: where it runs on a GPU,
/// no other thread is to make a classifier there.
pub(super) static STREAM: RwLock<()> = RwLock::new(());

/// To be held while a network on a GPU does something.
pub(super) fn using_stream() -> RwLockReadGuard<'static, ()> {
    STREAM.read().unwrap_or_else(PoisonError::into_inner)
}
