//! One connection of an ESME.

use std::collections::HashMap;
use std::sync::Arc;

use offhook_smpp::{Body, FrameReader, Message, Mode, Pdu, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt, WriteHalf};
use tokio::sync::mpsc;

use super::{Due, Open, Receipts, Reply, Shared, Stream, Taken, receipt};

/// What goes to the peer.
#[derive(Debug)]
pub enum Put {
    Octets(Vec<u8>),
    /// The connection ends behind what was put before.
    Cut,
}

pub async fn serve(id: u64, stream: Box<dyn Stream>, shared: Arc<Shared>) {
    let (mut reading, writing) = tokio::io::split(stream);
    let (out, putting) = mpsc::unbounded_channel();
    let mut connection = Connection { id, shared: shared.clone(), out, held: Vec::new() };
    let (mut reader, mut bytes) = (FrameReader::default(), Vec::new());
    let writer = write(writing, putting);
    tokio::pin!(writer);
    'open: loop {
        tokio::select! {
            read = reading.read_buf(&mut bytes) => match read {
                Ok(0) | Err(_) => break,
                Ok(_) => {
                    reader.push(&bytes);
                    bytes.clear();
                    loop {
                        let Ok(next) = reader.next_frame() else { break 'open };
                        let Some(frame) = next else { break };
                        let Ok(pdu) = frame.read() else { break 'open };
                        if !connection.take(pdu) {
                            // What was answered before goes out still.
                            drop(connection.out.send(Put::Cut));
                            (&mut writer).await;
                            break 'open;
                        }
                    }
                }
            },
            () = &mut writer => break,
        }
    }
    let mut world = shared.locked();
    if let Some(open) = world.connections.remove(&id) {
        let mut unanswered: Vec<(u32, Due)> = open.under_way.into_iter().collect();
        unanswered.sort_by_key(|(sequence, _)| std::cmp::Reverse(*sequence));
        for (_, due) in unanswered {
            world.due.push_front(due);
        }
    }
    drop(world);
    shared.pump();
}

async fn write(mut writing: WriteHalf<Box<dyn Stream>>, mut putting: mpsc::UnboundedReceiver<Put>) {
    while let Some(Put::Octets(octets)) = putting.recv().await {
        if writing.write_all(&octets).await.is_err() || writing.flush().await.is_err() {
            break;
        }
    }
    drop(writing.shutdown().await);
}

struct Connection {
    id: u64,
    shared: Arc<Shared>,
    out: mpsc::UnboundedSender<Put>,
    held: Vec<Pdu>,
}

impl Connection {
    /// Takes one PDU; false where the connection is to be cut.
    fn take(&mut self, pdu: Pdu) -> bool {
        if self.shared.locked().pass() {
            return false;
        }
        let answers = self.answers(pdu);
        if self.shared.locked().pass() {
            return false;
        }
        for answer in answers {
            self.put(&answer);
        }
        self.shared.pump();
        !self.shared.locked().pass()
    }

    fn put(&self, pdu: &Pdu) {
        let mut octets = Vec::new();
        pdu.write(&mut octets);
        drop(self.out.send(Put::Octets(octets)));
    }

    fn answers(&mut self, pdu: Pdu) -> Vec<Pdu> {
        let sequence = pdu.sequence;
        let answer = |body| vec![Pdu::response(sequence, Status::ROK, body)];
        match pdu.body {
            Body::Bind(bind) => self.bind(sequence, bind.mode),
            Body::SubmitSm(message) => self.submit(sequence, *message),
            Body::DeliverSmResp { .. } | Body::DataSmResp { .. } => {
                self.answered(sequence, pdu.status);
                Vec::new()
            }
            Body::EnquireLink => {
                self.shared.locked().enquiries += 1;
                self.shared.tell();
                answer(Body::EnquireLinkResp)
            }
            Body::Unbind => answer(Body::UnbindResp),
            Body::GenericNack => {
                self.shared.locked().answers_malformed += 1;
                self.shared.tell();
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn bind(&mut self, sequence: u32, mode: Mode) -> Vec<Pdu> {
        let mut world = self.shared.locked();
        let status = world.manners.bind;
        if status.is_ok() {
            world.binds += 1;
            let open = Open { mode, out: self.out.clone(), under_way: HashMap::new(), next_sequence: 0 };
            world.connections.insert(self.id, open);
        }
        drop(world);
        self.shared.tell();
        vec![Pdu::response(sequence, status, Body::BindResp { mode, system_id: "testkit".to_owned() })]
    }

    fn submit(&mut self, sequence: u32, message: Message) -> Vec<Pdu> {
        let mut world = self.shared.locked();
        let reply = world.judge.as_mut().map_or(Reply::Accept, |judge| judge(&message));
        if let Reply::Refuse(status) = reply {
            world.refused += 1;
            return vec![Pdu::response(sequence, status, Body::SubmitSmResp { message_id: String::new() })];
        }
        let id = world.next_id;
        world.next_id += 1;
        world.count += 1;
        if !world.forgetful {
            world.taken.push(Taken { id, message: message.clone() });
        }
        let manners = world.manners;
        let first = manners.receipts == Receipts::First && message.registered_delivery & 1 != 0;
        if first {
            let text = receipt(&message, &(manners.ids.1)(id), (manners.fate)(&message), manners.style);
            world.give(text);
        }
        drop(world);
        if first {
            self.shared.pump();
        }
        let body = Body::SubmitSmResp { message_id: (manners.ids.0)(id) };
        let answer = Pdu::response(sequence, Status::ROK, body);
        self.give_receipt(id, &message);
        self.shared.tell();
        match reply {
            Reply::Accept | Reply::Refuse(_) => {
                let mut answers = vec![answer];
                answers.extend(self.held.drain(..).rev());
                answers
            }
            Reply::Hold => {
                self.held.push(answer);
                Vec::new()
            }
            Reply::Late(wait) => {
                let out = self.out.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    let mut octets = Vec::new();
                    answer.write(&mut octets);
                    drop(out.send(Put::Octets(octets)));
                });
                Vec::new()
            }
            Reply::Silence => Vec::new(),
        }
    }

    /// Puts the receipt into the queue; what is put there while a submission is taken goes out behind its answer.
    fn give_receipt(&self, id: u64, message: &Message) {
        let manners = self.shared.locked().manners;
        if message.registered_delivery & 1 == 0 {
            return;
        }
        let text = receipt(message, &(manners.ids.1)(id), (manners.fate)(message), manners.style);
        match manners.receipts {
            Receipts::Never | Receipts::First => {}
            Receipts::AtOnce => {
                self.shared.locked().give(text);
            }
            Receipts::Later(wait) => {
                let shared = self.shared.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    shared.locked().give(text);
                    shared.pump();
                });
            }
        }
    }

    fn answered(&self, sequence: u32, status: Status) {
        let mut world = self.shared.locked();
        let Some(open) = world.connections.get_mut(&self.id) else { return };
        let Some(due) = open.under_way.remove(&sequence) else { return };
        if status == Status::RX_T_APPN {
            world.due.push_back(due);
        } else if !world.forgetful {
            world.answered.insert(due.number, status);
        }
        drop(world);
        self.shared.tell();
    }
}
