//! offhook-carriers.
