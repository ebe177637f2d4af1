//! libFuzzer over one target, named by `OFFHOOK_FUZZ`. Built and run by `fuzz/run.sh`, which has coverage compiled in.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use offhook_fuzz::{Target, target};

static CHOSEN: OnceLock<&'static Target> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let chosen = CHOSEN.get_or_init(|| {
        let name = std::env::var("OFFHOOK_FUZZ").unwrap_or_default();
        target(&name).unwrap_or_else(|| panic!("OFFHOOK_FUZZ={name} is no target"))
    });
    (chosen.run)(bytes);
});
