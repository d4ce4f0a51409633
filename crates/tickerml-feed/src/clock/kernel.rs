//! The kernel's word on its own clock.
#![allow(unsafe_code)]

/// Whether the kernel says that something keeps its clock to the true time; false where it cannot be asked.
#[cfg(target_os = "linux")]
pub(super) fn synced() -> bool {
    // SAFETY: all of the structure is plain numbers, for which zeros are a value. Modes of zero only read, and the kernel
    // writes within the structure that it is given.
    let (state, status) = unsafe {
        let mut time: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut time), time.status)
    };
    state >= 0 && state != libc::TIME_ERROR && status & libc::STA_UNSYNC == 0
}

/// Whether the kernel says that something keeps its clock to the true time; false where it cannot be asked.
#[cfg(not(target_os = "linux"))]
pub(super) fn synced() -> bool {
    false
}
