//! The names of carriers, which operators choose. In: a name. Out: the same for as long as the process runs, so that what
//! a carrier brings can bear it without a copy.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// The name for good. What it takes is never given back: for names from the configuration only.
#[must_use]
pub fn intern(name: &str) -> &'static str {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(name) = known.get(name) {
        return name;
    }
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    known.insert(name);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once() {
        let (first, second) = (intern("main"), intern(&String::from("main")));
        assert!(std::ptr::eq(first, second));
        assert_ne!(intern("other"), first);
    }
}
