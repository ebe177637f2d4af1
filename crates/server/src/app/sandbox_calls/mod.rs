//! The sandbox's telephone network for calls: nobody has a voice, everybody types.
//!
//! In: a number that one of ours calls. Out: the line to who answers there: an agent of this platform, a handset that does
//! what its number says, or a person who says a few things. What a handset of somebody's own does is in [`handsets`].

pub mod handsets;
mod joining;
mod scripted;

use offhook_domain::{E164, pii};
use offhook_store::call_flow::OpenCall;
use offhook_store::{StoreError, Tx};
use offhook_voice::exchange::Exchange;
use offhook_voice::host::Arrival;
use offhook_voice::line::Line;
use offhook_voice::text_line::text_line;

use super::App;

/// Characters in a second: as fast as people speak. Agents that talk to each other must not do so at a computer's pace.
const NATURAL: u32 = 15;
/// Of handsets that read along.
const QUICK: u32 = 200;

/// A line to who is called.
pub async fn dial(app: &App, exchange: &Exchange, call: &OpenCall) -> Box<dyn Line> {
    let (from, to) = (call.from.clone(), call.to.clone());
    let holder = match E164::parse(&to) {
        Ok(number) => {
            app.store.read::<_, StoreError>(async move |tx: &mut Tx| tx.holder_of(&number).await).await.ok().flatten()
        }
        Err(_) => None,
    };
    if holder.is_some() {
        let ((ours, caller), (theirs, callee)) = (text_line(Some(NATURAL)), text_line(Some(NATURAL)));
        app.turns.spawn(joining::join(caller, callee));
        exchange.take(
            Arrival { from: pii::phone(from), to: call.to.clone(), trunks: Vec::new(), over: "sandbox" },
            Box::new(theirs),
        );
        return Box::new(ours);
    }
    let (line, peer) = text_line(Some(QUICK));
    app.turns.spawn(scripted::answer(scripted::manner_of(&call.to), peer));
    Box::new(line)
}
