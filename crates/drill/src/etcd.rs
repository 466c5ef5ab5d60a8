//! A real etcd beside a member, for running the same drills on a cluster that has no store of its own.

use crate::member::ports;
use anyhow::{Context, Result};
use std::fs::OpenOptions;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// One member of the etcd cluster, at the ports where our own store would be.
#[derive(Debug)]
pub struct Etcd {
    directory: PathBuf,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl Etcd {
    pub(crate) fn new(members: &[(String, Ipv4Addr)], index: usize, directory: &Path) -> Self {
        let (name, address) = &members[index];
        let peers: Vec<String> =
            members.iter().map(|(name, at)| format!("{name}=http://{at}:{}", ports::STORE_PEERS)).collect();
        let (client, peer) =
            (format!("http://{address}:{}", ports::STORE_CLIENTS), format!("http://{address}:{}", ports::STORE_PEERS));
        let data = directory.join("etcd").display().to_string();
        let arguments = [
            ("name", name.clone()),
            ("data-dir", data),
            ("listen-client-urls", client.clone()),
            ("advertise-client-urls", client),
            ("listen-peer-urls", peer.clone()),
            ("initial-advertise-peer-urls", peer),
            ("initial-cluster", peers.join(",")),
            ("initial-cluster-token", "drill".to_owned()),
        ];
        let arguments = arguments.into_iter().map(|(key, value)| format!("--{key}={value}")).collect();
        Self { directory: directory.to_owned(), arguments, child: None }
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    pub(crate) fn start(&mut self) -> Result<()> {
        self.bury()?;
        if self.child.is_none() {
            let log = OpenOptions::new().create(true).append(true).open(self.directory.join("etcd.log"))?;
            let mut command = Command::new("etcd");
            platform::end_with_parent(&mut command);
            let child = command
                .args(&self.arguments)
                .current_dir(&self.directory)
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log)
                .process_group(0)
                .spawn()
                .context("cannot start etcd; the package etcd-server has it")?;
            self.child = Some(child);
        }
        Ok(())
    }

    pub(crate) fn bury(&mut self) -> Result<()> {
        if let Some(child) = &mut self.child
            && child.try_wait()?.is_some()
        {
            self.child = None;
        }
        Ok(())
    }
}
