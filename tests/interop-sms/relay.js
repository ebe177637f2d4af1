// A message centre of npm's `smpp` between two ESMEs: what one submits is brought to the other, as it stands there, and the
// receipt comes back once the other has it. It prints one JSON object a line: its port, and who is bound.
'use strict';
const smpp = require('smpp');

const say = (what) => console.log(JSON.stringify(what));
const sessions = new Map();
let lastId = 0;

function relay(from, session, pdu) {
  const id = String(++lastId).padStart(10, '0');
  session.send(pdu.response({ message_id: id }));
  const [, other] = [...sessions].find(([name]) => name !== from);
  const { source_addr, source_addr_ton, source_addr_npi, destination_addr, dest_addr_ton, dest_addr_npi } = pdu;
  const { esm_class, data_coding } = pdu;
  const { message, udh } = pdu.short_message;
  // It is read as a list of elements, and written as octets with their length.
  const elements = Buffer.concat(udh || []);
  const short_message = udh ? { udh: Buffer.concat([Buffer.from([elements.length]), elements]), message } : message;
  const addresses = { source_addr, source_addr_ton, source_addr_npi, destination_addr, dest_addr_ton, dest_addr_npi };
  other.deliver_sm({ ...addresses, esm_class: esm_class & 0x40, data_coding, short_message }, (answer) => {
    if (!(pdu.registered_delivery & 1)) return;
    const stat = answer.command_status === 0 ? 'DELIVRD' : 'UNDELIV';
    session.deliver_sm({
      source_addr: destination_addr,
      destination_addr: source_addr,
      esm_class: 4,
      short_message: `id:${id} sub:001 dlvrd:001 submit date:2611250101 done date:2611250102 stat:${stat} err:000 text:`,
    });
  });
}

const server = smpp.createServer((session) => {
  let name;
  session.on('bind_transceiver', (pdu) => {
    name = pdu.system_id;
    sessions.set(name, session);
    session.send(pdu.response({ system_id: 'npm' }));
    say({ bound: name });
  });
  session.on('submit_sm', (pdu) => relay(name, session, pdu));
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => {
    session.send(pdu.response());
    session.close();
  });
  session.on('error', () => {});
});
server.listen(0, '127.0.0.1', () => say({ port: server.address().port }));
process.stdin.on('end', () => process.exit(0)).resume();
