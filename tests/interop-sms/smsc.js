// A message centre of npm's `smpp`. It prints one JSON object a line: its port, what was submitted, how what it brought was
// answered. On its input: one JSON array of deliver_sm fields a line, to be brought one behind the other.
'use strict';
const smpp = require('smpp');

const say = (what) => console.log(JSON.stringify(what));
const sessions = new Set();
let lastId = 0xfff0;

function words(field) {
  const { message, udh } = field && field.message !== undefined ? field : { message: field };
  const header = udh ? Buffer.concat(udh.map((one) => Buffer.from(one))).toString('hex') : null;
  return { text: Buffer.isBuffer(message) ? message.toString('latin1') : message, udh: header };
}

function submitted(session, pdu) {
  const id = ++lastId;
  const payload = pdu.message_payload ? words(pdu.message_payload) : words(pdu.short_message);
  say({
    submitted: payload.text,
    udh: payload.udh,
    sar: pdu.sar_segment_seqnum === undefined ? null : pdu.sar_segment_seqnum,
    from: pdu.source_addr,
    to: pdu.destination_addr,
  });
  session.send(pdu.response({ message_id: id.toString(16) }));
  if (pdu.registered_delivery & 1) {
    const decimal = String(id).padStart(10, '0');
    session.deliver_sm({
      source_addr: pdu.destination_addr,
      destination_addr: pdu.source_addr,
      esm_class: 4,
      short_message: `id:${decimal} sub:001 dlvrd:001 submit date:2611250101 done date:2611250102 stat:DELIVRD err:000 text:`,
    });
  }
}

const server = smpp.createServer((session) => {
  session.on('bind_transceiver', (pdu) => {
    sessions.add(session);
    session.send(pdu.response({ system_id: 'npm' }));
    say({ bound: pdu.system_id });
  });
  session.on('submit_sm', (pdu) => submitted(session, pdu));
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => {
    session.send(pdu.response());
    session.close();
    say({ unbound: true });
  });
  session.on('close', () => sessions.delete(session));
  session.on('error', () => sessions.delete(session));
});
server.listen(0, '127.0.0.1', () => say({ port: server.address().port }));

require('readline')
  .createInterface({ input: process.stdin })
  .on('line', (line) => {
    const [session] = sessions;
    for (const { udh, text, ...fields } of JSON.parse(line)) {
      const short_message = udh ? { udh: Buffer.from(udh, 'hex'), message: text } : text;
      session.deliver_sm({ ...fields, short_message }, (pdu) => say({ answered: pdu.command_status }));
    }
  })
  .on('close', () => process.exit(0));
