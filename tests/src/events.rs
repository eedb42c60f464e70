//! An event stream, read as the standard says (WHATWG HTML §9.2.6).

use std::io::{BufRead, BufReader, Read};

use serde_json::Value;

use crate::http::{Answer, Ask};

/// A block of a stream: an event, or, where there is no data, a position.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(missing_docs, reason = "as the fields are called")]
pub struct Block {
    pub id: String,
    pub event: String,
    pub data: String,
}

impl Block {
    /// The data.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The kind of the target.
    pub fn kind(&self) -> String {
        self.json()["target"]["kind"].as_str().unwrap().to_owned()
    }

    /// The position.
    pub fn number(&self) -> u64 {
        self.id.parse().unwrap()
    }
}

/// A stream that is open.
pub struct Events {
    lines: BufReader<Box<dyn Read>>,
    /// The id of the last block, which is what a client sends to go on behind it.
    pub last_id: String,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "events after {}", self.last_id)
    }
}

impl Events {
    /// Opens `path` and reads up to the block that says where it begins.
    ///
    /// # Errors
    ///
    /// The answer, where it is no stream.
    pub fn open(ask: &Ask, path: &str) -> Result<Self, Box<Answer>> {
        let (head, body) = ask.open(path);
        if head.status != 200 {
            return Err(head.into());
        }
        assert_eq!(head.header("content-type"), "text/event-stream");
        assert_eq!(head.header("cache-control"), "no-store");
        let mut events = Self {
            lines: BufReader::new(body),
            last_id: String::new(),
        };
        let first = events.block().expect("the block that says where it begins");
        assert!(first.data.is_empty() && !first.id.is_empty(), "{first:?}");
        Ok(events)
    }

    /// The next block; none at the end. Fails where the stream breaks off, or says nothing for long.
    pub fn block(&mut self) -> Option<Block> {
        let (mut block, mut is_one) = (Block::default(), false);
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line);
            if read.expect("the stream goes on or ends properly") == 0 {
                return None;
            }
            let line = line.trim_end_matches('\n');
            if line.is_empty() && is_one {
                self.last_id.clone_from(&block.id);
                return Some(block);
            }
            let (field, value) = line.split_once(": ").unwrap_or((line, ""));
            is_one |= !field.is_empty();
            match field {
                "id" => value.clone_into(&mut block.id),
                "event" => value.clone_into(&mut block.event),
                "data" => block.data += value,
                "retry" | "" => {}
                _ => panic!("no field of an event stream: {line:?}"),
            }
        }
    }

    /// The next event; none at the end. Fails where there is none for a long time.
    #[expect(clippy::should_implement_trait, reason = "it fails, as no iterator does")]
    pub fn next(&mut self) -> Option<Block> {
        for _ in 0..60 {
            let block = self.block()?;
            if !block.data.is_empty() {
                return Some(block);
            }
        }
        panic!("waited in vain for an event")
    }

    /// The next `n` events.
    pub fn take(&mut self, n: usize) -> Vec<Block> {
        (0..n)
            .map(|n| self.next().unwrap_or_else(|| panic!("only {n}")))
            .collect()
    }
}
