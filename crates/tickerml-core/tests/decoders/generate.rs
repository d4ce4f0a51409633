//! Messages by chance: in any order of fields, with fields that nobody knows, white space, escapes, repeats; and texts near
//! them.
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// A text, and whether its parts were all sound at 8 decimals.
#[derive(Debug, Clone)]
pub struct Message {
    pub text: Vec<u8>,
    pub sound: bool,
}

/// A member as key and value, both JSON text.
type Member = (String, String);

const SPACES: &[&str] = &["", "", "", "", " ", "\n", "\t", " \r\n "];

/// A message of any type that we read, raw or combined.
pub fn message() -> impl Strategy<Value = Message> {
    let body = prop_oneof![diff(), trade(), agg_trade(), touch(), mark()];
    (body, vec(unknown(), 0..3)).prop_flat_map(|(members, more)| (object(with(members, more)), any::<bool>())).prop_map(
        |(text, wrap)| {
            let text = if wrap { format!("{{\"stream\":\"x@depth\",\"data\":{text}}}") } else { text };
            Message { text: text.into_bytes(), sound: true }
        },
    )
}

/// A depth snapshot.
pub fn snapshot() -> impl Strategy<Value = Message> {
    let known = (id(), levels(), levels(), stamp(), any::<bool>()).prop_map(|(id, bids, asks, stamp, timed)| {
        let mut members = members([("lastUpdateId", id), ("bids", bids), ("asks", asks)]);
        members.extend(timed.then(|| ("\"T\"".to_owned(), (stamp % 7_000_000_000_000).to_string())));
        members
    });
    (known, vec(unknown(), 0..3))
        .prop_flat_map(|(known, more)| object(with(known, more)))
        .prop_map(|text| Message { text: text.into_bytes(), sound: true })
}

/// One of `texts`.
pub fn sample(texts: &'static [&'static str]) -> impl Strategy<Value = Message> {
    proptest::sample::select(texts).prop_map(|text| Message { text: text.as_bytes().to_vec(), sound: true })
}

/// A text with one to four injuries: a byte changed, cut off, put in, taken out, or a piece put in twice.
pub fn near(messages: impl Strategy<Value = Message>) -> impl Strategy<Value = Vec<u8>> {
    let byte =
        prop_oneof![any::<u8>(), proptest::sample::select(b"\"\\{}[],:.-+e019 tubaTEUPp\x00\x1f\x80\xff".to_vec())];
    let injury = (0u8..5, any::<Index>(), any::<Index>(), byte);
    (messages, vec(injury, 1..4)).prop_map(|(message, injuries)| {
        injuries.into_iter().fold(message.text, |text, (kind, at, to, byte)| injure(text, kind, at, to, byte))
    })
}

fn injure(mut text: Vec<u8>, kind: u8, at: Index, to: Index, byte: u8) -> Vec<u8> {
    if text.is_empty() {
        return vec![byte];
    }
    let (at, to) = (at.index(text.len()), to.index(text.len()));
    match kind {
        0 => text[at] = byte,
        1 => text.truncate(at),
        2 => text.insert(at, byte),
        3 => drop(text.remove(at)),
        _ => {
            let piece = text[at.min(to)..at.max(to)].to_vec();
            text.splice(to..to, piece);
        }
    }
    text
}

fn members<const N: usize>(known: [(&str, String); N]) -> Vec<Member> {
    known.into_iter().map(|(key, value)| (format!("\"{key}\""), value)).collect()
}

fn with(mut known: Vec<Member>, more: Vec<Member>) -> Vec<Member> {
    known.extend(more);
    known
}

fn diff() -> BoxedStrategy<Vec<Member>> {
    (id(), id(), proptest::option::of(id()), levels(), levels(), symbol(), stamps())
        .prop_map(|(first, last, prev, bids, asks, s, stamps)| {
            let event = "\"depthUpdate\"".to_owned();
            let mut all = members([("e", event), ("U", first), ("u", last), ("b", bids), ("a", asks), ("s", s)]);
            all.extend(prev.map(|prev| ("\"pu\"".to_owned(), prev)));
            with(all, stamps)
        })
        .boxed()
}

fn trade() -> BoxedStrategy<Vec<Member>> {
    (id(), decimal(), decimal(), any::<bool>(), symbol(), stamps(), any::<bool>())
        .prop_map(|(id, p, q, maker, s, stamps, us)| {
            let event = "\"trade\"".to_owned();
            let m = maker.to_string();
            let mut all = members([("e", event), ("t", id), ("p", p), ("q", q), ("m", m), ("s", s)]);
            if us {
                all.extend(members([("b", "88".to_owned()), ("a", "50".to_owned())]));
            }
            with(all, stamps)
        })
        .boxed()
}

fn agg_trade() -> BoxedStrategy<Vec<Member>> {
    (id(), id(), id(), decimal(), decimal(), any::<bool>(), symbol(), stamps())
        .prop_map(|(a, f, l, p, q, maker, s, stamps)| {
            let event = "\"aggTrade\"".to_owned();
            let m = maker.to_string();
            let all = members([
                ("e", event),
                ("a", a),
                ("f", f),
                ("l", l),
                ("p", p),
                ("q", q.clone()),
                ("nq", q),
                ("m", m),
                ("s", s),
            ]);
            with(all, stamps)
        })
        .boxed()
}

fn touch() -> BoxedStrategy<Vec<Member>> {
    (id(), [decimal(), decimal(), decimal(), decimal()], symbol(), stamps(), any::<bool>())
        .prop_map(|(u, [b, bid_qty, a, ask_qty], s, stamps, named)| {
            let mut all = members([("u", u), ("b", b), ("B", bid_qty), ("a", a), ("A", ask_qty), ("s", s)]);
            if named {
                all.extend(members([("e", "\"bookTicker\"".to_owned())]));
            }
            with(all, stamps)
        })
        .boxed()
}

fn mark() -> BoxedStrategy<Vec<Member>> {
    let rate = prop_oneof![Just("\"\"".to_owned()), "-?0\\.0[0-9]{1,11}".prop_map(|r| format!("\"{r}\""))];
    (decimal(), proptest::option::of(decimal()), rate, symbol(), stamps())
        .prop_map(|(p, index, r, s, stamps)| {
            let event = "\"markPriceUpdate\"".to_owned();
            let mut all = members([("e", event), ("p", p.clone()), ("ap", p), ("r", r), ("s", s)]);
            all.extend(index.map(|i| ("\"i\"".to_owned(), i)));
            with(all, stamps)
        })
        .boxed()
}

/// Text of a decimal of at most 8 places that counts, sometimes with many zeros behind.
fn decimal() -> impl Strategy<Value = String> + Clone {
    let zeros = prop_oneof![4 => Just(0usize), 1 => 1usize..40];
    prop_oneof![
        6 => (0u64..10_000_000, "[0-9]{0,8}", zeros).prop_map(|(whole, rest, zeros)| match rest.len() + zeros {
            0 => format!("\"{whole}\""),
            _ => format!("\"{whole}.{rest}{}\"", "0".repeat(zeros)),
        }),
        1 => Just("\"0.00000000\"".to_owned()),
        1 => Just("\"\\u0030.5\"".to_owned()),
    ]
}

fn levels() -> impl Strategy<Value = String> {
    let third = prop_oneof![8 => Just(""), 1 => Just(",[]"), 1 => Just(" , {\"x\":null}")];
    let level = (decimal(), decimal(), third, proptest::sample::select(SPACES))
        .prop_map(|(px, qty, third, space)| format!("[{space}{px},{space}{qty}{third}{space}]"));
    (vec(level, 0..6), proptest::sample::select(SPACES))
        .prop_map(|(levels, space)| format!("[{space}{}{space}]", levels.join(&format!(",{space}"))))
}

fn id() -> impl Strategy<Value = String> + Clone {
    prop_oneof![0u64..10, 0u64..1_000_000_000_000, Just(i64::MAX as u64)].prop_map(|id| id.to_string())
}

fn symbol() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["\"BTCUSDT\"", "\"BTCUSD_PERP\"", "\"BTC\\u0055SDT\"", "\"\u{5e01}USDT\""])
        .prop_map(str::to_owned)
}

/// Milliseconds or microseconds.
fn stamp() -> impl Strategy<Value = i64> {
    prop_oneof![0i64..2_000_000_000_000, 1_600_000_000_000_000i64..1_900_000_000_000_000]
}

fn stamps() -> impl Strategy<Value = Vec<Member>> {
    let named = |key: &str| {
        let key = format!("\"{key}\"");
        proptest::option::of(stamp().prop_map(move |stamp| (key.clone(), stamp.to_string())))
    };
    (named("E"), named("T")).prop_map(|(event, matched)| event.into_iter().chain(matched).collect())
}

/// A field that no message of ours has, of any JSON type.
fn unknown() -> impl Strategy<Value = Member> {
    let key = proptest::sample::select(vec![
        "\"st\"",
        "\"ps\"",
        "\"x\"",
        "\"M\"",
        "\"\"",
        "\"\\u00e9\\n\"",
        "\"\u{e9}\"",
        "\"datum\"",
    ]);
    let scalar = proptest::sample::select(vec![
        "1",
        "-1.5e-8",
        "0",
        "12345678901234567890",
        "true",
        "false",
        "null",
        "\"\"",
        "\"a\\\"b\\\\\"",
        "\"\\ud83d\\ude00\"",
        "\"\u{1f600}\"",
        "\"]}\"",
    ]);
    let value = scalar.prop_map(str::to_owned).prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|list| format!("[{}]", list.join(" ,"))),
            vec(inner, 0..4).prop_map(|list| {
                let members: Vec<String> = list.iter().map(|value| format!("\"b\" :{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    });
    (key.prop_map(str::to_owned), value)
}

/// The members as an object: in any order, with white space; now and then a key is escaped, or stands earlier once more with
/// another scalar of the same kind, which must not count.
fn object(members: Vec<Member>) -> impl Strategy<Value = String> {
    let n = members.len();
    let spaces = vec(proptest::sample::select(SPACES), n + 1);
    let chance = vec(0u8..20, n);
    (Just(members).prop_shuffle(), spaces, chance).prop_map(|(members, spaces, chance)| {
        let mut parts = Vec::new();
        for ((key, value), (space, chance)) in members.iter().zip(spaces.iter().zip(chance)) {
            let scalar = value.bytes().all(|b| b.is_ascii_digit());
            if chance == 0 && scalar {
                parts.insert(0, format!("{space}{key}:7{space}"));
            }
            let key = if chance == 1 { escaped(key) } else { key.clone() };
            parts.push(format!("{space}{key}{space}:{space}{value}"));
        }
        format!("{}{{{}{}}}", spaces[0], parts.join(","), spaces[members.len()])
    })
}

/// The key with its first character as an escape.
fn escaped(key: &str) -> String {
    match key.chars().nth(1).filter(char::is_ascii_alphabetic) {
        Some(first) => format!("\"\\u{:04x}{}", u32::from(first), &key[2..]),
        None => key.to_owned(),
    }
}
