//! offhook-testkit.
