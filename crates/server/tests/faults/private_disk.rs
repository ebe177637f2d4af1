//! A small file system that one server has to itself, so that it can be filled without harm to anybody.
//!
//! A process of ours holds a mount namespace with a tmpfs in it; the server is started inside. An ordinary user can
//! do that as well as root, by a user namespace. Where the machine allows neither, the test fails and says so.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::database::Database;

/// What the holder says when the disk is there.
const READY: &str = "mounted";

pub struct PrivateDisk {
    /// Ends with its standard input, however this test ends.
    holder: Child,
    is_root: bool,
    /// The data folder, as the server sees it.
    folder: PathBuf,
}

impl PrivateDisk {
    /// A disk under the data folder of `database`.
    pub fn under(database: &Database, megabytes: u32) -> Self {
        let folder = database.data_dir("offhook");
        std::fs::create_dir_all(&folder).unwrap();
        let is_root = whoami() == "0";
        let mut unshare = Command::new("unshare");
        unshare.arg("--mount");
        if !is_root {
            unshare.arg("--map-root-user");
        }
        let script = r#"mount -t tmpfs -o "size=$1m" tmpfs "$0" && echo "$2" && exec cat >/dev/null"#;
        unshare.args(["sh", "-c", script]).arg(&folder).args([&megabytes.to_string(), READY]);
        let mut holder = unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare (util-linux)");
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(
            said.trim(),
            READY,
            "this machine lets this user make no file system of their own: run the tests as root, or allow user \
             namespaces (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0)"
        );
        Self { holder, is_root, folder }
    }

    /// The words that take a command onto this disk.
    pub fn enter(&self) -> Vec<String> {
        let mut words = vec!["nsenter", "--mount"];
        if !self.is_root {
            words.extend(["--user", "--preserve-credentials"]);
        }
        let target = self.holder.id().to_string();
        words.extend(["--target", &target, "--"]);
        words.into_iter().map(str::to_owned).collect()
    }

    /// Takes all the space there is left.
    pub fn fill(&self) {
        let mut filler = File::options().create(true).append(true).open(self.filler()).unwrap();
        for size in [1 << 20, 4096, 1] {
            let block = vec![b'x'; size];
            while filler.write(&block).is_ok_and(|written| written > 0) {}
        }
    }

    pub fn make_room(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    /// Brings the files, which a stopped server left, to where the test sees the same folder.
    pub fn copy_out(&self) {
        for entry in std::fs::read_dir(self.seen_from_outside()).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() && entry.path() != self.filler() {
                std::fs::copy(entry.path(), self.folder.join(entry.file_name())).unwrap();
            }
        }
    }

    fn filler(&self) -> PathBuf {
        self.seen_from_outside().join("filler")
    }

    fn seen_from_outside(&self) -> PathBuf {
        let inside = self.folder.strip_prefix("/").expect("a temporary folder has a whole path");
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(inside)
    }
}

impl Drop for PrivateDisk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        drop(self.holder.wait());
    }
}

fn whoami() -> String {
    let output = Command::new("id").arg("-u").output().expect("id (coreutils)");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
