//! offhook-domain.
