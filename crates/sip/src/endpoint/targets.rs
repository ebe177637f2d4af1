//! In which order targets are tried: by priority, and among equals at random by weight (RFC 2782).

use super::Target;
use crate::Tokens;

pub(super) fn in_order(mut targets: Vec<Target>, tokens: &mut Tokens) -> Vec<Target> {
    // Those of weight 0 come first into the draw, so that they have a small chance at all.
    targets.sort_by_key(|target| (target.priority, target.weight));
    let mut ordered = Vec::with_capacity(targets.len());
    while let Some(first) = targets.first() {
        let equals = targets.iter().take_while(|target| target.priority == first.priority).count();
        let sum: u32 = targets[..equals].iter().map(|target| u32::from(target.weight)).sum();
        let drawn = tokens.below(sum + 1);
        let mut running = 0;
        let chosen = targets[..equals].iter().position(|target| {
            running += u32::from(target.weight);
            running >= drawn
        });
        ordered.push(targets.remove(chosen.unwrap_or_default()));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Uri;
    use crate::{Flow, Transport};

    fn target(name: &str, priority: u16, weight: u16) -> Target {
        let flow = Flow {
            transport: Transport::Udp,
            local: "127.0.0.1:5060".parse().unwrap(),
            remote: "127.0.0.1:5070".parse().unwrap(),
        };
        Target { uri: Uri::parse(&format!("sip:{name}.example.com")).unwrap(), flow, priority, weight }
    }

    #[test]
    fn priority_decides_and_weight_shares() {
        let mut tokens = Tokens::new([3; 32]);
        let mut first = std::collections::HashMap::new();
        for _ in 0..1000 {
            let targets = vec![target("c", 20, 100), target("a", 10, 75), target("b", 10, 25), target("z", 10, 0)];
            let order: Vec<String> = in_order(targets, &mut tokens).iter().map(|t| t.uri.to_string()).collect();
            assert_eq!(order.last().unwrap(), "sip:c.example.com");
            assert_eq!(order.len(), 4);
            *first.entry(order[0].clone()).or_insert(0) += 1;
        }
        assert!((680..820).contains(&first["sip:a.example.com"]), "{first:?}");
        assert!((180..320).contains(&first["sip:b.example.com"]), "{first:?}");
        assert!(first.get("sip:z.example.com").is_none_or(|count| *count < 40), "{first:?}");
    }
}
