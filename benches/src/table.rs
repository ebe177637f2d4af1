//! Figures as they are shown and kept.

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;

/// What a figure should be.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// Only for the record.
    None,
}

/// One measured figure.
#[derive(Debug, Clone)]
struct Figure {
    what: String,
    store: &'static str,
    value: f64,
    unit: &'static str,
    goal: Goal,
}

/// All figures of a run.
#[derive(Debug)]
pub struct Table {
    begun: Timestamp,
    figures: Vec<Figure>,
}

impl Table {
    pub fn new() -> Self {
        Self { begun: Timestamp::now(), figures: Vec::new() }
    }

    /// Keeps a figure, and shows it at once.
    pub fn add(&mut self, store: &'static str, what: impl Into<String>, value: f64, unit: &'static str, goal: Goal) {
        let figure = Figure { what: what.into(), store, value, unit, goal };
        println!("{}", figure.line());
        self.figures.push(figure);
    }

    /// The figure of that name, where it was measured in this run.
    pub fn value(&self, store: &str, what: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.store == store && figure.what == what).map(|figure| figure.value)
    }

    /// Writes the table into `results/`, named by its day.
    pub fn write(&self) -> PathBuf {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/results"));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{}.md", self.begun.strftime("%Y-%m-%d-%H%M")));
        std::fs::write(&file, self.to_string()).unwrap();
        file
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {}\n", self.begun.strftime("%Y-%m-%d %H:%M"), machine())?;
        writeln!(f, "| what | store | measured | goal | of the goal |\n| --- | --- | --- | --- | --- |")?;
        self.figures.iter().try_for_each(|figure| writeln!(f, "{}", figure.line()))
    }
}

impl Figure {
    fn line(&self) -> String {
        let Self { what, store, value, unit, goal } = self;
        let (goal, ratio) = match goal {
            Goal::AtLeast(least) => (format!("≥ {}", number(*least)), format!("{:.2}", value / least)),
            Goal::AtMost(most) => (format!("≤ {}", number(*most)), format!("{:.2}", most / value)),
            Goal::None => (String::new(), String::new()),
        };
        format!("| {what} | {store} | {} {unit} | {goal} | {ratio} |", number(*value))
    }
}

fn number(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let read = |file: &str, key: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(key).map(str::to_owned));
        line.map(|line| line.trim_matches([':', ' ', '\t']).to_owned()).unwrap_or_default()
    };
    let memory: f64 = read("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0.0);
    format!("{cores} cores of {}, {:.0} GiB", read("/proc/cpuinfo", "model name"), memory / 1024.0 / 1024.0)
}
