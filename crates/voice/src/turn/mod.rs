//! Who speaks when. In: what is heard, what the brain answers, how far the speaking is, and the time. Out: actions.
//!
//! Nothing here waits, or has a clock, or knows audio but for [`speech`]: so that a whole conversation is tested in no time,
//! with recorded audio or with text. Times are since the call was answered.
//!
//! - [`speech`] finds where in the sound somebody speaks,
//! - [`endpointing`] decides when somebody has finished,
//! - [`barge_in`] decides when somebody interrupts,
//! - [`sentences`] cuts what a brain streams into what is spoken in one breath,
//! - [`heard`] knows what of it was heard,
//! - [`taking`] is the machine that joins them.

pub mod barge_in;
pub mod endpointing;
pub mod heard;
pub mod sentences;
pub mod speech;
pub mod taking;
