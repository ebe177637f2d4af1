//! A phone call: signalling, sound, speech and turn taking.
//!
//! In: what the caller says, and what a brain answers. Out: what is to be said, and when. Never here: the store, the API,
//! or which customer it is: a call reaches the platform through [`host::CallHost`] only.
//!
//! [`call::run_call`] is where a reader begins.

pub mod answering_party;
pub mod audio_line;
pub mod brain;
pub mod call;
pub mod exchange;
pub mod host;
pub mod line;
pub mod signalling;
pub mod sound;
pub mod speech;
pub mod text_line;
pub mod timeline;
pub mod turn;

pub use offhook_media::recording::mend as mend_recording;
