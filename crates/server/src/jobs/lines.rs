//! Work in lines.
