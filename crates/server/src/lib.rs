//! The Offhook server.
