//! What the operating system lets this process have open, and how that is shared out.
//!
//! In: the limit of open files, the configuration. Out: how many sockets may be used for what. A process that runs out of
//! them can neither answer nor ask, so what the limit does not cover is not begun. Never here: a change of the limit.

use crate::config::Config;

/// Connections kept between posts, where files are no matter.
const KEPT: usize = 4096;

/// Sockets by their use. Together they are at most five sixths of the limit; the rest is for the database, for the look-up
/// of names and for carriers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Clients of the API.
    pub clients: usize,
    /// Posts to webhooks that are under way.
    pub posts: usize,
    /// Connections to webhooks that are kept for the next post.
    pub kept: usize,
}

impl Shares {
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let limit = std::fs::read_to_string("/proc/self/limits").ok().and_then(|text| soft_limit(&text));
        Self::within(limit, config.server.connections, config.webhooks.concurrency_total)
    }

    /// What is wished for, as far as the limit allows.
    fn within(limit: Option<usize>, clients: usize, posts: usize) -> Self {
        let limit = limit.unwrap_or(usize::MAX);
        let third = (limit / 3).max(1);
        Self { clients: clients.min(third), posts: posts.min(third), kept: KEPT.min(third / 2) }
    }
}

/// `None` where there is none, or where the text is not Linux's.
fn soft_limit(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_read() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max processes             unlimited            unlimited            processes \n\
                    Max open files            1024                 524288               files     \n";
        assert_eq!(soft_limit(text), Some(1024));
        assert_eq!(soft_limit("Max open files            unlimited            unlimited            files"), None);
        assert_eq!(soft_limit("something else"), None);
    }

    #[test]
    fn a_low_limit_is_shared_out_and_a_high_one_changes_nothing() {
        assert_eq!(Shares::within(Some(1024), 4096, 512), Shares { clients: 341, posts: 341, kept: 170 });
        let wished = Shares { clients: 4096, posts: 512, kept: KEPT };
        assert_eq!(Shares::within(Some(524_288), 4096, 512), wished);
        assert_eq!(Shares::within(None, 4096, 512), wished);
        assert_eq!(Shares::within(Some(2), 4096, 512), Shares { clients: 1, posts: 1, kept: 0 });
    }
}
