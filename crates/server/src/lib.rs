//! The Offhook server: its doors (`http`, `cli`), its operations (`app`) and its workers (`jobs`).

pub mod app;
pub mod http;
