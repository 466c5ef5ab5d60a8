//! Flat keys as a tree: a `/` in a key's name makes directories, which exist while they have something in them.

use super::answer::{Node, Refusal};
use crate::api::Api;
use etcd_api::etcdserverpb::ResponseHeader;
use kv::{KeyRange, KeyValue, Kv, RangeRequest};
use std::collections::BTreeMap;
use std::rc::Rc;
use types::Millis;

/// Directories within directories; bounds the depth of recursion over names that anybody may choose.
const DEPTH_MAX: usize = 64;

/// What is at this key, which begins with a `/` or is empty (the root). A directory comes with what is in it; what is
/// in that only when `recursive`.
pub fn look_up(api: &Api, key: &str, recursive: bool) -> Result<(ResponseHeader, Node), Refusal> {
    let now = api.store().store_time();
    let (header, result) = api.read(|kv| Tree { kv, now }.node_at(key, recursive));
    result.map(|node| (header, node))
}

/// The keys at one moment, with the store's time at that moment.
pub struct Tree<'a> {
    pub kv: &'a Kv,
    pub now: Millis,
}

impl Tree<'_> {
    fn node_at(&self, key: &str, recursive: bool) -> Result<Node, Refusal> {
        if depth(key) > DEPTH_MAX {
            return Err(Refusal::key_not_found(key));
        }
        if let Some(found) = self.get(key) {
            return Ok(self.leaf(&found));
        }
        let below = self.all_below(key);
        if below.is_empty() && !key.is_empty() {
            let mut above = key.match_indices('/').skip(1).map(|(end, _)| &key[..end]);
            let above = above.find(|above| self.get(above).is_some());
            return Err(above.map_or_else(|| Refusal::key_not_found(key), Refusal::not_a_directory));
        }
        let node = Node { nodes: self.entries(key, &below, recursive), ..directory(key, &below) };
        Ok(if key.is_empty() {
            // The root has neither a name nor an age.
            Node { key: None, modified_index: 0, created_index: 0, ..node }
        } else {
            node
        })
    }

    fn get(&self, key: &str) -> Option<KeyValue> {
        if key.is_empty() {
            return None;
        }
        self.kv.range(&RangeRequest::all(KeyRange::One(key.into()))).ok()?.kvs.pop()
    }

    fn all_below(&self, key: &str) -> Vec<Found> {
        // `0` follows `/` in ASCII.
        let keys = KeyRange::Between(format!("{key}/").into_bytes(), format!("{key}0").into_bytes());
        let found = self.kv.range(&RangeRequest::all(keys)).map(|found| found.kvs).unwrap_or_default();
        found.into_iter().filter_map(Found::new).collect()
    }

    /// The directory's entries in order. Names that begin with `_` are hidden, as in version 2.
    fn entries(&self, key: &str, below: &[Found], recursive: bool) -> Vec<Node> {
        let name = |found: &Found| {
            let rest = found.path.get(key.len() + 1..).unwrap_or_default();
            rest.split('/').next().unwrap_or_default().to_owned()
        };
        let mut by_name: BTreeMap<String, Vec<Found>> = BTreeMap::new();
        for found in below {
            by_name.entry(name(found)).or_default().push(found.clone());
        }
        let visible = by_name.into_iter().filter(|(name, _)| !name.starts_with('_'));
        visible.map(|(name, below)| self.entry(&format!("{key}/{name}"), &below, recursive)).collect()
    }

    fn entry(&self, path: &str, below: &[Found], recursive: bool) -> Node {
        // A key that is also a directory's name shows as the key.
        if let Some(found) = below.iter().find(|found| *found.path == *path) {
            return self.leaf(&found.kv);
        }
        let nodes = if recursive { self.entries(path, below, recursive) } else { Vec::new() };
        Node { nodes, ..directory(path, below) }
    }

    pub fn leaf(&self, found: &KeyValue) -> Node {
        let lease = found.lease.and_then(|lease| self.kv.lease_status(lease, self.now));
        let expiration = lease.as_ref().and_then(|lease| {
            let left = i64::try_from(lease.remaining.0).ok()?;
            jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_millis(left)).ok()
        });
        Node {
            key: Some(String::from_utf8_lossy(&found.key).into_owned()),
            value: Some(String::from_utf8_lossy(&found.value).into_owned()),
            expiration: expiration.map(|at| at.to_string()),
            ttl: lease.map(|lease| lease.remaining.0.div_ceil(1000)),
            modified_index: found.mod_revision.0,
            created_index: found.create_revision.0,
            ..Node::default()
        }
    }
}

/// A key that is a path.
#[derive(Clone)]
struct Found {
    path: Rc<str>,
    kv: Rc<KeyValue>,
}

impl Found {
    /// Not a path: bytes that are not text, `//`, a `/` at the end, more directories than anybody makes.
    fn new(kv: KeyValue) -> Option<Self> {
        let path: Rc<str> = std::str::from_utf8(&kv.key).ok()?.into();
        let is_path = !path.contains("//") && !path.ends_with('/') && depth(&path) <= DEPTH_MAX;
        is_path.then(|| Self { path, kv: Rc::new(kv) })
    }
}

fn depth(path: &str) -> usize {
    path.bytes().filter(|byte| *byte == b'/').count()
}

fn directory(key: &str, below: &[Found]) -> Node {
    // As old as what is in it: version 2's directories are made by the first key.
    let created = below.iter().map(|found| found.kv.create_revision.0).min().unwrap_or_default();
    Node { key: Some(key.to_owned()), dir: true, modified_index: created, created_index: created, ..Node::default() }
}
