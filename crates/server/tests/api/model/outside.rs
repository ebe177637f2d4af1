//! What happens past the API: a carrier brings receipts and texts, an operator changes a key.

use offhook_carriers::{Inbound, InboundMessage, Receipt, SANDBOX};
use offhook_domain::message::{Failure, ReceiptStatus};
use offhook_domain::{E164, Id, MessageId};
use offhook_server::app::api_keys::{KeyCommand, KeyReport};
use offhook_server::app::{api_keys, receiving};
use offhook_store::{StoreError, Tx};

use super::drive::Stage;
use super::orders::Kind;
use super::steps::{HANDSETS, Named, Pick, Says, Who};
use super::world::{Agrees, Mismatch, disagree};

impl Stage {
    pub async fn receipts(&mut self, who: Who, message: u8, named: Named, says: &[Says]) -> Agrees {
        let account = self.world.of(who);
        let outbound: Vec<_> = (0..account.messages.len()).filter(|nth| account.messages[*nth].outbound).collect();
        let Some(nth) =
            outbound.len().checked_sub(1).map(|last| outbound[last - usize::from(message) % outbound.len()])
        else {
            return Ok(());
        };
        let id = account.messages[nth].id.as_deref().and_then(|id| MessageId::parse(id).ok());
        let known = self.carriers_id(who, id.clone()).await;
        self.receipts += 1;
        let of_nobody = format!("rcp_{:04}", self.receipts);
        let (carrier_id, our_id) = match (named, known) {
            (Named::Carrier, Some(known)) => (known, None),
            (Named::Carrier | Named::Ours, _) => (of_nobody, id),
            (Named::Unknown, _) => (of_nobody, None),
        };
        let receipts = says.iter().map(|says| {
            Inbound::Receipt(Receipt {
                carrier: SANDBOX,
                carrier_message_id: carrier_id.clone(),
                message_id: our_id.clone(),
                status: status(*says),
                failure: says.receipt().error.map(|code| Failure::new(code, "told by a receipt")),
                at: self.app.app.now(),
            })
        });
        let received = receiving::receive(&self.app.app, receipts.collect()).await;
        received.map_err(|error| Mismatch(format!("receipts are not kept: {error}")))?;
        if named != Named::Unknown {
            for says in says {
                let receipt = says.receipt();
                if self.world.of(who).messages[nth].status == "queued" {
                    self.world.of_mut(who).messages[nth].early.push(receipt);
                } else {
                    self.world.hears(who, nth, &receipt);
                }
            }
        }
        Ok(())
    }

    async fn carriers_id(&self, who: Who, id: Option<MessageId>) -> Option<String> {
        let (account, id) = (self.client(who).account.clone(), id?);
        let read = async move |tx: &mut Tx| tx.of(&account).message(&id).await;
        self.app.app.store.read::<_, StoreError>(read).await.ok()??.carrier_message_id
    }

    /// In one go, and once more behind that: it is one text.
    pub async fn brings(&mut self, from: u8, to: Pick, times: u8) -> Agrees {
        let from = HANDSETS[usize::from(from)];
        let to = self.world.named(Who::A, Kind::Digits, to);
        let body = format!("text {}", self.world.next_serial());
        let text = Inbound::Message(InboundMessage {
            carrier: SANDBOX,
            carrier_message_id: format!("inb {body}"),
            from: from.to_owned(),
            to: E164::parse(&to).map_err(|error| Mismatch(error.to_string()))?,
            body: body.clone(),
            media_urls: Vec::new(),
        });
        let is_being_bought =
            Who::BOTH.into_iter().any(|who| self.world.of(who).purchases.iter().any(|one| one.phone == to));
        for count in [usize::from(times), 1] {
            let kept = receiving::receive(&self.app.app, vec![text.clone(); count]).await;
            if kept.is_ok() == (is_being_bought && self.world.holder(&to).is_none()) {
                disagree!("a text for {to} was answered with {kept:?}");
            }
        }
        self.world.received(from, &to, &body, 1, false);
        Ok(())
    }

    pub async fn new_key(&mut self, who: Who) -> Agrees {
        let app = &self.app.app;
        let account = self.client(who).account.clone();
        let create =
            KeyCommand::Create { name: "next".to_owned(), scopes: None, account: Some(account.clone()), sandbox: true };
        let keys =
            match api_keys::run(&app.store, &*app.clock, KeyCommand::List { account: Some(account.clone()) }).await {
                KeyReport::Listed { keys } => keys,
                other => disagree!("keys are not listed: {other:?}"),
            };
        let KeyReport::Created { secret, .. } = api_keys::run(&app.store, &*app.clock, create).await else {
            disagree!("no key is made")
        };
        for key in keys.into_iter().filter(|key| key.revoked_at.is_none()) {
            let revoke = KeyCommand::Revoke { id: key.id, account: Some(account.clone()) };
            let KeyReport::Revoked { .. } = api_keys::run(&app.store, &*app.clock, revoke).await else {
                disagree!("a key is not revoked")
            };
        }
        // As the control socket does.
        app.keys.invalidate_all();
        let good = self.app.with_key(&account, &secret);
        let keys = &mut self.accounts[who as usize];
        keys.revoked = std::mem::replace(&mut keys.good, good);
        Ok(())
    }
}

fn status(says: Says) -> ReceiptStatus {
    match says {
        Says::Sent => ReceiptStatus::Sent,
        Says::Delivered => ReceiptStatus::Delivered,
        Says::Undelivered => ReceiptStatus::Undelivered,
        Says::Failed => ReceiptStatus::Failed,
    }
}
