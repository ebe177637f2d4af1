//! Kannel as two processes, bound to a message centre: what ours is held against.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::load::Target;
use crate::postgres::scratch;

/// Bearerbox and smsbox; they end when this is dropped.
pub struct Kannel {
    boxes: Vec<Child>,
    pub target: Target,
    _folder: TempDir,
}

/// What becomes of its queues when it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// They are gone.
    None,
    /// A file for each message, which nobody syncs.
    Spool,
}

impl Kannel {
    /// `None` where it is not installed.
    pub fn start(smsc: u16, window: u32, store: Store) -> Option<Self> {
        Path::new("/usr/sbin/bearerbox").exists().then_some(())?;
        let folder = tempfile::Builder::new().prefix("offhook-bench-kannel").tempdir_in(scratch()).unwrap();
        let home = folder.path();
        let ([admin, smsbox, sendsms], spool) = ([(); 3].map(|()| free_port()), home.join("spool"));
        std::fs::create_dir(&spool).unwrap();
        let kept = match store {
            Store::None => String::new(),
            Store::Spool => format!("store-type = spool\nstore-location = \"{}\"\n", spool.display()),
        };
        let configuration = home.join("kannel.conf");
        let text = format!(
            "group = core\nadmin-port = {admin}\nadmin-interface = 127.0.0.1\nadmin-password = none\n\
             smsbox-port = {smsbox}\nsmsbox-interface = 127.0.0.1\nbox-allow-ip = 127.0.0.1\ndlr-storage = internal\n\
             log-level = 3\n{kept}\n\
             group = smsc\nsmsc = smpp\nsmsc-id = main\nhost = 127.0.0.1\nport = {smsc}\ntransceiver-mode = true\n\
             smsc-username = kannel\nsmsc-password = secret\nsystem-type = \"\"\nreconnect-delay = 1\n\
             max-pending-submits = {window}\n\n\
             group = smsbox\nbearerbox-host = 127.0.0.1\nsendsms-port = {sendsms}\nsendsms-interface = 127.0.0.1\n\
             log-level = 3\nmax-pending-requests = 4096\n\n\
             group = sendsms-user\nusername = us\npassword = secret\n\n\
             group = sms-service\nkeyword = default\ntext = none\nmax-messages = 0\n"
        );
        std::fs::write(&configuration, text).unwrap();
        let mut boxes = Vec::new();
        for (program, port) in [("bearerbox", smsbox), ("smsbox", sendsms)] {
            let log = std::fs::File::create(home.join(program)).unwrap();
            let mut command = Command::new(format!("/usr/sbin/{program}"));
            command.arg("-v").arg("3").arg(&configuration).current_dir(home).stdin(Stdio::null());
            boxes.push(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
            listens(port);
        }
        let target = Target { address: format!("127.0.0.1:{sendsms}"), key: "none" };
        Some(Self { boxes, target, _folder: folder })
    }
}

impl Drop for Kannel {
    fn drop(&mut self) {
        for one in self.boxes.iter_mut().rev() {
            drop(one.kill());
            drop(one.wait());
        }
    }
}

fn listens(port: u16) {
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "Kannel does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
