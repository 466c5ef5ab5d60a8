//! Flat keys as a tree: a `/` in a key's name makes directories, which exist while they have something in them.

use super::answer::{Node, Refusal};
use crate::api::Api;
use etcd_api::etcdserverpb::ResponseHeader;
use kv::{KeyRange, KeyValue, Kv, RangeRequest};
use std::collections::BTreeMap;

/// What is at this key, which begins with a `/` or is empty (the root). A directory comes with what is in it; what is
/// in that only when `recursive`.
pub fn look_up(api: &Api, key: &str, recursive: bool) -> Result<(ResponseHeader, Node), Refusal> {
    let (header, result) = api.read(|kv| node_at(kv, key, recursive));
    result.map(|node| (header, node))
}

fn node_at(kv: &Kv, key: &str, recursive: bool) -> Result<Node, Refusal> {
    if let Some(found) = get(kv, key) {
        return Ok(leaf(kv, &found));
    }
    let below = all_below(kv, key);
    if below.is_empty() && !key.is_empty() {
        let above = key.match_indices('/').skip(1).map(|(end, _)| &key[..end]).find(|above| get(kv, above).is_some());
        return Err(above.map_or_else(|| Refusal::key_not_found(key), Refusal::not_a_directory));
    }
    let mut node = directory(key, &below);
    node.nodes = entries(kv, key, below, recursive);
    if key.is_empty() {
        // The root has neither a name nor an age.
        node = Node { key: None, modified_index: 0, created_index: 0, ..node };
    }
    Ok(node)
}

fn get(kv: &Kv, key: &str) -> Option<KeyValue> {
    if key.is_empty() {
        return None;
    }
    kv.range(&RangeRequest::all(KeyRange::One(key.into()))).ok()?.kvs.pop()
}

fn all_below(kv: &Kv, key: &str) -> Vec<KeyValue> {
    // `0` follows `/` in ASCII.
    let keys = KeyRange::Between(format!("{key}/").into_bytes(), format!("{key}0").into_bytes());
    let mut found = kv.range(&RangeRequest::all(keys)).map(|found| found.kvs).unwrap_or_default();
    // Not a path, so not in this tree: `//`, a `/` at the end, bytes that are not text.
    found.retain(|kv| std::str::from_utf8(&kv.key).is_ok_and(|key| !key.contains("//") && !key.ends_with('/')));
    found
}

fn directory(key: &str, below: &[KeyValue]) -> Node {
    // As old as what is in it: version 2's directories are made by the first key.
    let created = below.iter().map(|kv| kv.create_revision.0).min().unwrap_or_default();
    Node { key: Some(key.to_owned()), dir: true, modified_index: created, created_index: created, ..Node::default() }
}

/// The directory's entries in order. Names that begin with `_` are hidden, as in version 2.
fn entries(kv: &Kv, key: &str, below: Vec<KeyValue>, recursive: bool) -> Vec<Node> {
    let mut by_name: BTreeMap<String, Vec<KeyValue>> = BTreeMap::new();
    for found in below {
        let path = String::from_utf8_lossy(&found.key).into_owned();
        let rest = path.get(key.len() + 1..).unwrap_or_default();
        let name = rest.split('/').next().unwrap_or_default();
        if !name.starts_with('_') {
            by_name.entry(format!("{key}/{name}")).or_default().push(found);
        }
    }
    let entry = |(path, mut below): (String, Vec<KeyValue>)| {
        // A key that is also a directory's name shows as the key.
        if let Some(position) = below.iter().position(|found| found.key == path.as_bytes()) {
            return leaf(kv, &below.swap_remove(position));
        }
        let mut node = directory(&path, &below);
        if recursive {
            node.nodes = entries(kv, &path, below, recursive);
        }
        node
    };
    by_name.into_iter().map(entry).collect()
}

pub fn leaf(kv: &Kv, found: &KeyValue) -> Node {
    let lease = found.lease.and_then(|lease| kv.lease_status(lease, kv.now()));
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
