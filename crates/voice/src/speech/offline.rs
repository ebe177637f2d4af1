//! Programs on this machine, for demonstrations and tests: flite and espeak-ng speak, pocketsphinx understands what a grammar
//! allows. Text goes in as an argument or through standard input, never through a shell.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio_util::task::TaskTracker;

use super::utterances::{HEARD_RATE, Utterances};
use super::{Listening, Speaker, Speaking, SpeechError, Transcriber, Wishes, wav};

/// A program that takes longer is stuck.
const LONGEST: Duration = Duration::from_secs(30);
/// Words a minute that espeak-ng says at speed 1.
const USUAL_PACE: f64 = 175.0;

/// Speaks with flite.
pub struct Flite {
    pub program: PathBuf,
}

/// Speaks with espeak-ng.
pub struct Espeak {
    pub program: PathBuf,
}

#[async_trait]
impl Speaker for Flite {
    fn name(&self) -> &str {
        "flite"
    }

    async fn speak(&self, text: &str, wishes: &Wishes) -> Result<Speaking, SpeechError> {
        let folder = tempdir(&self.program)?;
        let file = folder.path().join("said.wav");
        let mut command = Command::new(&self.program);
        command.arg("-voice").arg(named(wishes, "flite-").unwrap_or("slt"));
        command.arg("--setf").arg(format!("duration_stretch={:.3}", 1.0 / wishes.speed.clamp(0.5, 2.0)));
        command.arg("-t").arg(text).arg("-o").arg(&file);
        run(&self.program, command, None).await?;
        let bytes = tokio::fs::read(&file).await.map_err(|error| failed(&self.program, error))?;
        spoken(&self.program, &bytes)
    }
}

#[async_trait]
impl Speaker for Espeak {
    fn name(&self) -> &str {
        "espeak-ng"
    }

    async fn speak(&self, text: &str, wishes: &Wishes) -> Result<Speaking, SpeechError> {
        let mut command = Command::new(&self.program);
        let voice = named(wishes, "espeak-").unwrap_or(&wishes.language);
        command.arg("--stdout").arg("--stdin").arg("-v").arg(voice.to_ascii_lowercase());
        command.arg("-s").arg(format!("{:.0}", USUAL_PACE * wishes.speed.clamp(0.5, 2.0)));
        let bytes = run(&self.program, command, Some(text)).await?;
        spoken(&self.program, &bytes)
    }
}

/// The voice that is wished for, as the program has it: in the platform's list the program stands before it. Another
/// provider's is none: a program that is asked for it says nothing, or falls over.
fn named<'a>(wishes: &'a Wishes, program: &str) -> Option<&'a str> {
    wishes.voice.as_deref()?.strip_prefix(program).filter(|voice| is_plain(voice))
}

/// A name of a voice, and no option or path.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('-') && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_+".contains(c))
}

fn spoken(program: &std::path::Path, bytes: &[u8]) -> Result<Speaking, SpeechError> {
    let garbled = || SpeechError::Garbled(program.display().to_string());
    let (rate, whole) = wav::read(bytes).ok_or_else(garbled)?;
    Ok(Speaking::whole(rate, whole))
}

/// Understands with pocketsphinx.
pub struct PocketSphinx {
    pub program: PathBuf,
    /// A JSGF grammar: what there is to be understood.
    pub grammar: Option<PathBuf>,
    pub tasks: TaskTracker,
}

#[async_trait]
impl Transcriber for PocketSphinx {
    fn name(&self) -> &str {
        "pocketsphinx"
    }

    async fn listen(&self, _: &Wishes, _: u32) -> Result<Box<dyn Listening>, SpeechError> {
        let (program, grammar) = (self.program.clone(), self.grammar.clone());
        let transcribe = move |samples: Vec<i16>| {
            let (program, grammar) = (program.clone(), grammar.clone());
            async move { understand(program, grammar, samples).await }
        };
        Ok(Box::new(Utterances::new(self.tasks.clone(), transcribe)))
    }
}

async fn understand(
    program: PathBuf,
    grammar: Option<PathBuf>,
    samples: Vec<i16>,
) -> Result<(String, f64), SpeechError> {
    let folder = tempdir(&program)?;
    let file = folder.path().join("heard.wav");
    tokio::fs::write(&file, wav::write(HEARD_RATE, &samples)).await.map_err(|error| failed(&program, error))?;
    let mut command = Command::new(&program);
    command.arg("-infile").arg(&file).arg("-logfn").arg("/dev/null");
    if let Some(grammar) = grammar {
        command.arg("-jsgf").arg(grammar);
    }
    let told = run(&program, command, None).await?;
    let words = String::from_utf8_lossy(&told);
    Ok((words.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" "), 1.0))
}

/// Runs a program; what it wrote. It ends with whoever waits for it.
async fn run(program: &std::path::Path, mut command: Command, input: Option<&str>) -> Result<Vec<u8>, SpeechError> {
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| failed(program, error))?;
    let mut stdin = child.stdin.take();
    let writing = async {
        if let (Some(stdin), Some(text)) = (&mut stdin, input) {
            // A program that does not read to the end says so by how it ends.
            let _ = stdin.write_all(text.as_bytes()).await;
        }
        drop(stdin);
    };
    let both = async { tokio::join!(writing, child.wait_with_output()).1 };
    let output = tokio::time::timeout(LONGEST, both).await;
    let output = output.map_err(|_| SpeechError::TooSlow(program.display().to_string()))?;
    let output = output.map_err(|error| failed(program, error))?;
    if !output.status.success() {
        return Err(failed(program, output.status));
    }
    Ok(output.stdout)
}

fn failed(program: &std::path::Path, why: impl std::fmt::Display) -> SpeechError {
    SpeechError::Program(program.display().to_string(), why.to_string())
}

fn tempdir(program: &std::path::Path) -> Result<tempfile::TempDir, SpeechError> {
    tempfile::tempdir().map_err(|error| failed(program, error))
}
